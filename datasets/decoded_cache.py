"""Pictures decoded once, kept on disk as one memory-mapped array.

An entry is `<key>.npy` (n, side, side, 3) uint8 and `<key>.json`, which is written last: without it the entry
does not exist. Both are written under a temporary name and renamed, so two processes that decode the same
pictures at once both end with a whole entry, and one that is killed leaves nothing that could be taken for one.
"""

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy_format

from datasets import DataError
from datasets.decoding import UnreadableError, decode
from datasets.digest import finish_digest
from datasets.folder_layout import PictureFile
from datasets.wording import printable

FORMAT_VERSION = 1  # to be raised when decoding changes: old entries are then left alone
_THREADS = 2
_CHUNK = 64  # pictures decoded but not yet written; bounds the memory
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Decoded:
    """What decoding gave. `kept` are the indices of the readable files; `images` and `labels` hold these alone."""

    images: np.ndarray  # (n, side, side, 3) uint8, a read-only np.memmap
    labels: np.ndarray  # (n,) int64
    kept: np.ndarray  # (n,) int64
    left_out: tuple[tuple[int, str], ...]  # (index of the file, reason)
    digest: str


def decode_all(
    folder: Path, files: Sequence[PictureFile], class_names: Sequence[str], side: int, cache_dir: Path
) -> Decoded:
    """All readable ones of `files` at `side` x `side`, from the cache if it has them.

    Raises DataError when the cache folder cannot be written, and when no picture can be read.
    """
    place = cache_dir / "pictures"
    key = _key(folder, files, class_names, side)
    try:
        place.mkdir(parents=True, exist_ok=True)
        found = _load(place, key, files, side)
        if found is not None:
            return found
        _remove_abandoned(place)
        _check_space(place, len(files) * side * side * 3)
        _log.info("decoding %d pictures to %d x %d", len(files), side, side)
        _write(place, key, folder, files, class_names, side)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(f"the cache folder {place} cannot be used: {reason}; choose another or make room") from error
    found = _load(place, key, files, side)
    if found is None:
        raise DataError(f"the cache folder {place} does not give back what was written to it")
    return found


def _key(folder: Path, files: Sequence[PictureFile], class_names: Sequence[str], side: int) -> str:
    """From the place, names, sizes and times: files of equal size and time in two folders may still differ."""
    head = [FORMAT_VERSION, str(folder.resolve()), side, list(class_names)]
    hasher = hashlib.sha256(json.dumps(head).encode("ascii"))
    for file in files:
        hasher.update(json.dumps([file.relative, file.size, file.mtime_ns]).encode("ascii"))
    return hasher.hexdigest()


def _load(place: Path, key: str, files: Sequence[PictureFile], side: int) -> Decoded | None:
    """The entry, or None if there is none or it is damaged."""
    try:
        record = json.loads((place / f"{key}.json").read_text(encoding="ascii"))
        left_out = tuple((int(index), str(reason)) for index, reason in record["left_out"])
        kept = np.setdiff1d(np.arange(len(files), dtype=np.int64), [index for index, _ in left_out]).astype(np.int64)
        images = np.load(place / f"{key}.npy", mmap_mode="r", allow_pickle=False)
        labels = np.array(record["labels"], dtype=np.int64)
        if images.shape != (len(kept), side, side, 3) or images.dtype != np.uint8 or len(labels) != len(kept):
            return None
        return Decoded(images, labels, kept, left_out, str(record["digest"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError, EOFError):
        return None


def _write(
    place: Path, key: str, folder: Path, files: Sequence[PictureFile], class_names: Sequence[str], side: int
) -> None:
    hasher = hashlib.sha256()
    left_out: list[tuple[int, str]] = []
    with _temporary(place) as (stream, name):
        _write_header(stream, (len(files), side, side, 3))
        with contextlib.closing(_decoded(folder, files, side)) as results:
            for index, result in results:
                if isinstance(result, str):
                    left_out.append((index, result))
                    continue
                stream.write(result.data)
                hasher.update(result.data)
        shape = (len(files) - len(left_out), side, side, 3)
        if shape[0] == 0:
            first = f"{printable(files[0].relative)}: {left_out[0][1]}"
            raise DataError(f"none of the {len(files)} pictures in {printable(folder)} can be read ({first})")
        stream.seek(0)
        _write_header(stream, shape)
        _publish(stream, name, place / f"{key}.npy")
    bad = {index for index, _ in left_out}
    labels = np.array([file.label for index, file in enumerate(files) if index not in bad], dtype=np.int64)
    record = {
        "labels": labels.tolist(),
        "left_out": left_out,
        "skipped": len(left_out),
        "digest": finish_digest(hasher, shape, labels, class_names),
    }
    with _temporary(place) as (stream, name):
        stream.write(json.dumps(record).encode("ascii"))
        _publish(stream, name, place / f"{key}.json")


def _write_header(stream: IO[bytes], shape: tuple[int, ...]) -> None:
    """Of the same length for any number of pictures: NumPy pads the header so that the first axis may change."""
    npy_format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _decoded(
    folder: Path, files: Sequence[PictureFile], side: int
) -> Generator[tuple[int, np.ndarray | str], None, None]:
    """(index, picture or the reason why there is none), in order, a bounded number at a time."""

    def one(file: PictureFile) -> np.ndarray | str:
        try:
            return decode(folder / file.relative, side)
        except UnreadableError as error:
            return str(error)

    # Filters belong to the process, not to a thread: they are set once around all of the work.
    with warnings.catch_warnings(), ThreadPoolExecutor(_THREADS) as pool:
        warnings.simplefilter("ignore")
        for start in range(0, len(files), _CHUNK):
            yield from enumerate(pool.map(one, files[start : start + _CHUNK]), start)


@contextlib.contextmanager
def _temporary(place: Path) -> Iterator[tuple[IO[bytes], str]]:
    """A new file, locked as long as it is written so that others can tell it from an abandoned one."""
    while True:
        descriptor, name = tempfile.mkstemp(suffix=".tmp", dir=place)
        stream = os.fdopen(descriptor, "w+b")
        with contextlib.suppress(OSError):  # a file system without locks: nobody can clean there either
            fcntl.flock(stream, fcntl.LOCK_EX)
        if os.path.exists(name):
            break
        stream.close()  # cleaned away by another process between its creation and its lock
    try:
        with stream:
            yield stream, name
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def _publish(stream: IO[bytes], name: str, target: Path) -> None:
    stream.flush()
    os.fsync(stream.fileno())
    os.rename(name, target)


def _remove_abandoned(place: Path) -> None:
    """Delete what killed processes left half-written: the temporary files that nobody holds a lock on."""
    for path in place.glob("*.tmp"):
        with contextlib.suppress(OSError), path.open("r+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def _check_space(place: Path, needed: int) -> None:
    free = shutil.disk_usage(place).free
    if free < needed:
        raise DataError(
            f"the cache folder {place} has {free / 1e9:.2f} GB free; the decoded pictures need {needed / 1e9:.2f} GB"
        )
