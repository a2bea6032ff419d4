"""One entry of a store: what its two files say, and how they are written and read.

`<name>.npy` is a plain array file to be memory-mapped; `<name>.json` is its record. The name is the SHA-256 of the key,
which says all that the array depends on.
"""

import hashlib
import io
import json
import math
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format

from models.reuse.shared import read_text

FORMAT_VERSION = 2  # to be raised when what is stored under a key changes: old entries are then the first to go
DTYPES = ("float16", "float32", "uint8")

Key = Mapping[str, Any]  # plain JSON: texts, numbers and lists of them


def name_of(key: Key) -> str:
    """Name of an entry's files, 64 hexadecimal characters."""
    return sha256_of_json([FORMAT_VERSION, dict(key)])


def sha256_of_json(value: Any) -> str:
    """SHA-256 in hex of a plain JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Record:
    """What the second file says of the first."""

    key: Key
    shape: tuple[int, ...]
    dtype: str  # one of DTYPES
    sha256: str  # of the whole array file
    details: Mapping[str, Any] | None = None  # plain JSON that belongs to the array, such as labels

    def to_json(self) -> str:
        """What `read_record` reads. The details carry a checksum of their own."""
        record = {"format": FORMAT_VERSION, "key": dict(self.key), "shape": self.shape, "dtype": self.dtype}
        record["sha256"] = self.sha256
        if self.details is not None:
            record |= {"details": dict(self.details), "details_sha256": sha256_of_json(dict(self.details))}
        return json.dumps(record, indent=1)


def read_record(path: Path) -> Record | None:
    """None if there is none, none of this version, or none that can be trusted."""
    try:
        data = json.loads(read_text(path))
        record = Record(dict(data["key"]), tuple(data["shape"]), data["dtype"], data["sha256"], data.get("details"))
        whole = bool(record.shape) and all(type(size) is int and size > 0 for size in record.shape)
        if not whole or data["format"] != FORMAT_VERSION or record.dtype not in DTYPES:
            return None
        if "details" in data or "details_sha256" in data:
            return record if data["details_sha256"] == sha256_of_json(data["details"]) else None
        return record
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def header(shape: Sequence[int], dtype: str) -> bytes:
    """Of a plain C-ordered array file; of one length for any number of rows, which NumPy leaves room for."""
    stream = io.BytesIO()
    about = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": tuple(shape)}
    npy_format.write_array_header_1_0(stream, about)
    return stream.getvalue()


def entry_bytes(shape: Sequence[int], dtype: str) -> int:
    """Size of the file that holds an array of this shape: the array and a header of usually 128 bytes."""
    return len(header(shape, dtype)) + math.prod(shape) * np.dtype(dtype).itemsize


def fill(
    stream: IO[bytes], shape: tuple[int, ...], dtype: str, batches: Iterator[np.ndarray], fewer: bool = False
) -> tuple[tuple[int, ...], str]:
    """Write header and batches.

    Args:
        stream: a file open for reading and writing.
        shape: of the whole array.
        dtype: of the array and of every batch.
        batches: along the first axis; closed at the end.
        fewer: whether they may end before `shape[0]` rows; the file is then cut to what there is.

    Returns:
        The shape of what was written, and the SHA-256 of the whole file.

    Raises:
        ValueError: the batches do not add up to `shape`, or are of another dtype.
    """
    head, n_rows = header(shape, dtype), 0
    hasher = hashlib.sha256(head)
    stream.write(head)
    try:
        for batch in batches:
            n_rows += len(batch)
            if batch.shape[1:] != shape[1:] or n_rows > shape[0]:
                raise ValueError(f"a batch of shape {batch.shape} ends at row {n_rows}. Expected: part of {shape}")
            if batch.dtype != np.dtype(dtype):
                raise ValueError(f"a batch is of dtype {batch.dtype}. Expected: {dtype}")
            rows = np.ascontiguousarray(batch).data
            stream.write(rows)
            hasher.update(rows)
    finally:
        if isinstance(batches, Generator):
            batches.close()  # now, and not when the traceback is forgotten: it may hold locks or memory of a device
    if n_rows == shape[0]:
        return shape, hasher.hexdigest()
    if n_rows == 0 or not fewer:
        raise ValueError(f"the batches end after {n_rows} rows. Expected: {shape[0]}")
    return (n_rows, *shape[1:]), _shorten(stream, (n_rows, *shape[1:]), dtype)


def _shorten(stream: IO[bytes], shape: tuple[int, ...], dtype: str) -> str:
    """Rewrites the header, which comes before all that was hashed: the file is read back once."""
    stream.truncate(entry_bytes(shape, dtype))
    stream.seek(0)
    stream.write(header(shape, dtype))
    stream.seek(0)
    return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]


def to_disk(stream: IO[bytes]) -> None:
    """Flush and sync."""
    stream.flush()
    os.fsync(stream.fileno())
