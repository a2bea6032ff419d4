"""Pictures decoded once and kept in a store, as one memory-mapped array."""

import contextlib
import hashlib
import json
import logging
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datasets import DataError
from datasets.decoding import UnreadableError, decode
from datasets.digest import finish_digest
from datasets.folder_layout import PictureFile
from datasets.store import ArrayStore, Stored
from datasets.wording import printable

DECODING_VERSION = 1  # to be raised when decoding changes, or what `_details` says: old entries are then left alone
_THREADS = 2
_SAY_SECONDS = 10.0  # between two lines in the log, which are signs of life for whoever waits
_CHUNK = 64  # pictures decoded but not yet written; bounds the memory
_log = logging.getLogger(__name__)


class _Saying:
    """Logs at most every ten seconds, the first time after as long."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, words: str, *values: object) -> None:
        if time.monotonic() - self._said > _SAY_SECONDS:
            _log.info(words, *values)
            self._said = time.monotonic()


@dataclass(frozen=True)
class Decoded:
    """What decoding gave. `readable` are the indices of the readable files; `images` and `labels` hold these alone."""

    images: np.ndarray  # (n, side, side, 3) uint8, a read-only np.memmap
    labels: np.ndarray  # (n,) int64
    readable: np.ndarray  # (n,) int64
    left_out: tuple[tuple[int, str], ...]  # (index of the file, reason)
    digest: str
    files: str  # SHA-256 of all files' names, sizes and times, the same for every side


def decode_all(
    folder: Path,
    files: Sequence[PictureFile],
    class_names: Sequence[str],
    side: int,
    store: ArrayStore,
    on_step: Callable[[float], None] = lambda share: None,
) -> Decoded:
    """All readable ones of `files` at `side` x `side`, from the store if it has them.

    `on_step` is called with the share that is done while they are decoded.

    Raises:
        DataError: the store cannot be used, or no picture can be read.
    """
    hasher, left_out, say = hashlib.sha256(), list[tuple[int, str]](), _Saying()

    def pictures() -> Iterator[np.ndarray]:
        _log.info("decoding %d pictures to %d x %d", len(files), side, side)
        with contextlib.closing(_decoded(folder, files, side)) as results:
            for index, result in results:
                say("decoded %d of %d pictures", index, len(files))
                if (index + 1) % _CHUNK == 0:  # nothing is being decoded at this moment
                    on_step((index + 1) / len(files))
                if isinstance(result, str):
                    left_out.append((index, result))
                    continue
                hasher.update(result.data)
                yield result[None]  # (1, side, side, 3)
        if len(left_out) == len(files):
            first = f"{printable(files[0].relative)}: {left_out[0][1]}"
            raise DataError(f"none of the {len(files)} pictures in {printable(folder)} can be read ({first})")

    def details() -> dict[str, Any]:
        readable = _readable(len(files), left_out)
        labels = np.array([files[index].label for index in readable], dtype=np.int64)
        digest = finish_digest(hasher, (len(readable), side, side, 3), labels, class_names)
        return {"labels": labels.tolist(), "left_out": [list(pair) for pair in left_out], "digest": digest}

    def waiting() -> None:
        say("waiting for another process that decodes %d pictures", len(files))
        on_step(0.0)

    key, shape = _key(folder, files, class_names, side), (len(files), side, side, 3)
    try:
        stored = store.get(key, shape, "uint8", pictures, "decoded pictures", details, waiting)
        return _from_store(stored, len(files), key["files"])
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise DataError(
            f"the cache folder {store.folder} cannot be used: {reason}; choose another or make room"
        ) from error


def missing_bytes(
    folder: Path, files: Sequence[PictureFile], class_names: Sequence[str], sides: Sequence[int], store: ArrayStore
) -> int:
    """What decoding `files` to all of these sides in pixels would add to what is in the store and on its way there."""
    keys = {side: _key(folder, files, class_names, side) for side in sides}
    missing = [side for side, key in keys.items() if not store.has(key) and not store.is_written(key)]
    return sum(len(files) * side * side * 3 for side in missing)


def _key(folder: Path, files: Sequence[PictureFile], class_names: Sequence[str], side: int) -> dict[str, Any]:
    """From the place, names, sizes and times: files of equal size and time in two folders may still differ."""
    hasher = hashlib.sha256()
    for file in files:
        hasher.update(json.dumps([file.relative, file.size, file.mtime_ns]).encode("ascii"))
    return {
        "decoding": DECODING_VERSION,
        "folder": str(folder.resolve()),
        "side": side,
        "class_names": list(class_names),
        "files": hasher.hexdigest(),
    }


def _from_store(stored: Stored, n_files: int, files: str) -> Decoded:
    left_out = tuple((int(index), str(reason)) for index, reason in stored.details["left_out"])
    labels = np.array(stored.details["labels"], dtype=np.int64)
    return Decoded(stored.array, labels, _readable(n_files, left_out), left_out, str(stored.details["digest"]), files)


def _readable(n_files: int, left_out: Sequence[tuple[int, str]]) -> np.ndarray:
    """(n,) int64, sorted."""
    return np.setdiff1d(np.arange(n_files, dtype=np.int64), [index for index, _ in left_out]).astype(np.int64)


def _decoded(
    folder: Path, files: Sequence[PictureFile], side: int
) -> Generator[tuple[int, np.ndarray | str], None, None]:
    """(index, picture or the reason why there is none), in order, a bounded number at a time."""

    def decoded(file: PictureFile) -> np.ndarray | str:
        try:
            return decode(folder / file.relative, side)
        except UnreadableError as error:
            return str(error)

    # Filters belong to the process, not to a thread: they are set once around all of the work.
    with warnings.catch_warnings(), ThreadPoolExecutor(_THREADS) as pool:
        warnings.simplefilter("ignore")
        for start in range(0, len(files), _CHUNK):
            yield from enumerate(pool.map(decoded, files[start : start + _CHUNK]), start)
