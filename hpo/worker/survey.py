"""Latencies in a deployed runtime, measured beside the first trials: a few parts for all architectures of a study.

A thread of the worker drives two processes: one converts the parts, one measures them in rounds, in which all parts
take turns. See `hpo.worker.latency_table` for how latencies are made of them.
"""

import fcntl
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from hpo.worker.latency_table import WIDTHS, LatencyTable, combine, contradictions
from hpo.worker.machine_lock import MachineLock
from hpo.worker.memory import Memory, to_latency
from models.candidate import Architecture
from models.latency.conversion import Converter
from models.latency.deployed import measure_files
from studies.outcomes import DeployedLatency

if TYPE_CHECKING:
    from models.build import Task

POLL_SECONDS = 0.2
MOST_MEASUREMENTS = 2  # of a part whose latency contradicts that of another: then it is as it is


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

    @property
    def size(self) -> int:
        """What it is monotone in: a side, or a width."""
        return self.architecture.head_width if self.head else self.architecture.resolution


class Survey:
    """Measures the parts of architectures in a thread, all of one kind at once: those that differ in side and width.

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
        # Converted parts, by key: open and without a name, so that no kill leaves them on the disk.
        self._files: dict[str, IO[bytes]] = {}
        self._open = ExitStack()
        weakref.finalize(self, self._open.close)
        self._waiting: list[Architecture] = []  # kinds
        self._tables: dict[Architecture, LatencyTable] = {}  # by kind
        self._errors: dict[str, Exception] = {}  # by a part's key, until it is wanted again
        self._guard = threading.Lock()
        self._working = False
        self._steps = 0

    def want(self, architecture: Architecture) -> None:
        """Measure what the latencies of an architecture and of all of its kind are made of."""
        with self._guard:
            wrong = self._errors.keys() & {part.key for part in self._parts_of(architecture)}
            if wrong:
                self._errors = {key: error for key, error in self._errors.items() if key not in wrong}
                self._tables.pop(self._kind(architecture), None)
        self._begin(self._kind(architecture))

    def _begin(self, kind: Architecture) -> None:
        with self._guard:
            if kind in self._tables or kind in self._waiting:
                return
            if not self._missing(kind) and not self._contradicting(kind):
                self._tables[kind] = self._table(kind)
                return
            self._waiting.append(kind)
            if not self._working:
                self._working = True
                threading.Thread(target=self._work, name="latency", daemon=True).start()

    def latency(self, architecture: Architecture, on_step: Callable[[], None] = lambda: None) -> DeployedLatency:
        """Of an architecture; waits until its kind is measured, and calls `on_step` when a step was done meanwhile.

        Raises:
            ModelError: the network cannot be converted or run.
            Exception: whatever else goes wrong in the thread.
        """
        kind, steps = self._kind(architecture), self._steps
        while (table := self._tables.get(kind)) is None:
            self._begin(kind)
            if self._steps != steps:
                steps = self._steps
                on_step()
            time.sleep(POLL_SECONDS)
        for part in self._parts_of(architecture):
            if part.key in self._errors:
                raise self._errors[part.key]
        return table.latency(architecture.resolution, architecture.head_width)

    def measure_again(self, architectures: Iterable[Architecture], on_step: Callable[[], None]) -> None:
        """Measure what these latencies are made of once more, in rounds together, and take the mean.

        Raises:
            ModelError: a network cannot be converted or run.
        """
        parts = list(dict.fromkeys(part for each in architectures for part in self._parts_of(each)))
        with _alone(self._cache_dir / "latency"):
            self._measure(parts, on_step)
        for part in parts:
            if part.key in self._errors:
                raise self._errors[part.key]
        with self._guard:
            self._tables = {kind: self._table(kind) for kind in self._tables}

    def _work(self) -> None:
        """In the thread: until nothing waits. What goes wrong is kept for whoever asks for that part."""
        while (kind := self._next()) is not None:
            try:
                with _alone(self._cache_dir / "latency"):
                    self._measure(self._missing(kind), self._on_step)
                    for _ in range(1, MOST_MEASUREMENTS):
                        self._measure(self._contradicting(kind), self._on_step)
            except Exception as error:
                self._errors |= {part.key: error for part in self._missing(kind)}
            with self._guard:
                self._tables[kind] = self._table(kind)
                self._waiting.remove(kind)

    def _next(self) -> Architecture | None:
        with self._guard:
            kind = self._waiting[0] if self._waiting else None
            self._working = kind is not None
            return kind

    def _on_step(self) -> None:
        self._steps += 1

    def _measure(self, parts: Sequence[Part], on_step: Callable[[], None]) -> None:
        """Convert what is not converted yet, measure all together, and remember."""
        with Converter(self._runtime) as converter:
            for part in parts:
                try:
                    self._convert(part, converter)
                except Exception as error:
                    self._errors[part.key] = error
                on_step()
        parts = [part for part in parts if part.key in self._files]
        if not parts:
            return

        @contextmanager
        def alone() -> Iterator[None]:
            with MachineLock(self._cache_dir) as lock, lock.measuring():
                yield
            on_step()

        files = [self._files[part.key].fileno() for part in parts]
        measured = measure_files(files, self._runtime, self._threads, alone=alone)
        for part, latency in zip(parts, measured, strict=True):
            before, times = self._known(part)
            record = DeployedLatency(**asdict(latency))
            together = combine(before, record) if before else record
            self._memory.remember(part.key, {"latency": asdict(together), "times": times + 1})

    def _convert(self, part: Part, converter: Converter) -> None:
        if part.key in self._files:
            return
        path = self._cache_dir / "latency" / ".survey.model"  # one name for all: a killed process leaves at most this
        try:
            if part.head:
                converter.head(part.architecture, self._channels, self._task.n_logits, path)
            else:
                converter.network(part.architecture, self._task, path)
            self._files[part.key] = self._open.enter_context(path.open("rb"))
        finally:
            path.unlink(missing_ok=True)

    def _known(self, part: Part) -> tuple[DeployedLatency | None, int]:
        """What is remembered of a part, and how often it was measured for that."""
        known = self._memory.recall(part.key)
        latency = to_latency(known["latency"]) if known else None
        return (latency, known.get("times", 1)) if known and isinstance(latency, DeployedLatency) else (None, 0)

    def _missing(self, kind: Architecture) -> list[Part]:
        trunks, heads = self._groups(kind)
        parts = dict.fromkeys([*trunks, *heads, self._head(_bare(kind))])
        return [part for part in parts if part.key not in self._errors and self._known(part)[0] is None]

    def _contradicting(self, kind: Architecture) -> list[Part]:
        """Parts that are in the wrong order and may be measured again."""
        found = []
        for group in self._groups(kind):
            known = {part: self._known(part) for part in group}
            sizes = contradictions({part.size: latency for part, (latency, _) in known.items() if latency})
            found += [part for part in group if part.size in sizes and known[part][1] < MOST_MEASUREMENTS]
        return found

    def _table(self, kind: Architecture) -> LatencyTable:
        """With what is known; what is missing has an error."""
        trunks, heads = (
            {part.size: latency for part in group if (latency := self._known(part)[0])} for group in self._groups(kind)
        )
        return LatencyTable(trunks, heads, self._known(self._head(_bare(kind)))[0])

    def _kind(self, architecture: Architecture) -> Architecture:
        """What all architectures have in common that differ in side and width only."""
        return replace(architecture, resolution=self._sides[0], head_width=0)

    def _groups(self, kind: Architecture) -> tuple[list[Part], list[Part]]:
        """All trunks of a kind, by side, and all heads that are measured, by width."""
        trunks = [self._trunk(replace(kind, resolution=side)) for side in self._sides]
        return trunks, [self._head(replace(kind, head_width=width)) for width in WIDTHS]

    def _parts_of(self, architecture: Architecture) -> list[Part]:
        """What one latency is made of; a last layer alone is part of the trunk."""
        kind = self._kind(architecture)
        parts = [self._trunk(architecture)]
        if architecture.head_width or architecture.batch_norm_head:
            width = architecture.head_width
            near = {max(size for size in WIDTHS if size <= width), min(size for size in WIDTHS if size >= width)}
            parts += [self._head(replace(kind, head_width=size)) for size in sorted(near)]
            parts.append(self._head(_bare(kind)))
        return list(dict.fromkeys(parts))

    def _trunk(self, architecture: Architecture) -> Part:
        bare, task = _bare(architecture), self._task
        size = f"{task.height}x{task.width}x{task.channels}"
        return Part(bare, f"trunk/{bare.architecture_key()}/{size}/{task.n_logits}", head=False)

    def _head(self, architecture: Architecture) -> Part:
        norm = "+bn" if architecture.batch_norm_head else ""
        key = f"head/{self._channels}/{architecture.head_width}{norm}/{self._task.n_logits}"
        # One form for all sides and poolings: the head is the same.
        return Part(replace(architecture, resolution=self._sides[0], pooling="average"), key, head=True)


def _bare(architecture: Architecture) -> Architecture:
    return replace(architecture, head_width=0, batch_norm_head=False)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process measures at a time: what it measured, the next one finds."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".survey.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
