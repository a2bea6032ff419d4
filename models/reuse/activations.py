"""The store of activations behind frozen layers: what identifies them, and what float16 may take from them."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from models.reuse.entry import name_of
from models.reuse.store import Store

DTYPES = ("float16", "float32")

# Most that rounding to float16 may take from the sum of all absolute values: its unit roundoff. Values within its range
# (6.1e-5 to 65504) never lose more; those of a deep network with random weights may all lie below and lose everything.
MOST_LOST = 2.0**-11


class FeatureOverflow(ValueError):
    """Activations are beyond float16, too large (65504) or too small for it. Keep them as float32."""


@dataclass(frozen=True)
class Key:
    """All that the activations depend on; two keys that differ in any field have entries of their own."""

    backbone: str
    weights: str
    cut: str
    resolution: int  # pixels
    preprocessing: str
    dataset: str
    split: str
    subset: str
    view: str
    dtype: str  # one of DTYPES

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}. Received: {self.dtype}")
        for name, value in asdict(self).items():
            if not isinstance(value, int if name == "resolution" else str):
                raise ValueError(f"{name} is of the wrong type. Received: {value!r}")

    def digest(self) -> str:
        """Hexadecimal name of the entry, 64 characters."""
        return name_of(asdict(self))


class ActivationStore:
    """Activations below `cache_dir`, of at most `limit_bytes`; the limit is for what is written.

    `files` is the store itself: its entries, its room.
    """

    def __init__(self, cache_dir: Path, limit_bytes: int):
        self.files = Store(cache_dir / "prefix", limit_bytes)

    def find(self, key: Key) -> np.ndarray | None:
        """The activations as a read-only np.memmap, or None if there are none that can be trusted."""
        stored = self.files.find(asdict(key))
        return None if stored is None else stored.array

    def has(self, key: Key) -> bool:
        """Whether an entry is there by name and size; cheap, since nothing else is verified."""
        return self.files.has(asdict(key))

    def get(
        self,
        key: Key,
        shape: tuple[int, ...],
        produce: Callable[[], Iterator[np.ndarray]],
        on_wait: Callable[[], None] = lambda: None,
    ) -> np.ndarray:
        """The activations as a read-only np.memmap; computed in one process only if several ask.

        Args:
            key: what they are.
            shape: of all of them, (n, ...).
            produce: called if they are not there yet; gives batches along the first axis, which are cast to the dtype
                of the key.
            on_wait: called every now and then while another process computes them.

        Raises:
            FeatureOverflow: float16 is asked for and cannot hold a value.
            ValueError, TooLarge, OSError: as `Store.get`.
        """
        what = f"activations at {key.cut}"
        return self.files.get(asdict(key), shape, key.dtype, lambda: _cast(produce(), key), what, on_wait=on_wait).array

    def room(self) -> int:
        """Bytes that new activations may take right now, see `Store.room`."""
        return self.files.room()


def _cast(batches: Iterator[np.ndarray], key: Key) -> Generator[np.ndarray, None, None]:
    try:
        for batch in batches:
            with np.errstate(over="ignore"):  # found and said below
                rows = np.ascontiguousarray(batch, dtype=key.dtype)
            if key.dtype == "float16":
                _check_range(rows, batch, key.cut)
            yield rows
    finally:
        if isinstance(batches, Generator):
            batches.close()


def _check_range(rows: np.ndarray, batch: np.ndarray, cut: str) -> None:
    """Raises FeatureOverflow if float16 cannot hold a value, or if the values are too small for it as a whole."""
    if not np.isfinite(rows).all():
        raise FeatureOverflow(f"activations at {cut} reach {np.abs(batch).max():.6g}: float16 ends at 65504")
    sizes = np.abs(batch)
    if np.abs(rows - batch).sum() > MOST_LOST * sizes.sum():
        raise FeatureOverflow(f"activations at {cut} end at {sizes.max():.6g}: float16 would spoil values so small")
