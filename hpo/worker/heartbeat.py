"""What a worker says while a trial runs, and what it keeps account of: signs of life, seconds by phase, memory."""

import contextlib
import json
import resource
import time
from pathlib import Path


class Progress:
    """Signs of life for the parent: a small file with phase, epoch and share, renewed at most twice a second."""

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._phase, self._written = path, "", 0.0

    def __call__(self, phase: str, *where: float) -> None:
        now = time.monotonic()
        if phase == self._phase and now - self._written < 0.5:
            return
        self._phase, self._written = phase, now
        part = self._path.with_suffix(".progress.part")
        part.write_text(json.dumps({"phase": phase, "where": where}), encoding="utf-8")
        part.replace(self._path)

    def end(self) -> None:
        self._path.unlink(missing_ok=True)


class timed:
    """Adds the seconds spent inside to `account[phase]`; several accounts share them evenly."""

    def __init__(self, phase: str, *accounts: dict[str, float]):
        self._phase, self._accounts = phase, accounts

    def __enter__(self) -> "timed":
        self._start = time.perf_counter()
        return self

    def now(self, phase: str) -> None:
        """From here on it is another phase."""
        if phase != self._phase:
            self.__exit__()
            self._phase, self._start = phase, time.perf_counter()

    def __exit__(self, *_: object) -> None:
        spent = time.perf_counter() - self._start
        for account in self._accounts:
            account[self._phase] = round(account.get(self._phase, 0.0) + spent / len(self._accounts), 4)


def reset_peak_memory() -> None:
    """On Linux the high-water mark can be set back, so that each trial has its own."""
    with contextlib.suppress(OSError):  # elsewhere the mark is that of the worker's whole life
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mib() -> float:
    try:
        status = Path("/proc/self/status").read_text()
        return round(int(status.split("VmHWM:")[1].split()[0]) / 1024, 1)
    except (OSError, IndexError):
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
