"""Arrays that are dear to compute, kept on disk for all trials, studies and processes: one protocol for all of them.

An entry is `<name>.npy`, a plain array file to be memory-mapped, and `<name>.json`, which is published last: without it
the entry does not exist. Whoever writes or deletes an entry holds `<name>.lock`; temporary files belong to the same
lock, so those whose lock is free were left by a killed process. `room.lock` is held for moments: while room is made,
and while an entry is published. A file that is being written has its final size from the start, so that the sum of all
sizes stays within the limit with any number of processes.

Whoever opens an entry for the first time verifies its SHA-256. Measured (`benchmarks/checksum.py`, AMD EPYC, 512 MiB):
0.35 s with the file in memory and 0.38 s from the disk, where reading alone takes 0.03 s and 0.21 s; after that 0.2 ms
for as long as the file stays as it is. So 0.7 s a GiB once in the life of a worker (200 trials), which computing it
anew exceeds many times over: the check stays, since activations or pictures that were damaged on the disk would
otherwise end as accuracies that nobody can explain.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from models.reuse.entry import Key, Record, entry_bytes, fill, header, name_of, read_record, to_disk
from models.reuse.locks import locked, locked_patiently, remember_sha256, sha256_of, temporary
from models.reuse.shared import is_trusted, make_folder

RESERVE = 256 * 2**20  # bytes of the disk that entries under a limit never fill: results and databases may lie there
_NAME = re.compile(r"[0-9a-f]{64}\.(npy|json|lock|[^.]+\.tmp)")


class TooLarge(OSError):
    """The entry is larger than the limit or the disk allows."""


@dataclass(frozen=True)
class Stored:
    """What is kept under a key."""

    array: np.ndarray  # a read-only np.memmap
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """What lies in the folder under one name. Damaged ones, and those of another version, have no key and no shape."""

    key: Key | None
    bytes: int
    last_used: float  # POSIX seconds
    path: Path
    shape: tuple[int, ...] = ()


def picture_store(cache_dir: Path) -> "Store":
    """Decoded pictures below a cache folder, for `datasets.registry`.

    They have no limit but the disk, and none goes for another: without its pictures a study cannot run.
    """
    return Store(cache_dir / "pictures")


def to_evict(entries: Sequence[Entry], limit: int, needed: int) -> list[Entry]:
    """Which entries must go for `needed` more bytes within `limit`: the least recently used, no more than it takes.

    Empty if `needed` alone exceeds the limit, since deleting would not help.
    """
    if needed > limit:
        return []
    excess, chosen = sum(entry.bytes for entry in entries) + needed - limit, []
    for entry in sorted(entries, key=lambda entry: entry.last_used):
        if excess <= 0:
            break
        chosen.append(entry)
        excess -= entry.bytes
    return chosen


class Store:
    """The entries in one folder. Nothing is created until something is written.

    Args:
        folder: holds nothing else; files of other names are neither counted nor touched.
        limit_bytes: of all entries together; beyond it the least recently used ones go. None: only the disk is a
            limit, and nothing goes by itself.
    """

    def __init__(self, folder: Path, limit_bytes: int | None = None):
        self.folder, self._limit = folder, limit_bytes

    def find(self, key: Key) -> Stored | None:
        """The entry, or None if there is none that can be trusted.

        Marks it as used now. The checksum is verified once for each process and state of the file.
        """
        record, path = self._record(key), self._path(key, "npy")
        if record is None:
            return None
        head = header(record.shape, record.dtype)
        try:
            # One descriptor for checking and mapping: another process may replace the file in between.
            with path.open("rb") as stream:
                file = os.fstat(stream.fileno())
                whole = file.st_size == entry_bytes(record.shape, record.dtype)
                if (
                    not whole
                    or not is_trusted(file)
                    or stream.read(len(head)) != head
                    or sha256_of(stream, path) != record.sha256
                ):
                    return None
                array = np.memmap(stream, record.dtype, "r", len(head), record.shape)
        except (OSError, ValueError):  # gone, or cut short in this very moment
            return None
        with contextlib.suppress(OSError):  # a folder that may only be read
            os.utime(self._path(key, "json"))
        return Stored(array, record.details or {})

    def has(self, key: Key) -> bool:
        """Whether there is a record and a file of the right size; cheap, since nothing else is verified."""
        record = self._record(key)
        try:
            file = self._path(key, "npy").stat()
            return record is not None and is_trusted(file) and file.st_size == entry_bytes(record.shape, record.dtype)
        except OSError:
            return False

    def is_written(self, key: Key) -> bool:
        """Whether another process is writing the entry at this moment, or was when it was killed (see `room`)."""
        return any(self.folder.glob(f"{name_of(key)}.*.tmp"))

    def get(
        self,
        key: Key,
        shape: tuple[int, ...],
        dtype: str,
        produce: Callable[[], Iterator[np.ndarray]],
        what: str,
        details: Callable[[], Mapping[str, Any]] | None = None,
        on_wait: Callable[[], None] = lambda: None,
    ) -> Stored:
        """The entry; computed in one process only if several ask.

        Args:
            key: all that the array depends on, as plain JSON.
            shape: of the whole array, (n, ...).
            dtype: float16, float32 or uint8.
            produce: called if the entry is not there yet; gives batches along the first axis. Whatever it raises
                passes through; after any error nothing of the entry stays.
            what: how messages call the array.
            details: called when all batches are written; what it gives is kept beside the array. With it there may be
                fewer rows than n, since it can say which are missing.
            on_wait: called every now and then while another process computes the entry.

        Raises:
            ValueError: the batches do not add up to `shape`.
            TooLarge: the entry exceeds the limit or the disk.
            OSError: the folder cannot be written to.
        """
        shape = tuple(int(size) for size in shape)
        if not shape or min(shape) < 1:
            raise ValueError(f"shape must have at least one dimension, all at least 1. Received: {shape}")

        def find() -> Stored | None:
            stored = self.find(key)
            if stored is None or stored.array.dtype != np.dtype(dtype) or bool(stored.details) != bool(details):
                return None
            n_rows, *rest = stored.array.shape
            return stored if tuple(rest) == shape[1:] and (n_rows == shape[0] or details) else None

        stored = find()
        if stored is not None:
            return stored
        needed = entry_bytes(shape, dtype)
        if self._limit is not None and needed > self._limit:
            raise TooLarge(f"{what} take {mib(needed)}; the limit is {mib(self._limit)}")
        make_folder(self.folder)
        with locked_patiently(self._path(key, "lock"), on_wait):
            stored = find()  # while we waited another process may have written it
            if stored is None:
                self._write(key, shape, dtype, produce, what, details)
                stored = find()
        if stored is None:
            raise OSError(f"the cache folder {self.folder} does not give back what was written to it")
        return stored

    def room(self) -> int:
        """Bytes (see `entry_bytes`) that a new entry may have right now if it takes the place of all that may go.

        What other processes are writing counts as taken; what killed ones left is removed. At least 0.
        """
        return self._room()[0]

    def _room(self) -> tuple[int, int]:
        """`room`, and how many bytes of it entries have now."""
        files = self._files()
        if begun := {file[:64] for file in files if file.endswith(".tmp")}:
            with contextlib.suppress(OSError):  # a folder that may only be read
                for name in begun:
                    self._remove(name, "*.tmp")
            files = self._files()
        writing = [file for name, file in files.items() if name.endswith(".tmp")]
        unwritten = sum(max(0, file.st_size - file.st_blocks * 512) for file in writing)
        existing = next(path for path in (self.folder, *self.folder.absolute().parents) if path.exists())
        on_disk = shutil.disk_usage(existing).free - unwritten
        stored = sum(file.st_size for name, file in files.items() if name.endswith(".npy"))
        if self._limit is None:
            return max(0, on_disk), stored
        return max(0, min(self._limit - sum(file.st_size for file in writing), on_disk + stored - RESERVE)), stored

    def entries(self) -> list[Entry]:
        """All entries, the least recently used first."""
        files, entries = self._files(), []
        for name in {file[:64] for file in files if file.endswith((".npy", ".json"))}:
            record_file, data_file = files.get(f"{name}.json"), files.get(f"{name}.npy")
            size = data_file.st_size if data_file else 0
            last_used = max(file.st_mtime for file in (record_file, data_file) if file)
            path = self.folder / f"{name}.npy"
            record = read_record(path.with_suffix(".json"))
            if record and (name_of(record.key), entry_bytes(record.shape, record.dtype)) == (name, size):
                entries.append(Entry(record.key, size, last_used, path, record.shape))
            else:
                entries.append(Entry(None, size, last_used, path))
        return sorted(entries, key=lambda entry: (entry.last_used, entry.path))

    def clear(self) -> int:
        """Delete all entries and left-overs but what is being written at this moment; returns the bytes freed."""
        return sum(self._remove(name) or 0 for name in {file[:64] for file in self._files()})

    def _path(self, key: Key, kind: str) -> Path:
        return self.folder / f"{name_of(key)}.{kind}"

    def _record(self, key: Key) -> Record | None:
        record = read_record(self._path(key, "json"))
        return record if record and record.key == key else None

    def _files(self) -> dict[str, os.stat_result]:
        """Ours by name."""
        files = {}
        with contextlib.suppress(FileNotFoundError), os.scandir(self.folder) as there:
            for file in there:
                with contextlib.suppress(FileNotFoundError):  # deleted by another process since
                    if _NAME.fullmatch(file.name):
                        files[file.name] = file.stat()
        return files

    def _write(
        self,
        key: Key,
        shape: tuple[int, ...],
        dtype: str,
        produce: Callable[[], Iterator[np.ndarray]],
        what: str,
        details: Callable[[], Mapping[str, Any]] | None,
    ) -> None:
        """The caller holds the lock of the entry."""
        name, path, room_lock = name_of(key), self._path(key, "npy"), self.folder / "room.lock"
        self._delete(name)  # what was found damaged, and what a killed process left of it
        with contextlib.ExitStack() as files:
            with locked(room_lock):
                self._make_room(what, entry_bytes(shape, dtype))
                data = files.enter_context(temporary(self.folder, name))
                data.truncate(entry_bytes(shape, dtype))  # others count it from now on
            shape, checksum = fill(data, shape, dtype, produce(), fewer=details is not None)
            to_disk(data)
            remember_sha256(data, path, checksum)
            record = Record(key, shape, dtype, checksum, None if details is None else details())
            with locked(room_lock):  # whoever counts sees the temporary file or the entry, not neither or both
                record_file = files.enter_context(temporary(self.folder, name))
                record_file.write(record.to_json().encode())
                to_disk(record_file)
                os.rename(data.name, path)
                os.rename(record_file.name, path.with_suffix(".json"))

    def _make_room(self, what: str, needed: int) -> None:
        limit, stored = self._room()
        full = self._limit is not None and stored + needed > limit
        entries = self.entries() if full else []  # reads every record, of which there may be thousands
        while victims := to_evict(entries, limit, needed):
            for victim in victims:
                entries.remove(victim)
                if self._remove(victim.path.stem) is None:  # being looked at or written anew: it stays
                    limit -= victim.bytes
        if needed > limit:
            raise TooLarge(f"{what} take {mib(needed)}; there is room for {mib(max(0, limit))}")

    def _remove(self, name: str, kind: str = "*") -> int | None:
        """Deletes files of one entry and returns their bytes; None if its lock is taken."""
        with locked(self.folder / f"{name}.lock", wait=False) as ours:
            return self._delete(name, kind) if ours else None

    def _delete(self, name: str, kind: str = "*") -> int:
        freed = 0
        # The record goes first: without it nobody takes the array for an entry.
        for path in sorted(self.folder.glob(f"{name}.{kind}"), key=lambda path: path.suffix != ".json"):
            if path.suffix != ".lock":  # it goes when it is let go of
                freed += path.stat().st_size
                path.unlink()
        return freed


def mib(n_bytes: int) -> str:
    """`1,234.5 MiB`."""
    return f"{n_bytes / 2**20:,.1f} MiB"
