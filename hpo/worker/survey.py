"""Latencies in a deployed runtime, measured beside the first trials: a few parts for all architectures of a study.

See `hpo.worker.bench` for how parts are measured, `hpo.worker.latency_table` for how latencies are made of them.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.worker.bench import POLL_SECONDS, Bench, Part
from hpo.worker.latency_table import WIDTHS, LatencyTable, combine, contradictions
from hpo.worker.memory import Memory, to_latency
from models.candidate import Architecture
from studies.outcomes import DeployedLatency

if TYPE_CHECKING:
    from models.build import Task

MOST_MEASUREMENTS = 2  # of a part whose latency contradicts that of another: then it is as it is


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
        self._task, self._channels, self._sides, self._memory = task, channels, sides, memory
        self._bench = Bench(task, channels, runtime, threads, cache_dir)
        self._guard = threading.RLock()  # of what follows
        self._waiting: list[Architecture] = []  # kinds
        self._errors: dict[str, Exception] = {}  # by a part's key, until it is wanted again
        self._working = False
        self._steps = 0

    def want(self, architecture: Architecture) -> None:
        """Measure what the latencies of an architecture and of all of its kind are made of."""
        with self._guard:
            for part in self._parts_of(architecture):
                self._errors.pop(part.key, None)
        self._settled(self._kind(architecture))

    def latency(self, architecture: Architecture, on_step: Callable[[], None] = lambda: None) -> DeployedLatency:
        """Of an architecture; waits until its kind is measured, and calls `on_step` when a step was done meanwhile.

        Raises:
            ModelError: the network cannot be converted or run.
            Exception: whatever else goes wrong in the thread.
        """
        kind = self._kind(architecture)
        self._wait(kind, on_step)
        with self._guard:
            for part in self._parts_of(architecture):
                if part.key in self._errors:
                    raise self._errors[part.key]
        return self._table(kind, {}).latency(architecture.resolution, architecture.head_width)

    def measure_again(
        self, near: Iterable[Architecture], everything: Iterable[Architecture], on_step: Callable[[], None]
    ) -> dict[Architecture, DeployedLatency]:
        """Measure what the latencies of `near` are made of once more, in rounds together, and take the means.

        What is remembered for other studies stays as it is: it is not to change while they run.

        Returns:
            The latencies of `everything`, with the new ones of their parts; not of what cannot be measured.

        Raises:
            ModelError: a network cannot be converted or run.
        """
        everything = list(everything)
        kinds = {self._kind(each) for each in everything}
        for kind in kinds:
            self._wait(kind, on_step)
        parts = list(dict.fromkeys(part for each in near for part in self._parts_of(each)))
        with self._bench.alone(on_step):
            measured = self._bench.measure(parts, on_step)
        for error in measured.errors.values():
            raise error
        again = {}
        for part, latency in measured.latencies.items():
            before, _ = self._known(part)
            again[part.key] = combine(before, latency) if before else latency
        tables = {kind: self._table(kind, again) for kind in kinds}
        return {
            each: tables[self._kind(each)].latency(each.resolution, each.head_width)
            for each in everything
            if all(part.key not in self._errors for part in self._parts_of(each))
        }

    def _wait(self, kind: Architecture, on_step: Callable[[], None]) -> None:
        """Until all of a kind is measured that can be."""
        steps = self._steps
        while not self._settled(kind):
            if self._steps != steps:
                steps = self._steps
                on_step()
            time.sleep(POLL_SECONDS)

    def _settled(self, kind: Architecture) -> bool:
        """Whether all is measured that can be; else it will be."""
        with self._guard:
            if kind not in self._waiting:
                if not self._missing(kind) and not self._contradicting(kind):
                    return True
                self._waiting.append(kind)
            if not self._working:
                self._working = True
                threading.Thread(target=self._work, name="latency", daemon=True).start()
            return False

    def _work(self) -> None:
        """In the thread: until nothing waits. What goes wrong is kept for whoever asks for that part."""
        while (kind := self._next()) is not None:
            try:
                with self._bench.alone(self._on_step):
                    self._measure(self._missing(kind))
                    for _ in range(1, MOST_MEASUREMENTS):
                        self._measure(self._contradicting(kind))
            except Exception as error:
                with self._guard:
                    self._errors |= {part.key: error for part in [*self._missing(kind), *self._contradicting(kind)]}
            with self._guard:
                self._waiting.remove(kind)

    def _next(self) -> Architecture | None:
        with self._guard:
            kind = self._waiting[0] if self._waiting else None
            self._working = kind is not None
            return kind

    def _on_step(self) -> None:
        self._steps += 1

    def _measure(self, parts: Sequence[Part]) -> None:
        """And remember it, or why that cannot be done."""
        measured = self._bench.measure(parts, self._on_step)
        for part, latency in measured.latencies.items():
            before, times = self._known(part)
            known = combine(before, latency) if before else latency
            self._memory.remember(part.key, {"latency": asdict(known), "times": times + 1})
        with self._guard:
            self._errors |= {part.key: error for part, error in measured.errors.items()}

    def _known(self, part: Part) -> tuple[DeployedLatency | None, int]:
        """What is remembered of a part, and how often it was measured for that."""
        known = self._memory.recall(part.key)
        latency = to_latency(known["latency"]) if known else None
        return (latency, known.get("times", 1)) if known and isinstance(latency, DeployedLatency) else (None, 0)

    def _missing(self, kind: Architecture) -> list[Part]:
        """Parts that are neither known nor have an error."""
        trunks, heads = self._groups(kind)
        parts = dict.fromkeys([*trunks, *heads, self._head(_bare(kind))])
        return [part for part in parts if part.key not in self._errors and self._known(part)[0] is None]

    def _contradicting(self, kind: Architecture) -> list[Part]:
        """Parts that are in the wrong order and may be measured again."""
        found = []
        for group in self._groups(kind):
            known = {part: self._known(part) for part in group if part.key not in self._errors}
            sizes = contradictions({part.size: latency for part, (latency, _) in known.items() if latency})
            found += [part for part in known if part.size in sizes and known[part][1] < MOST_MEASUREMENTS]
        return found

    def _table(self, kind: Architecture, again: Mapping[str, DeployedLatency]) -> LatencyTable:
        """With what is known; `again` has, by their keys, parts that stand for those that are remembered."""

        def known(part: Part) -> DeployedLatency | None:
            return again.get(part.key) or self._known(part)[0]

        trunks, heads = (
            {part.size: latency for part in group if (latency := known(part))} for group in self._groups(kind)
        )
        return LatencyTable.of(trunks, heads, known(self._head(_bare(kind))) if kind.batch_norm_head else None)

    def _kind(self, architecture: Architecture) -> Architecture:
        """What all architectures have in common that differ in side and width only."""
        return replace(architecture, resolution=self._sides[0], head_width=0)

    def _groups(self, kind: Architecture) -> tuple[list[Part], list[Part]]:
        """All trunks of a kind, by side, and all heads that are measured, by width."""
        trunks = [self._trunk(replace(kind, resolution=side)) for side in self._sides]
        return trunks, [self._head(replace(kind, head_width=width)) for width in WIDTHS]

    def _parts_of(self, architecture: Architecture) -> list[Part]:
        """What one latency is made of; a last layer alone is part of the trunk."""
        kind, width = self._kind(architecture), architecture.head_width
        parts = [self._trunk(architecture)]
        if width or architecture.batch_norm_head:
            near = (max(size for size in WIDTHS if size <= width), min(size for size in WIDTHS if size >= width))
            parts += [*(self._head(replace(kind, head_width=size)) for size in near), self._head(_bare(kind))]
        return list(dict.fromkeys(parts))

    def _trunk(self, architecture: Architecture) -> Part:
        bare, task = _bare(architecture), self._task
        size = f"{task.height}x{task.width}x{task.channels}"
        return Part(bare, f"trunk/{bare.architecture_key()}/{size}/{task.n_classes}", head=False)

    def _head(self, architecture: Architecture) -> Part:
        norm = "+bn" if architecture.batch_norm_head else ""
        key = f"head/{self._channels}/{architecture.head_width}{norm}/{self._task.n_classes}"
        # One form for all sides and poolings: the head is the same.
        return Part(replace(architecture, resolution=self._sides[0], pooling="average"), key, head=True)


def _bare(architecture: Architecture) -> Architecture:
    return replace(architecture, head_width=0, batch_norm_head=False)
