"""One entry of the store of activations: what identifies it, and how its two files are written and read.

`<digest>.npy` is a plain array file to be memory-mapped; `<digest>.json` is its record: key, shape and SHA-256.
"""

import hashlib
import io
import json
import math
import os
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy_format

FORMAT_VERSION = 2  # to be raised when what is stored under a key changes: old entries are then the first to go
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
        return hashlib.sha256(json.dumps([FORMAT_VERSION, asdict(self)], sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Record:
    """What the second file says of the first."""

    key: Key
    shape: tuple[int, ...]
    sha256: str


def entry_bytes(shape: Sequence[int], dtype: str) -> int:
    """Size of the file that holds activations of this shape: the array and a header of usually 128 bytes."""
    return len(header(shape, dtype)) + math.prod(shape) * np.dtype(dtype).itemsize


def fill(stream: IO[bytes], key: Key, shape: tuple[int, ...], batches: Iterator[np.ndarray]) -> str:
    """Writes header and batches; returns the SHA-256 of both."""
    head, n_rows = header(shape, key.dtype), 0
    hasher = hashlib.sha256(head)
    stream.write(head)
    try:
        for batch in batches:
            with np.errstate(over="ignore"):  # found and said below
                rows = np.ascontiguousarray(batch, dtype=key.dtype)
            n_rows += len(rows)
            if rows.shape[1:] != shape[1:] or n_rows > shape[0]:
                raise ValueError(f"a batch of shape {rows.shape} ends at row {n_rows}. Expected: part of {shape}")
            if key.dtype == "float16":
                _check_range(rows, batch, key)
            stream.write(rows.data)
            hasher.update(rows.data)
    finally:
        if isinstance(batches, Generator):
            batches.close()  # now, and not when the traceback is forgotten: it may hold locks or memory of a device
    if n_rows != shape[0]:
        raise ValueError(f"the batches end after {n_rows} rows. Expected: {shape[0]}")
    return hasher.hexdigest()


def _check_range(rows: np.ndarray, batch: np.ndarray, key: Key) -> None:
    """Errors: FeatureOverflow if float16 cannot hold a value, or if the values are too small for it as a whole."""
    if not np.isfinite(rows).all():
        raise FeatureOverflow(f"activations at {key.cut} reach {np.abs(batch).max():.6g}: float16 ends at 65504")
    sizes = np.abs(batch)
    if np.abs(rows - batch).sum() > MOST_LOST * sizes.sum():
        raise FeatureOverflow(f"activations at {key.cut} end at {sizes.max():.6g}: float16 would spoil values so small")


def to_disk(stream: IO[bytes]) -> None:
    """Flush and sync."""
    stream.flush()
    os.fsync(stream.fileno())


def header(shape: Sequence[int], dtype: str) -> bytes:
    """Of a plain C-ordered array file."""
    stream = io.BytesIO()
    about = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": tuple(shape)}
    npy_format.write_array_header_1_0(stream, about)
    return stream.getvalue()


def read_record(path: Path) -> Record | None:
    """None if there is none, or none of this version."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        record = Record(Key(**data["key"]), tuple(data["shape"]), data["sha256"])
        whole = bool(record.shape) and all(type(size) is int and size > 0 for size in record.shape)
        return record if whole and (data["format"], data["dtype"]) == (FORMAT_VERSION, record.key.dtype) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
