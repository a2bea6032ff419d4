"""What `datasets` needs of a store of arrays on disk; whoever opens a data set hands one in."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np


class Stored(Protocol):
    """What is kept under a key."""

    @property
    def array(self) -> np.ndarray:
        """Read-only and memory-mapped."""

    @property
    def details(self) -> Mapping[str, Any]:
        """What belongs to the array, as plain JSON."""


class ArrayStore(Protocol):
    """Gives back only what it has verified; several processes may share one folder."""

    folder: Path

    def has(self, key: Mapping[str, Any]) -> bool:
        """Whether something is kept under `key`; cheap, since it is not verified."""

    def is_written(self, key: Mapping[str, Any]) -> bool:
        """Whether another process is writing it at this moment."""

    def room(self) -> int:
        """Bytes that a new array may have right now."""

    def get(
        self,
        key: Mapping[str, Any],
        shape: tuple[int, ...],
        dtype: str,
        produce: Callable[[], Iterator[np.ndarray]],
        what: str,
        details: Callable[[], Mapping[str, Any]] | None = None,
        on_wait: Callable[[], None] = lambda: None,
    ) -> Stored:
        """What is kept under `key`, produced first if it is not there.

        Args:
            key: all that the array depends on, as plain JSON.
            shape: of the whole array; with `details` its rows may be fewer.
            dtype: of the array and of every batch.
            produce: gives batches along the first axis; what it raises passes, and then nothing is kept.
            what: how messages call the array.
            details: called when all batches are written; what it gives is kept beside the array.
            on_wait: called every now and then while another process computes the entry.

        Raises:
            OSError: the folder cannot be used, or has no room.
        """
