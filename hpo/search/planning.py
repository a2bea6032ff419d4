"""What the planner (`hpo.search.planner`) is told of this project's trials: what a map knows of a candidate's place."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from optuna.trial import FixedTrial, FrozenTrial

from hpo.config import StudyConfig
from hpo.search.planner import Lesson, Memory, Params, PlannerSampler, View
from hpo.search.seeding import usual_rate, usual_way
from hpo.search.space import Space, distributions, parameters, suggest
from models.candidate import Candidate
from studies.kept import kept_if_readable
from studies.probes import Map, Probe
from studies.records import State, TrialRecord

DECADES = 0.5  # of the learning rate around the usual one: what is believed falls off like a normal distribution
LEAST_SECONDS = 10.0  # of a trial
# Of a training step and a block that is trained, beside its arithmetic: 1.3 to 2.0 ms in nine trials of three networks
# (benchmarks/search.json).
STEP_SECONDS = 1.4e-3
MOST_REMEMBERED = 16_384  # assignments, of which each proposal looks at some 800 new ones and at all trials
LEAST_GAIN = 0.5  # standard errors of a validation accuracy by which a trial has to be better to count
MOST_USUAL = 4  # stages that are fine-tuned
# Of what a frozen network lacks to the best place of its side, so much is believed to be made up for by fine-tuning:
# the median of 11 cases (benchmarks/first_ends.py).
MADE_UP = 0.45
MS_PER_MFLOP = 0.2  # of a hidden layer at batch 1, whose weights are read once: 10 GB/s, 4 bytes for 2 FLOPs


@dataclass(frozen=True)
class Place:
    """What a map says of where a network ends, at a side; between two places that were probed, in between."""

    val_accuracy: float
    latency_ms: float
    low_ms: float
    flops: float
    channels: float


Parameters = tuple[tuple[str, Any], ...]
Seen = tuple[str, Place, View]  # the architecture's key, and where and how it ends


class Looks:
    """What is known of places and assignments whatever trials show; lost, it is found out again."""

    def __init__(self) -> None:
        self.places: dict[tuple[int, int], Place] = {}  # by side and kept blocks
        self.usual: list[Params] = []
        self._keys: dict[int, str] = {}  # of architectures, by the numbers of trials
        self._seen: dict[Parameters, Seen | None] = {}  # the one that was looked at last, last

    def key_of(self, record: TrialRecord) -> str:
        """Of a trial's architecture."""
        if record.number not in self._keys:
            assert record.candidate is not None
            self._keys[record.number] = record.candidate.architecture_key()
        return self._keys[record.number]

    def first(self, params: Parameters, look: Callable[[Parameters], Seen | None]) -> Seen | None:
        """What the first look at an assignment has shown; those that nobody looks at again are forgotten."""
        try:
            seen = self._seen[params] = self._seen.pop(params)
        except KeyError:
            seen = self._seen[params] = look(params)
            if len(self._seen) > MOST_REMEMBERED:
                del self._seen[next(iter(self._seen))]
        return seen


class _Given(FixedTrial):
    """A trial whose parameters are given, and need not be checked: a sampler looks at a thousand for each proposal."""

    def __init__(self, given: dict[str, Any]):
        super().__init__(given)
        self.given = given

    def suggest_int(self, name: str, *_: Any, **__: Any) -> int:
        return self._value(name)

    def suggest_float(self, name: str, *_: Any, **__: Any) -> float:
        return self._value(name)

    def suggest_categorical(self, name: str, *_: Any, **__: Any) -> Any:
        return self._value(name)

    def _value(self, name: str) -> Any:
        if name not in self.given:
            raise ValueError(f"{name} is missing")
        return self.given[name]


class Outlook:
    """Looks at candidates before they are trained.

    Args:
        found: the map.
        space: of the study.
        config: of the study.
        classes: of its data.
        refused: architectures that were over a budget when they were measured, by their keys.
        measured: milliseconds of architectures that trials have measured, by their keys: the map only estimates them.
        looks: of another outlook on the same map for the same study: what does not change is not found out again.
    """

    def __init__(
        self,
        found: Map,
        space: Space,
        config: StudyConfig,
        classes: int,
        refused: Collection[str] = frozenset(),
        measured: Mapping[str, float] = MappingProxyType({}),
        looks: Looks | None = None,
    ):
        self.found, self._refused, self._measured = found, refused, measured
        self._space, self._config = space, config
        self._logits, self._n_train = 1 if classes == 2 else classes, found.of_train
        self._sides = {side: _columns(found, side) for side in found.resolutions}
        self.looks = looks or Looks()

    @classmethod
    def after(
        cls,
        records: Sequence[TrialRecord],
        found: Map,
        space: Space,
        config: StudyConfig,
        classes: int,
        looks: Looks | None = None,
    ) -> "Outlook":
        """With what the trials of a study have shown."""
        looks = looks or Looks()
        known = [(record, looks.key_of(record)) for record in records if record.candidate]
        refused = {key for record, key in known if record.state == State.INFEASIBLE}
        measured = {key: record.latency_ms for record, key in known if record.latency_ms is not None}
        return cls(found, space, config, classes, refused, measured, looks)

    @property
    def usual(self) -> list[Params]:
        """See `usual_ways`."""
        self.looks.usual = self.looks.usual or usual_ways(self.found, self._space)
        return self.looks.usual

    @property
    def standard_error(self) -> float:
        """Of the accuracy of the best place, were it measured on all validation pictures of the study."""
        best = max(probe.val_accuracy for probe in self.found.probes)
        return math.sqrt(best * (1 - best) / self.found.of_val)

    def place(self, candidate: Candidate) -> Place:
        """Where its network ends."""
        return self._at(candidate.resolution, candidate.keep_blocks or len(self._space.stages))

    def _at(self, side: int, kept: int) -> Place:
        places = self.looks.places
        if (side, kept) not in places:
            blocks, columns = self._sides[side]
            places[side, kept] = Place(*(float(np.interp(kept, blocks, column)) for column in columns))
        return places[side, kept]

    def costs(self, candidate: Candidate) -> tuple[float, float]:
        """Milliseconds and FLOPs of one picture; those of a linear head on a place of the map are the map's own.

        A latency that was measured since counts instead: a trial is not to look faster than its like by an estimate.
        """
        estimate, flops = self._estimated(candidate)
        return self._measured.get(candidate.architecture_key(), estimate), flops

    def _estimated(self, candidate: Candidate) -> tuple[float, float]:
        """`costs` by the map alone."""
        place, width = self.place(candidate), candidate.head_width
        more = 2 * (width * (place.channels + self._logits) - place.channels * self._logits) if width else 0.0
        return place.latency_ms + max(0.0, more / 1e6) * MS_PER_MFLOP, place.flops + more

    def seconds(self, candidate: Candidate) -> float:
        """What a trial takes, roughly: three times the latency of its free stages for each picture, and steps.

        Latency and not FLOPs, of which layers of one kind have ten times as many done in a second as those of another.
        The least stands also for its share of the trials that were asked for: heads alone take less.
        """
        if not candidate.unfreeze_depth:
            return LEAST_SECONDS
        stages, place = self._space.stages, self.place(candidate)
        kept = candidate.keep_blocks or len(stages)
        frozen = [n for n in range(1, kept) if stages[n - 1] <= stages[kept - 1] - candidate.unfreeze_depth]
        below = self._at(candidate.resolution, frozen[-1]).latency_ms if frozen else 0.0
        steps = math.ceil(self._n_train / candidate.batch_size) * STEP_SECONDS * (kept - len(frozen))
        work = 3 * max(0.0, place.latency_ms - below) / 1e3 * self._n_train
        return LEAST_SECONDS + self._config.epochs * (steps + work)

    def allows(self, candidate: Candidate) -> bool:
        """Whether it is within the budgets, as far as that is known: what an estimate leaves open is tried."""
        return self._within(candidate.architecture_key(), self.place(candidate), *self.costs(candidate))

    def _within(self, key: str, place: Place, ms: float, flops: float) -> bool:
        if key in self._refused:
            return False
        if key not in self._measured:
            ms -= place.latency_ms - place.low_ms
        most_ms, most_gflops = self._config.max_latency_ms, self._config.max_gflops
        return (most_ms is None or ms <= most_ms) and (most_gflops is None or flops / 1e9 <= most_gflops)

    def look(self, params: Params) -> View | None:
        """For the planner; None over budget, and of a trial that was killed while it was asked for."""
        seen = self.looks.first(tuple(params.items()), self._first_look)
        if seen is None:
            return None
        key, place, view = seen
        estimate, flops = view.costs
        ms = self._measured.get(key, estimate)
        if not self._within(key, place, ms, flops):
            return None
        return view if ms == estimate else replace(view, costs=(ms, flops))

    def _first_look(self, params: Parameters) -> Seen | None:
        """What no trial changes: its architecture, where it ends, and how it looks by the map alone."""
        try:
            candidate = suggest(_Given(dict(params)), self._space)
        except ValueError:  # parameters are missing
            return None
        place = self.place(candidate)
        accuracy = place.val_accuracy
        stages = self._space.stages_of(candidate.keep_blocks)
        off = math.log10(candidate.learning_rate / usual_rate(candidate, accuracy))
        best = max(self._sides[candidate.resolution][1][0])
        made_up = MADE_UP * (best - accuracy) if candidate.unfreeze_depth else 0.0
        view = View(
            parameters(candidate, self._space),
            self._estimated(candidate),
            extra=(
                accuracy,
                float(candidate.unfreeze_depth > 0),
                candidate.unfreeze_depth / stages,
                float(candidate.head_width > 0),
                min(max(off, -2.0), 2.0),
            ),
            expected=accuracy + made_up,
            prior=-((off / DECADES) ** 2) / 2,
            seconds=self.seconds(candidate),
        )
        return candidate.architecture_key(), place, view


def _columns(found: Map, side: int) -> tuple[list[int], Sequence[Sequence[float]]]:
    """The blocks that were probed at a side, ascending, and for each what `Place` has."""
    probes = sorted((probe for probe in found.probes if probe.resolution == side), key=lambda probe: probe.kept)
    return [probe.kept for probe in probes], list(zip(*map(_row, probes), strict=True))


def _row(probe: Probe) -> tuple[float, float, float, float, float]:
    latency = probe.measurement.latency
    return probe.val_accuracy, latency.record_ms, latency.low, float(probe.flops), float(probe.channels)


def lessons(trial: FrozenTrial, epochs: int) -> list[Lesson]:
    """What a trial reached: half way, and as far as it came; the best epoch until then counts."""
    curve = kept_if_readable(trial.user_attrs).learning_curve
    reached = np.maximum.accumulate([point.get("val_accuracy") or 0.0 for point in curve])
    steps = sorted({step for step in ((len(reached) + 1) // 2, len(reached)) if step})
    return [Lesson(step / epochs, float(reached[step - 1])) for step in steps]


def usual_ways(found: Map, space: Space) -> list[Params]:
    """At every place of the map the usual ways to train a linear head, alone and with a few stages below it."""
    return [
        parameters(usual_way(probe, depth, space), space)
        for probe in found.probes
        for depth in range(min(MOST_USUAL, space.stages_of(probe.keep_blocks)) + 1)
    ]


def make_planner(
    outlook: Outlook, space: Space, epochs: int, seed: int, fixed: Params | None = None, memory: Memory | None = None
) -> PlannerSampler:
    """The planner of a study; where planners follow each other, each with the `memory` of the one before."""
    return PlannerSampler(
        distributions(space),
        outlook.look,
        seed=seed,
        fixed=fixed,
        usual=outlook.usual,
        lessons=lambda trial: lessons(trial, epochs),
        least=LEAST_GAIN * outlook.standard_error,
        memory=memory,
    )
