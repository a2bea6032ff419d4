"""What a worker keeps account of: seconds by phase, and peak memory."""

import contextlib
import resource
import time
from pathlib import Path


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
    """The most memory that this process had, in MiB, since `reset_peak_memory`."""
    try:
        status = Path("/proc/self/status").read_text()
        return round(int(status.split("VmHWM:")[1].split()[0]) / 1024, 1)
    except (OSError, IndexError):
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
