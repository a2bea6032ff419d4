"""Pareto fronts of trial records. The mathematics is moocore's; here are directions and ties."""

from collections.abc import Sequence

import moocore
import numpy as np

from studies.objectives import MAXIMISE, OBJECTIVES, Objective
from studies.records import CompleteTrial, TrialRecord, complete

LOG = np.array([objective.log for objective in OBJECTIVES])


def objectives(records: Sequence[CompleteTrial], among: Sequence[Objective] = OBJECTIVES) -> np.ndarray:
    """(n, objectives) float64: the values of completed trials in full."""
    rows = [[getattr(record, objective.name) for objective in among] for record in records]
    return np.asarray(rows, dtype=float).reshape(-1, len(among))


def ends_and_knee(records: Sequence[TrialRecord]) -> list[CompleteTrial]:
    """The fastest member of the front, its knee and its most accurate member, without repetition, by latency."""
    members = front(records)
    if not members:
        return []
    wanted = {members[0].number, knee(members).number, max(members, key=lambda record: record.val_accuracy).number}
    return [record for record in members if record.number in wanted]


def knee(members: Sequence[CompleteTrial]) -> CompleteTrial:
    """The member of a front that is nearest to the ideal point: the best of each objective, if one trial had them all.

    Distance after each objective is brought to 0 (best of the front) to 1 (worst), latency and FLOPs as logarithms,
    since a factor matters there and not a difference. Of equally near ones the faster.
    """
    points = objectives(members)
    points[:, LOG] = np.log(points[:, LOG])
    points = np.where(MAXIMISE, -points, points)
    spans = np.ptp(points, axis=0)
    scaled = (points - points.min(0)) / np.where(spans > 0, spans, 1.0)
    return members[int(np.argmin(np.round(np.linalg.norm(scaled, axis=1), 12)))]


def front(records: Sequence[TrialRecord], among: Sequence[Objective] = OBJECTIVES) -> list[CompleteTrial]:
    """The completed trials that no other one dominates, from the fastest to the slowest.

    `among` are the objectives that count. Of trials with exactly equal ones all stay: neither dominates the other.
    """
    trained = complete(records)
    if not trained:
        return []
    directions = [objective.maximise for objective in among]
    keep = moocore.is_nondominated(objectives(trained, among), maximise=directions, keep_weakly=True)
    chosen = [record for record, is_member in zip(trained, keep, strict=True) if is_member]
    return sorted(chosen, key=lambda record: (record.latency_ms, record.flops, -record.val_accuracy))
