"""Signs of life: what a worker is doing now, in a small file that the parent reads.

That the file changes tells that the worker still lives; what is in it, what it is doing.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

MOST_BETWEEN_LOOKS = 5.0  # seconds; who looks less often was not running


class Phase(StrEnum):
    """What a worker can be doing, as people read it."""

    STARTING = "starting"
    DECODE = "decoding pictures"
    MEASURE = "measuring latency and FLOPs"
    EXTRACT = "running the frozen layers once"
    PROBE = "fitting linear probes"
    TRAIN = "training"
    TEST = "classifying the test pictures"
    LATENCY = "measuring latency"
    THROUGHPUT = "measuring throughput"
    EXPORT = "exporting"


@dataclass(frozen=True)
class SignOfLife:
    """One message.

    Attributes:
        phase: what is being done.
        epoch: the epoch under way, from 1, where there are epochs.
        share: of the phase, or of the epoch, that is done, 0 to 1, where that is known.
    """

    phase: Phase = Phase.STARTING
    epoch: int | None = None
    share: float | None = None

    def __str__(self) -> str:
        text = self.phase.value
        if self.epoch is not None:
            text += f", epoch {self.epoch}"
        return text if self.share is None else f"{text} ({self.share:.0%})"


Beat = Callable[[SignOfLife], None]


def decoding(beat: Beat, give_way: Callable[[], None] = lambda: None) -> Callable[[float], None]:
    """What is called with the share that is done while pictures are decoded."""

    def on_step(share: float) -> None:
        give_way()
        beat(SignOfLife(Phase.DECODE, share=share))

    return on_step


def write(path: Path, sign: bytes) -> None:
    """Write a sign of life as it stands in the file, by a rename: who reads sees all of it.

    It is not forced to the disk: nobody reads it after a power cut.
    """
    part = path.with_suffix(".progress.part")
    number = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o666)  # its name is known
    with open(number, "wb") as file:
        file.write(sign)
    part.replace(path)


class Heartbeat:
    """The worker's side: writes a sign of life, at most twice a second while the phase stays the same."""

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._phase, self._written = path, "", 0.0

    def __call__(self, sign: SignOfLife) -> None:
        """Write a sign of life, unless one of the same phase was written just before."""
        now = time.monotonic()
        if sign.phase == self._phase and now - self._written < 0.5:
            return
        self._phase, self._written = sign.phase, now
        write(self._path, json.dumps(asdict(sign)).encode())

    def end(self) -> None:
        """The task is over: remove the file."""
        self._path.unlink(missing_ok=True)


def begin(path: Path) -> None:
    """The parent's side: from now on the worker is waited for."""
    Heartbeat(path)(SignOfLife())


def last_sign(path: Path) -> SignOfLife | None:
    """The last sign of life; None if the task has just ended."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return SignOfLife(Phase(values["phase"]), values["epoch"], values["share"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def silent_for(path: Path) -> float:
    """Seconds since the last sign of life by the clock, to be shown; 0 if the task has just ended."""
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return 0.0


class Silence:
    """How long tasks have been silent, in seconds that this process has seen: by that they are given up.

    What it did not see does not count: a laptop that sleeps, a process that is stopped, a clock that is put right.
    """

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[int, float, float]] = {}  # the last sign, seconds since, when that was looked at

    def of(self, path: Path) -> float:
        """Seconds since the last sign of life; 0 if the task has just ended. To be asked often."""
        try:
            sign = path.stat().st_mtime_ns
        except OSError:
            self._seen.pop(path, None)
            return 0.0
        now = time.monotonic()
        last, silent, looked = self._seen.get(path, (sign, 0.0, now))
        silent = silent + min(now - looked, MOST_BETWEEN_LOOKS) if sign == last else 0.0
        self._seen[path] = sign, silent, now
        return silent
