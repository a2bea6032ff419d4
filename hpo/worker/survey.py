"""Latencies in a deployed runtime, measured beside the first trials: for each side of the study and each head once.

The latency of an architecture is that of its trunk, the network with a last layer only, and what its head adds to that
of such a layer. So a study with S sides and H widths of heads is measured S + H times and not S x H times, and at one
side a wider head is never faster by noise alone.
"""

import fcntl
import tempfile
import threading
import time
from collections.abc import Iterator
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
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    def want(self, architecture: Architecture) -> None:
        """Measure what the latency of an architecture is made of next, and then all of its kind that the study has."""
        with self._guard:
            asked = [*self._parts(architecture), *self._others(architecture)]
            waiting = list(dict.fromkeys([*asked, *self._waiting]))
            self._waiting = [part for part in waiting if self._memory.recall(part.key) is None]
            if self._waiting and (self._thread is None or not self._thread.is_alive()):
                self._error = None
                self._thread = threading.Thread(target=self._work, name="latency", daemon=True)
                self._thread.start()

    def latency(self, architecture: Architecture) -> DeployedLatency:
        """Of an architecture; waits until it is measured.

        Raises:
            ModelError: the network cannot be converted or run.
            Exception: whatever else goes wrong in the thread.
        """
        parts = self._parts(architecture)
        self.want(architecture)
        while any(self._memory.recall(part.key) is None for part in parts):
            if self._error is not None:
                raise self._error
            if self._thread is None or not self._thread.is_alive():
                self.want(architecture)  # its files were removed meanwhile
            time.sleep(POLL_SECONDS)
        trunk, *heads = (self._recalled(part) for part in parts)
        return add_head(trunk, *heads) if heads else trunk

    def _recalled(self, part: Part) -> DeployedLatency:
        known = self._memory.recall(part.key)
        assert known is not None
        latency = to_latency(known["latency"])
        assert isinstance(latency, DeployedLatency)
        return latency

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
        # One form for all sides, poolings and backbones: the head is the same.
        return Part(replace(architecture, resolution=self._sides[0], pooling="average"), key, head=True)

    def _work(self) -> None:
        """In the thread: until nothing waits."""
        try:
            with (
                tempfile.TemporaryDirectory() as folder,
                Converter(self._runtime) as converter,
            ):
                while (part := self._next()) is not None:
                    self._measure(part, converter, Path(folder) / "model")
        except Exception as error:  # raised where the latency is waited for
            self._error = error

    def _next(self) -> Part | None:
        with self._guard:
            self._waiting = [part for part in self._waiting if self._memory.recall(part.key) is None]
            return self._waiting[0] if self._waiting else None

    def _measure(self, part: Part, converter: Converter, path: Path) -> None:
        with _alone(self._cache_dir):
            if self._memory.recall(part.key) is None:  # another process may have measured it meanwhile
                self._remember(part, converter, path)

    def _remember(self, part: Part, converter: Converter, path: Path) -> None:
        if part.head:
            converter.head(part.architecture, self._channels, self._task.n_logits, path)
        else:
            converter.network(part.architecture, self._task, path)
        with MachineLock(self._cache_dir) as lock, lock.measuring():
            (latency,) = measure_files([path], self._runtime, self._threads)
        known = {"latency": asdict(latency), "cost": {"bytes": path.stat().st_size}}
        self._memory.remember(part.key, known)


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
def _alone(cache_dir: Path) -> Iterator[None]:
    """One process measures a part at a time: what it measured, the next one finds."""
    folder = cache_dir / "latency"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".survey.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
