"""Activations behind a frozen prefix, computed once and kept on disk for all trials, studies and processes.

    python -m models.prefix_cache list
    python -m models.prefix_cache clear

An entry is `<digest>.npy`, a plain array file to be memory-mapped, and `<digest>.json`, which is published last:
without it the entry does not exist. Whoever writes or deletes an entry holds `<digest>.lock`; temporary files belong to
the same lock, so those whose lock is free were left by a killed process. `room.lock` is held for moments: while room is
made, and while an entry is published. A file that is being written has its final size from the start, so that the sum
of all sizes stays within the limit with any number of processes.
"""

import contextlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import click
import numpy as np

from models import ModelError
from models.command import OneLineCommand
from models.reuse.entry import (
    FORMAT_VERSION,
    Key,
    Record,
    entry_bytes,
    fill,
    header,
    read_record,
    to_disk,
)
from models.reuse.locks import locked, locked_patiently, remember_sha256, sha256_of, temporary

RESERVE = 256 * 2**20  # bytes of the disk that are never filled: results and databases may lie on the same one
_NAME = re.compile(r"[0-9a-f]{64}\.(npy|json|lock|[^.]+\.tmp)")


class TooLarge(OSError):
    """The entry is larger than the limit or the disk allows."""


@dataclass(frozen=True)
class Entry:
    """What lies in the folder under one name. Damaged ones, and those of another version, have no key and no shape."""

    key: Key | None
    bytes: int
    last_used: float  # POSIX seconds
    path: Path
    shape: tuple[int, ...] = ()


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


class PrefixCache:
    """The store in `cache_dir`/prefix, of at most `limit_bytes`. Nothing is created until something is written."""

    def __init__(self, cache_dir: Path, limit_bytes: int):
        self._place, self._limit = cache_dir / "prefix", limit_bytes

    def find(self, key: Key) -> np.ndarray | None:
        """The activations as a read-only np.memmap, or None if there are none that can be trusted.

        Marks the entry as used now. The checksum is verified once for each process and state of the file.
        """
        record, path = self._record(key), self._path(key, "npy")
        if record is None:
            return None
        head = header(record.shape, key.dtype)
        try:
            # One descriptor for checking and mapping: another process may replace the file in between.
            with path.open("rb") as stream:
                whole = os.fstat(stream.fileno()).st_size == entry_bytes(record.shape, key.dtype)
                if not whole or stream.read(len(head)) != head or sha256_of(stream, path) != record.sha256:
                    return None
                array = np.memmap(stream, key.dtype, "r", len(head), record.shape)
        except (OSError, ValueError):  # gone, or cut short in this very moment
            return None
        with contextlib.suppress(OSError):  # a folder that may only be read
            os.utime(self._path(key, "json"))
        return array

    def has(self, key: Key) -> bool:
        """Whether there is a record and a file of the right size; cheap, since nothing else is verified."""
        record = self._record(key)
        try:
            return record is not None and self._path(key, "npy").stat().st_size == entry_bytes(record.shape, key.dtype)
        except OSError:
            return False

    def get(
        self,
        key: Key,
        shape: tuple[int, ...],
        produce: Callable[[], Iterator[np.ndarray]],
        on_wait: Callable[[], None] = lambda: None,
    ) -> np.ndarray:
        """The activations, (n, ...) = `shape`, as a read-only np.memmap; computed in one process only if several ask.

        `produce` is called if they are not there yet. It gives batches along the first axis, which are cast to the
        dtype of the key. Whatever it raises passes through; after any error nothing of the entry stays. `on_wait` is
        called every now and then while another process computes them.

        Raises:
            ValueError: the batches do not add up to `shape`.
            FeatureOverflow: float16 is asked for and cannot hold a value.
            TooLarge: the entry exceeds the limit or the disk.
            OSError: the folder cannot be written to.
        """
        shape = tuple(int(size) for size in shape)
        if not shape or min(shape) < 1:
            raise ValueError(f"shape must have at least one dimension, all at least 1. Received: {shape}")
        found = self.find(key)
        if found is not None and found.shape == shape:
            return found
        needed = entry_bytes(shape, key.dtype)
        if needed > self._limit:
            raise TooLarge(f"activations at {key.cut} take {_mib(needed)}; the limit is {_mib(self._limit)}")
        self._place.mkdir(parents=True, exist_ok=True)
        with locked_patiently(self._path(key, "lock"), on_wait):
            found = self.find(key)  # while we waited another process may have written it
            if found is None or found.shape != shape:
                self._write(key, shape, produce)
                found = self.find(key)
        if found is None:
            raise OSError(f"the cache folder {self._place} does not give back what was written to it")
        return found

    def room(self) -> int:
        """Bytes (see `entry_bytes`) that a new entry may have right now if it takes the place of all others.

        What other processes are writing counts as taken; what killed ones left is removed. At least 0.
        """
        with contextlib.suppress(OSError):  # a folder that may only be read
            for digest in {name[:64] for name in self._files() if name.endswith(".tmp")}:
                self._remove(digest, "*.tmp")
        files = self._files()
        writing = [file for name, file in files.items() if name.endswith(".tmp")]
        unwritten = sum(max(0, file.st_size - file.st_blocks * 512) for file in writing)
        stored = sum(file.st_size for name, file in files.items() if name.endswith(".npy"))
        existing = next(path for path in (self._place, *self._place.absolute().parents) if path.exists())
        on_disk = shutil.disk_usage(existing).free - unwritten + stored - RESERVE
        return max(0, min(self._limit - sum(file.st_size for file in writing), on_disk))

    def entries(self) -> list[Entry]:
        """All entries, the least recently used first."""
        files, found = self._files(), []
        for digest in {name[:64] for name in files if name.endswith((".npy", ".json"))}:
            record_file, data_file = files.get(f"{digest}.json"), files.get(f"{digest}.npy")
            size = data_file.st_size if data_file else 0
            last_used = max(file.st_mtime for file in (record_file, data_file) if file)
            path = self._place / f"{digest}.npy"
            record = read_record(path.with_suffix(".json"))
            if record and (record.key.digest(), entry_bytes(record.shape, record.key.dtype)) == (digest, size):
                found.append(Entry(record.key, size, last_used, path, record.shape))
            else:
                found.append(Entry(None, size, last_used, path))
        return sorted(found, key=lambda entry: (entry.last_used, entry.path))

    def clear(self) -> int:
        """Deletes all entries and left-overs but what is being written at this moment; returns the bytes freed."""
        return sum(self._remove(digest) or 0 for digest in {name[:64] for name in self._files()})

    def _path(self, key: Key, kind: str) -> Path:
        return self._place / f"{key.digest()}.{kind}"

    def _record(self, key: Key) -> Record | None:
        record = read_record(self._path(key, "json"))
        return record if record and record.key == key else None

    def _files(self) -> dict[str, os.stat_result]:
        """Ours by name; other files in the folder are neither counted nor touched."""
        files = {}
        with contextlib.suppress(FileNotFoundError), os.scandir(self._place) as found:
            for file in found:
                with contextlib.suppress(FileNotFoundError):  # deleted by another process since
                    if _NAME.fullmatch(file.name):
                        files[file.name] = file.stat()
        return files

    def _write(self, key: Key, shape: tuple[int, ...], produce: Callable[[], Iterator[np.ndarray]]) -> None:
        """The caller holds the lock of the entry."""
        digest, path, room_lock = key.digest(), self._path(key, "npy"), self._place / "room.lock"
        self._delete(digest)  # what was found damaged, and what a killed process left of it
        with contextlib.ExitStack() as files:
            with locked(room_lock):
                self._make_room(key, entry_bytes(shape, key.dtype))
                data = files.enter_context(temporary(self._place, digest))
                data.truncate(entry_bytes(shape, key.dtype))  # others count it from now on
            checksum = fill(data, key, shape, produce())
            to_disk(data)
            remember_sha256(data, path, checksum)
            about = {"format": FORMAT_VERSION, "key": asdict(key), "shape": shape, "dtype": key.dtype}
            with locked(room_lock):  # whoever counts sees the temporary file or the entry, not neither or both
                record = files.enter_context(temporary(self._place, digest))
                record.write(json.dumps({**about, "sha256": checksum}, indent=1).encode())
                to_disk(record)
                os.rename(data.name, path)
                os.rename(record.name, path.with_suffix(".json"))

    def _make_room(self, key: Key, needed: int) -> None:
        limit, entries = self.room(), self.entries()
        while victims := to_evict(entries, limit, needed):
            for victim in victims:
                entries.remove(victim)
                if self._remove(victim.path.stem) is None:  # being looked at or written anew: it stays
                    limit -= victim.bytes
        if needed > limit:
            raise TooLarge(f"activations at {key.cut} take {_mib(needed)}; there is room for {_mib(max(0, limit))}")

    def _remove(self, digest: str, kind: str = "*") -> int | None:
        """Deletes files of one entry and returns their bytes; None if its lock is taken."""
        with locked(self._place / f"{digest}.lock", wait=False) as ours:
            return self._delete(digest, kind) if ours else None

    def _delete(self, digest: str, kind: str = "*") -> int:
        freed = 0
        # The record goes first: without it nobody takes the array for an entry.
        for path in sorted(self._place.glob(f"{digest}.{kind}"), key=lambda path: path.suffix != ".json"):
            if path.suffix != ".lock":  # it goes when it is let go of
                freed += path.stat().st_size
                path.unlink()
        return freed


def _mib(n_bytes: int) -> str:
    return f"{n_bytes / 2**20:,.1f} MiB"


def _print_list(entries: Sequence[Entry], cache_dir: Path) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    if not entries:
        click.echo(f"no activations are kept in {cache_dir}")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("backbone", "cut", "pixels", "data set", "split", "view", "dtype", "shape", "MiB", "last use"):
        table.add_column(column, justify="right" if column in ("pixels", "shape", "MiB") else "left")
    for entry in entries:
        key, words = entry.key, ["(damaged)", *[""] * 7]
        if key is not None:
            words = [key.backbone, key.cut, str(key.resolution), key.dataset[:12], key.split, key.view, key.dtype]
            words.append(" x ".join(map(str, entry.shape)))
        last_use = datetime.fromtimestamp(entry.last_used).astimezone().isoformat(timespec="seconds")
        table.add_row(*words, f"{entry.bytes / 2**20:,.1f}", last_use)
    # Piped, the width of a terminal means nothing: no wrapping. Names are shown as they are, brackets too.
    console = Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else 500)
    console.print(table)
    noun = "entry" if len(entries) == 1 else "entries"
    click.echo(f"{len(entries)} {noun}, {_mib(sum(entry.bytes for entry in entries))} in {cache_dir}")


@click.command(cls=OneLineCommand, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.argument("action", type=click.Choice(["list", "clear"]))
@click.option(
    "--cache-dir",
    default="~/.cache/keras-hpo",
    envvar="HPO_CACHE_DIR",
    show_envvar=True,
    metavar="FOLDER",
    callback=lambda _ctx, _param, value: Path(value).expanduser(),
    help="the folder that was given to hpo-run",
)
def command(action: str, cache_dir: Path) -> None:
    """List or clear the activations that studies keep behind frozen layers.

    list shows each entry, the least recently used first: that one goes first when --cache-gib is reached. clear deletes
    all but what is being written at this moment; running studies compute again what they still need.
    """
    store = PrefixCache(cache_dir, limit_bytes=0)
    try:
        if action == "list":
            _print_list(store.entries(), cache_dir)
        else:
            click.echo(f"{_mib(store.clear())} freed in {cache_dir}")
    except OSError as error:
        raise ModelError(f"the cache folder {cache_dir} cannot be used: {error.strerror or error}") from error


if __name__ == "__main__":
    command()
