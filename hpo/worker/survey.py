"""Latencies in a deployed runtime, measured beside the training: a few parts for all architectures of a study.

See `hpo.worker.bench` for how parts are measured, `hpo.worker.latency_table` for how latencies are made of them.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.worker.bench import POLL_SECONDS, Bench, Part
from hpo.worker.estimates import Estimates
from hpo.worker.latency_table import WIDTHS, LatencyTable, combine, contradictions
from hpo.worker.memory import Memory, to_latency
from models.candidate import AnyArchitecture, Architecture
from studies.outcomes import DeployedLatency

if TYPE_CHECKING:
    from models.build import Task

MOST_MEASUREMENTS = 2  # of a part whose latency contradicts that of another: then it is as it is


@dataclass(frozen=True)
class Kind:
    """Parts of architectures that are measured together. In each group what is larger contains what is smaller.

    Attributes:
        trunks: at all sides, or one alone.
        heads: of all widths that are measured; none where nothing but a last layer is wanted.
        last: the head of width 0, which a trunk has; None where there are no heads.
    """

    trunks: tuple[Part, ...]
    heads: tuple[Part, ...]
    last: Part | None

    @property
    def groups(self) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
        """Trunks and heads."""
        return self.trunks, self.heads

    @property
    def parts(self) -> tuple[Part, ...]:
        """All of them, each once."""
        return tuple(dict.fromkeys([*self.trunks, *self.heads, *([self.last] if self.last else [])]))


class Survey:
    """Measures the parts of architectures in a thread, all of one kind at once.

    Where it is searched behind which block networks end, there are more trunks than trials, and each is measured when
    it is asked for; else these are the trunks at all sides, and all heads.

    Processes with the same cache folder take turns, and find what another one has measured.

    Args:
        task: pictures, classes.
        channels: behind each block of the backbone.
        runtime, threads: that it is measured in.
        sides: in pixels, of the study.
        many_ends: whether networks end behind any of their blocks.
        memory: where latencies are kept.
        cache_dir: of the study.
    """

    def __init__(
        self,
        task: "Task",
        channels: Sequence[int],
        runtime: str,
        threads: int,
        sides: tuple[int, ...],
        many_ends: bool,
        memory: Memory,
        cache_dir: Path,
    ):
        self._task, self._channels, self._sides, self._memory = task, channels, sides, memory
        self._many_ends = many_ends
        self._bench = Bench(task, channels, runtime, threads, cache_dir)
        self._estimates = Estimates(self._bench, memory)
        self._guard = threading.RLock()  # of what follows
        self._waiting: list[Kind] = []
        self._errors: dict[str, Exception] = {}  # by a part's key, until it is wanted again
        self._working = False
        self._steps = 0

    def want(self, architecture: AnyArchitecture) -> None:
        """Measure what the latencies of an architecture and of all of its kind are made of."""
        with self._guard:
            for part in self._parts_of(architecture):
                self._errors.pop(part.key, None)
        self._settled(self._kind(architecture))

    def latency(self, architecture: AnyArchitecture, on_step: Callable[[], None] = lambda: None) -> DeployedLatency:
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
        return self._latency(architecture, {})

    def estimate(
        self, trunks: Sequence[Architecture], on_step: Callable[[], None] = lambda: None
    ) -> Callable[[Sequence[int]], list[DeployedLatency]]:
        """Begin to estimate trunks that end behind one block after the other, see `Estimates.begin`."""
        return self._estimates.begin([self._trunk(each) for each in trunks], on_step)

    def measure_again(
        self, near: Iterable[AnyArchitecture], everything: Iterable[AnyArchitecture], on_step: Callable[[], None]
    ) -> dict[AnyArchitecture, DeployedLatency]:
        """Measure what the latencies of `near` are made of once more, in rounds together, and take the means.

        What is remembered for other studies stays as it is: it is not to change while they run.

        Returns:
            The latencies of `everything`, with the new ones of their parts; not of what cannot be measured, or has been
            forgotten since.

        Raises:
            ModelError: a network cannot be converted or run.
        """
        near = list(near)
        for kind in {self._kind(each) for each in near}:
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
        return {
            each: self._latency(each, again)
            for each in everything
            if all(part.key in again or self._known(part)[0] for part in self._parts_of(each))
        }

    def _wait(self, kind: Kind, on_step: Callable[[], None]) -> None:
        """Until all of a kind is measured that can be."""
        steps = self._steps
        while not self._settled(kind):
            if self._steps != steps:
                steps = self._steps
                on_step()
            time.sleep(POLL_SECONDS)

    def _settled(self, kind: Kind) -> bool:
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

    def _next(self) -> Kind | None:
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

    def _missing(self, kind: Kind) -> list[Part]:
        """Parts that are neither known nor have an error."""
        return [part for part in kind.parts if part.key not in self._errors and self._known(part)[0] is None]

    def _contradicting(self, kind: Kind) -> list[Part]:
        """Parts that are in the wrong order and may be measured again."""
        found = []
        for group in kind.groups:
            known = {part: self._known(part) for part in group if part.key not in self._errors}
            sizes = contradictions({part.size: latency for part, (latency, _) in known.items() if latency})
            found += [part for part in known if part.size in sizes and known[part][1] < MOST_MEASUREMENTS]
        return found

    def _latency(self, architecture: AnyArchitecture, again: Mapping[str, DeployedLatency]) -> DeployedLatency:
        """With what is known; `again` has, by their keys, parts that stand for those that are remembered."""

        def known(part: Part) -> DeployedLatency | None:
            return again.get(part.key) or self._known(part)[0]

        kind = self._kind(architecture)
        trunks, heads = ({part.size: latency for part in group if (latency := known(part))} for group in kind.groups)
        head = architecture if isinstance(architecture, Architecture) else None
        last = known(kind.last) if kind.last and head and head.batch_norm_head else None
        table = LatencyTable.of(trunks, heads, last)
        return table.latency(self._trunk(architecture).size, head.head_width if head else 0)

    def _kind(self, architecture: AnyArchitecture) -> Kind:
        """What is measured together with an architecture; what a HyperModel builds is one part."""
        if not isinstance(architecture, Architecture):
            return Kind((self._trunk(architecture),), (), None)
        bare = _bare(architecture)
        if self._many_ends and not _has_head(architecture):
            return Kind((self._trunk(bare),), (), None)
        sides = (bare.resolution,) if self._many_ends else self._sides
        return Kind(
            tuple(self._trunk(replace(bare, resolution=side)) for side in sides),
            tuple(self._head(replace(architecture, head_width=width)) for width in WIDTHS),
            self._head(bare),
        )

    def _parts_of(self, architecture: AnyArchitecture) -> list[Part]:
        """What one latency is made of; a last layer alone is part of the trunk."""
        parts = [self._trunk(architecture)]
        if isinstance(architecture, Architecture) and _has_head(architecture):
            width = architecture.head_width
            near = (max(size for size in WIDTHS if size <= width), min(size for size in WIDTHS if size >= width))
            parts += [self._head(replace(architecture, head_width=size)) for size in near]
            parts.append(self._head(_bare(architecture)))
        return list(dict.fromkeys(parts))

    def _trunk(self, architecture: AnyArchitecture) -> Part:
        task = self._task
        bare = _bare(architecture) if isinstance(architecture, Architecture) else architecture
        side = bare.resolution if isinstance(bare, Architecture) else task.height
        picture = "x".join(map(str, (*task.size(side), task.channels)))
        key = f"{bare.architecture_key()}/{picture}/{task.n_classes}"
        if not isinstance(bare, Architecture):
            key = self._memory.shared(key)
        return Part(bare, f"trunk/{key}", side, head=False)

    def _head(self, architecture: Architecture) -> Part:
        norm = "+bn" if architecture.batch_norm_head else ""
        channels = self._channels[architecture.keep_blocks - 1]
        key = f"head/{channels}/{architecture.head_width}{norm}/{self._task.n_classes}"
        # One form for all sides, poolings and ends with as many channels: the head is the same.
        first = (self._channels.index(channels) + 1) % len(self._channels)
        one = replace(architecture, resolution=self._sides[0], pooling="average", keep_blocks=first)
        return Part(one, key, one.head_width, head=True)


def _has_head(architecture: Architecture) -> bool:
    """Whether there is more behind the pooling than the last layer of a trunk."""
    return architecture.head_width > 0 or architecture.batch_norm_head


def _bare(architecture: Architecture) -> Architecture:
    return replace(architecture, head_width=0, batch_norm_head=False)
