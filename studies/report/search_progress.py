"""What the search gained as it went on, and what it did not have to train: pure functions of records."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import moocore
import numpy as np

from studies.objectives import OBJECTIVES
from studies.pareto import LOG, objectives
from studies.records import CompleteTrial, State, TrialRecord, complete

BEYOND_WORST = 1.1  # the reference point is this factor slower and costlier than the worst complete trial


class Step(NamedTuple):
    """After trial `number`: seconds spent in trials so far, and hypervolume from 0 to 1."""

    number: int
    seconds: float
    hypervolume: float


def hypervolume_steps(records: Sequence[TrialRecord]) -> list[Step]:
    """One step for each trial that counts, in the order of their numbers.

    Latency and FLOPs as logarithms, since factors matter there: 0 at the best complete trial, 1 at the reference
    point, `BEYOND_WORST` times the worst; accuracy from 0 to 1. So 1 is a trial that is always right and as fast and as
    cheap as the fastest and the cheapest.
    """
    trained = complete(records)
    if not trained:
        return []
    costs = np.log(objectives(trained)[:, LOG])
    low, high = costs.min(0), costs.max(0) + math.log(BEYOND_WORST)
    steps, points, seconds = [], np.empty((0, len(OBJECTIVES))), 0.0
    volume = 0.0
    for record in sorted(records, key=lambda record: record.number):
        if not record.counts:
            continue
        seconds += record.seconds
        if isinstance(record, CompleteTrial):
            values = objectives([record])[0]
            point = 1 - values  # of a share
            point[LOG] = (np.log(values[LOG]) - low) / (high - low)
            points = np.vstack([points, point])
            points = points[moocore.is_nondominated(points)]
            volume = float(moocore.hypervolume(points, ref=[1.0] * len(OBJECTIVES)))
        steps.append(Step(record.number, seconds, volume))
    return steps


class Savings(NamedTuple):
    """Epochs and seconds of training that trials did not need; seconds are estimates.

    `stopped` are those that a rule stopped at a rung, `diverged` those that ended within an epoch, which counts as one.
    `all_epochs` and `all_seconds` are what the trials that were trained, and the duplicates, would have taken had all
    been trained to the end.
    """

    stopped: int
    diverged: int
    duplicates: int
    over_budget: int
    epochs: int
    all_epochs: int
    seconds: float
    saved_seconds: float

    @property
    def all_seconds(self) -> float:
        """What the search would have taken without stopping early."""
        return self.seconds + self.saved_seconds

    @property
    def share(self) -> float:
        """Saved, 0 to 1."""
        return self.saved_seconds / self.all_seconds if self.all_seconds else 0.0


def savings(
    records: Sequence[TrialRecord], epochs: int, phases: Mapping[int, Mapping[str, float]] | None = None
) -> Savings:
    """What early stopping and duplicates saved in a study of `epochs` epochs.

    A stopped trial's missing epochs are taken to cost what its own did on average; a duplicate what trials that were
    trained to the end took in the median. `phases` has the seconds of training alone; without them all count.
    """

    def trained(record: TrialRecord) -> float:
        return (phases or {}).get(record.number, {}).get("train", record.seconds)

    by_state = {state: [record for record in records if record.state == state] for state in State}
    saved = sum(
        trained(record) / record.epochs * (epochs - record.epochs)
        for record in by_state[State.STOPPED]
        if record.epochs
    )
    whole = [trained(record) for record in by_state[State.COMPLETE]]
    saved += len(by_state[State.DUPLICATE]) * (float(np.median(whole)) if whole else 0.0)
    done = [*by_state[State.COMPLETE], *by_state[State.STOPPED]]
    return Savings(
        stopped=sum(not record.diverged for record in by_state[State.STOPPED]),
        diverged=sum(record.diverged for record in by_state[State.STOPPED]),
        duplicates=len(by_state[State.DUPLICATE]),
        over_budget=len(by_state[State.INFEASIBLE]),
        epochs=sum(record.epochs for record in done),
        all_epochs=epochs * (len(done) + len(by_state[State.DUPLICATE])),
        seconds=sum(map(trained, done)),
        saved_seconds=saved,
    )
