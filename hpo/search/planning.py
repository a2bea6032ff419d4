"""What the planner (`hpo.search.planner`) is told of this project's trials: what a map knows of a candidate's place."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from optuna.trial import FixedTrial, FrozenTrial

from hpo.config import StudyConfig
from hpo.search.planner import Lesson, Params, PlannerSampler, View
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


class Outlook:
    """Looks at candidates before they are trained.

    Args:
        found: the map.
        space: of the study.
        config: of the study.
        classes: of its data.
        refused: architectures that were over a budget when they were measured, by their keys.
        measured: milliseconds of architectures that trials have measured, by their keys: the map only estimates them.
    """

    def __init__(
        self,
        found: Map,
        space: Space,
        config: StudyConfig,
        classes: int,
        refused: Collection[str] = frozenset(),
        measured: Mapping[str, float] = MappingProxyType({}),
    ):
        self.found, self._refused, self._measured = found, refused, measured
        self._space, self._config = space, config
        self._logits, self._n_train = 1 if classes == 2 else classes, found.of_train
        self._sides = {side: _columns(found, side) for side in found.resolutions}

    @classmethod
    def after(
        cls, records: Sequence[TrialRecord], found: Map, space: Space, config: StudyConfig, classes: int
    ) -> "Outlook":
        """With what the trials of a study have shown."""
        known = [(record, record.candidate.architecture_key()) for record in records if record.candidate]
        refused = {key for record, key in known if record.state == State.INFEASIBLE}
        measured = {key: record.latency_ms for record, key in known if record.latency_ms is not None}
        return cls(found, space, config, classes, refused, measured)

    @property
    def standard_error(self) -> float:
        """Of the accuracy of the best place, were it measured on all validation pictures of the study."""
        best = max(probe.val_accuracy for probe in self.found.probes)
        return math.sqrt(best * (1 - best) / self.found.of_val)

    def place(self, candidate: Candidate) -> Place:
        """Where its network ends."""
        return self._at(candidate.resolution, candidate.keep_blocks or len(self._space.stages))

    def _at(self, side: int, kept: int) -> Place:
        blocks, columns = self._sides[side]
        return Place(*(float(np.interp(kept, blocks, column)) for column in columns))

    def costs(self, candidate: Candidate) -> tuple[float, float]:
        """Milliseconds and FLOPs of one picture; those of a linear head on a place of the map are the map's own.

        A latency that was measured since counts instead: a trial is not to look faster than its like by an estimate.
        """
        place, width = self.place(candidate), candidate.head_width
        more = 2 * (width * (place.channels + self._logits) - place.channels * self._logits) if width else 0.0
        estimate = place.latency_ms + max(0.0, more / 1e6) * MS_PER_MFLOP
        return self._measured.get(candidate.architecture_key(), estimate), place.flops + more

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
        key = candidate.architecture_key()
        if key in self._refused:
            return False
        ms, flops = self.costs(candidate)
        if key not in self._measured:
            place = self.place(candidate)
            ms -= place.latency_ms - place.low_ms
        most_ms, most_gflops = self._config.max_latency_ms, self._config.max_gflops
        return (most_ms is None or ms <= most_ms) and (most_gflops is None or flops / 1e9 <= most_gflops)

    def look(self, params: Params) -> View | None:
        """For the planner; None over budget, and of a trial that was killed while it was asked for."""
        try:
            candidate = suggest(FixedTrial(dict(params)), self._space)
        except ValueError:  # parameters are missing
            return None
        if not self.allows(candidate):
            return None
        accuracy = self.place(candidate).val_accuracy
        stages = self._space.stages_of(candidate.keep_blocks)
        off = math.log10(candidate.learning_rate / usual_rate(candidate, accuracy))
        best = max(self._sides[candidate.resolution][1][0])
        made_up = MADE_UP * (best - accuracy) if candidate.unfreeze_depth else 0.0
        return View(
            parameters(candidate, self._space),
            self.costs(candidate),
            extra=(
                accuracy,
                float(candidate.unfreeze_depth > 0),
                candidate.unfreeze_depth / stages,
                float(candidate.head_width > 0),
                float(np.clip(off, -2, 2)),
            ),
            expected=accuracy + made_up,
            prior=-((off / DECADES) ** 2) / 2,
            seconds=self.seconds(candidate),
        )


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


def make_planner(outlook: Outlook, space: Space, epochs: int, seed: int, fixed: Params | None = None) -> PlannerSampler:
    """The planner of a study."""
    return PlannerSampler(
        distributions(space),
        outlook.look,
        seed=seed,
        fixed=fixed,
        usual=usual_ways(outlook.found, space),
        lessons=lambda trial: lessons(trial, epochs),
        least=LEAST_GAIN * outlook.standard_error,
    )
