"""Latencies in a deployed runtime, measured beside the first trials: for each side of the study and each head once.

The latency of an architecture is that of its trunk, the network with a last layer only, and what its head adds to that
of such a layer. So a study with S sides and H widths of heads is measured S + H times and not S x H times, and what a
head adds is the same at every side, and never less than nothing.
"""

import fcntl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.worker.machine_lock import MachineLock
from hpo.worker.memory import Memory, to_latency
from models.candidate import DIMENSIONS, Architecture
from models.dimension import Range
from models.latency.conversion import Converter
from models.latency.deployed import measure_files
from studies.outcomes import DeployedLatency

if TYPE_CHECKING:
    from models.build import Task

POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Part:
    """A network to be converted and measured: a trunk, or a head alone.

    Attributes:
        architecture: of a trunk with `head_width` 0.
        key: that it is remembered under.
        head: whether it is a head.
    """

    architecture: Architecture
    key: str
    head: bool


class Survey:
    """Measures parts one after the other in a thread, those that are waited for first.

    Processes with the same cache folder take turns, and find what another one has measured.

    Args:
        task: pictures, classes.
        channels: of the pooled features.
        runtime, threads: that it is measured in.
        sides: in pixels, of the study.
        memory: where latencies are kept.
        cache_dir: of the study.
    """

    def __init__(
        self,
        task: "Task",
        channels: int,
        runtime: str,
        threads: int,
        sides: tuple[int, ...],
        memory: Memory,
        cache_dir: Path,
    ):
        self._task, self._channels, self._runtime, self._threads = task, channels, runtime, threads
        self._sides, self._memory, self._cache_dir = sides, memory, cache_dir
        self._waiting: list[Part] = []
        self._errors: dict[str, Exception] = {}  # by a part's key, until it is wanted again
        self._guard = threading.Lock()
        self._working = False
        self._measured = 0

    def want(self, architecture: Architecture) -> None:
        """Measure what the latency of an architecture is made of next, and then all of its kind that the study has."""
        with self._guard:
            asked = self._parts(architecture)
            for part in asked:
                self._errors.pop(part.key, None)
            self._waiting = list(dict.fromkeys([*asked, *self._others(architecture), *self._waiting]))
            self._start()

    def latency(self, architecture: Architecture, on_part: Callable[[], None] = lambda: None) -> DeployedLatency:
        """Of an architecture; waits until it is measured, and calls `on_part` when a part was measured meanwhile.

        Raises:
            ModelError: the network cannot be converted or run.
            Exception: whatever else goes wrong in the thread.
        """
        parts, measured = self._parts(architecture), self._measured
        while None in (known := [self._known(part) for part in parts]):
            with self._guard:
                errors = [self._errors[part.key] for part in parts if part.key in self._errors]
                if errors:
                    raise errors[0]
                self._waiting = list(dict.fromkeys([*parts, *self._waiting]))
                self._start()
            if self._measured != measured:
                measured = self._measured
                on_part()
            time.sleep(POLL_SECONDS)
        trunk, *heads = (latency for latency in known if latency is not None)
        return add_head(trunk, *heads) if heads else trunk

    def _start(self) -> None:
        """With the guard held: let the thread work if there is work and it does not."""
        self._waiting = [part for part in self._waiting if part.key not in self._errors and self._known(part) is None]
        if self._waiting and not self._working:
            self._working = True
            threading.Thread(target=self._work, name="latency", daemon=True).start()

    def _known(self, part: Part) -> DeployedLatency | None:
        known = self._memory.recall(part.key)
        latency = to_latency(known["latency"]) if known else None
        return latency if isinstance(latency, DeployedLatency) else None

    def _parts(self, architecture: Architecture) -> list[Part]:
        """The trunk; with a head beyond a last layer also that head, and the last layer alone."""
        parts = [self._trunk(architecture)]
        if architecture.head_width or architecture.batch_norm_head:
            parts += [self._head(architecture), self._head(_bare(architecture))]
        return parts

    def _others(self, architecture: Architecture) -> Iterator[Part]:
        """All trunks and heads of the study that differ from an architecture in side and width only."""
        for side in self._sides:
            yield self._trunk(replace(architecture, resolution=side))
        widths = DIMENSIONS["head_width"].values
        assert isinstance(widths, Range) and widths.step
        for width in range(int(widths.low), int(widths.high) + 1, widths.step):
            yield self._head(replace(architecture, head_width=width))

    def _trunk(self, architecture: Architecture) -> Part:
        bare, task = _bare(architecture), self._task
        size = f"{task.height}x{task.width}x{task.channels}"
        return Part(bare, f"trunk/{bare.architecture_key()}/{size}/{task.n_logits}", head=False)

    def _head(self, architecture: Architecture) -> Part:
        norm = "+bn" if architecture.batch_norm_head else ""
        key = f"head/{self._channels}/{architecture.head_width}{norm}/{self._task.n_logits}"
        # One form for all sides and poolings: the head is the same.
        return Part(replace(architecture, resolution=self._sides[0], pooling="average"), key, head=True)

    def _work(self) -> None:
        """In the thread: until nothing waits. What goes wrong is kept for whoever asks for that part."""
        with Converter(self._runtime) as converter:
            while (part := self._next()) is not None:
                try:
                    self._measure(part, converter)
                except Exception as error:
                    self._errors[part.key] = error

    def _next(self) -> Part | None:
        with self._guard:
            waiting = (part for part in self._waiting if part.key not in self._errors and self._known(part) is None)
            part = next(waiting, None)
            self._working = part is not None
            return part

    def _measure(self, part: Part, converter: Converter) -> None:
        folder = self._cache_dir / "latency"
        path = folder / ".survey.model"  # one for all: a killed process leaves at most this
        with _alone(folder):
            if self._known(part) is not None:
                return  # another process has measured it meanwhile
            try:
                if part.head:
                    converter.head(part.architecture, self._channels, self._task.n_logits, path)
                else:
                    converter.network(part.architecture, self._task, path)
                with MachineLock(self._cache_dir) as lock, lock.measuring():
                    (latency,) = measure_files([path], self._runtime, self._threads)
            finally:
                path.unlink(missing_ok=True)
            self._memory.remember(part.key, {"latency": asdict(latency)})
        self._measured += 1


def add_head(trunk: DeployedLatency, head: DeployedLatency, bare: DeployedLatency) -> DeployedLatency:
    """The latency of a network from that of its trunk, of its head, and of the last layer that the trunk has."""
    added = max(0.0, head.ms - bare.ms)
    unsure = (head.high_ms - head.ms) + (bare.high_ms - bare.ms)
    spread = {
        name: getattr(trunk, name) + max(0.0, getattr(head, name) - getattr(bare, name))
        for name in ("median_ms", "p10_ms", "p90_ms", "p99_ms")
    }
    return replace(trunk, ms=trunk.ms + added, high_ms=trunk.high_ms + added + unsure, **spread)


def _bare(architecture: Architecture) -> Architecture:
    return replace(architecture, head_width=0, batch_norm_head=False)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process measures a part at a time: what it measured, the next one finds."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".survey.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
