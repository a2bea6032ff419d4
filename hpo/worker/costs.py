"""Latency and FLOPs remembered by architecture and device across studies, and a quiet machine to measure on."""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def write_atomically(path: Path, text: str) -> None:
    """Write through a temporary name, on disk before the rename: a reader sees all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


class Memory:
    """What architectures cost: one small file under `<cache>/latency` for each, with a dict of two dicts.

    `latency` is `models.latency.Latency`, `cost` has MACs, FLOPs and parameters.

    Trials with the same architecture have the same latency, so that a front never shows noise as a difference, and
    the same study run again proposes the same trials. Delete the folder to measure anew.
    """

    def __init__(self, cache_dir: Path, machine: Mapping[str, Any]):
        self._folder, self._machine = cache_dir / "latency", dict(machine)

    def _identity(self, architecture: str) -> dict[str, Any]:
        return {"architecture": architecture, "machine": self._machine}

    def _path(self, architecture: str) -> Path:
        text = json.dumps(self._identity(architecture), sort_keys=True)
        return self._folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"

    def recall(self, architecture: str) -> dict[str, Any] | None:
        try:
            kept = json.loads(self._path(architecture).read_text(encoding="utf-8"))
            known = kept["known"]
            if kept["identity"] == self._identity(architecture) and known["latency"]["median_ms"] > 0 and known["cost"]:
                return known
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            pass  # not measured yet, or not a file of ours: measuring again replaces it
        return None

    def remember(self, architecture: str, known: Mapping[str, Any]) -> None:
        kept = {"identity": self._identity(architecture), "known": dict(known)}
        write_atomically(self._path(architecture), json.dumps(kept, indent=1))


class Gate:
    """Lets one process measure while all others that train on this machine wait, at most one step long.

    Use it as a context manager. There are two lock files: whoever measures takes both alone; whoever trains holds the
    second one shared and between two steps passes through the first, so that a waiting measurement is never starved.
    """

    def __init__(self, cache_dir: Path):
        folder = cache_dir / "gate"
        folder.mkdir(parents=True, exist_ok=True)
        self._entry = (folder / "entry.lock").open("a")
        self._room = (folder / "room.lock").open("a")

    def __enter__(self) -> "Gate":
        return self

    def __exit__(self, *_: object) -> None:
        self._room.close()
        self._entry.close()

    @contextmanager
    def measuring(self) -> Iterator[None]:
        fcntl.flock(self._entry, fcntl.LOCK_EX)
        fcntl.flock(self._room, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._room, fcntl.LOCK_UN)
            fcntl.flock(self._entry, fcntl.LOCK_UN)

    @contextmanager
    def training(self) -> Iterator[None]:
        self.give_way()
        try:
            yield
        finally:
            fcntl.flock(self._room, fcntl.LOCK_UN)

    def give_way(self) -> None:
        """Call between two training steps."""
        fcntl.flock(self._room, fcntl.LOCK_UN)
        fcntl.flock(self._entry, fcntl.LOCK_SH)
        fcntl.flock(self._room, fcntl.LOCK_SH)
        fcntl.flock(self._entry, fcntl.LOCK_UN)
