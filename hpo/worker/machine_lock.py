"""A quiet machine to measure on: while one process measures, those that train on it wait."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.reuse.shared import make_folder, open_lock


class MachineLock:
    """Lets one process measure while all others that train on this machine wait, at most one step long.

    Use it as a context manager. There are two lock files: whoever measures takes both alone; whoever trains holds the
    second one shared and between two steps passes through the first, so that a waiting measurement is never starved.
    """

    def __init__(self, cache_dir: Path):
        # A cache on a network drive is that of several machines, each of which measures for itself.
        folder = cache_dir / f"gate-{socket.gethostname()}"
        make_folder(folder)
        self._entry, self._room = open_lock(folder / "entry.lock"), open_lock(folder / "room.lock")

    def __enter__(self) -> "MachineLock":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._room)
        os.close(self._entry)

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Alone on the machine: waits until others have given way, and keeps them out."""
        fcntl.flock(self._entry, fcntl.LOCK_EX)
        fcntl.flock(self._room, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._room, fcntl.LOCK_UN)
            fcntl.flock(self._entry, fcntl.LOCK_UN)

    @contextmanager
    def training(self) -> Iterator[None]:
        """Beside others that train; none of them measures meanwhile."""
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
