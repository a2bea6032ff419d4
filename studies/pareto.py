"""Pareto fronts of trial records. Latencies that differ by no more than their uncertainty are equal on them."""

from collections.abc import Iterable, Sequence

import numpy as np

from studies import dominance
from studies.objectives import LATENCY, OBJECTIVES, Objective
from studies.records import CompleteTrial, TrialRecord, complete

LOG = np.array([objective.log for objective in OBJECTIVES])


def objectives(records: Sequence[CompleteTrial], among: Sequence[Objective] = OBJECTIVES) -> np.ndarray:
    """(n, objectives) float64: the values of completed trials in full."""
    rows = [[getattr(record, objective.name) for objective in among] for record in records]
    return np.asarray(rows, dtype=float).reshape(-1, len(among))


def uncertainties(records: Sequence[CompleteTrial], among: Sequence[Objective] = OBJECTIVES) -> np.ndarray:
    """(n, objectives) float64: how far each value may be off; only latency is measured with noise."""
    rows = [[record.measurement.latency.uncertainty_ms * (each is LATENCY) for each in among] for record in records]
    return np.asarray(rows, dtype=float).reshape(-1, len(among))


def front(records: Sequence[TrialRecord], among: Sequence[Objective] = OBJECTIVES) -> list[CompleteTrial]:
    """The completed trials that no member dominates (see `studies.dominance`), from the fastest to the slowest.

    Not those that turned out to be over a budget when they were measured again.

    `among` are the objectives that count; with two of the three, those that equal each other in both are told apart by
    the third: of two equally accurate trials whose latencies are equal the one with fewer FLOPs.
    """
    members = _front(_affordable(records), OBJECTIVES, exact=False)
    if tuple(among) != OBJECTIVES:
        members = _front(members, among, exact=False)
    return members


def near_front(records: Sequence[TrialRecord]) -> list[CompleteTrial]:
    """The front, and those that only a latency that equals theirs keeps from it, from the fastest to the slowest."""
    trained = _affordable(records)
    numbers = {record.number for exact in (False, True) for record in _front(trained, OBJECTIVES, exact)}
    return _by_speed(record for record in trained if record.number in numbers)


def _affordable(records: Sequence[TrialRecord]) -> list[CompleteTrial]:
    return [record for record in complete(records) if not record.over_budget]


def _front(trained: Sequence[CompleteTrial], among: Sequence[Objective], exact: bool) -> list[CompleteTrial]:
    """`exact`: as if latencies had no uncertainty."""
    unsure = uncertainties(trained, among)
    maximise = np.array([objective.maximise for objective in among])
    keep = dominance.front(objectives(trained, among), np.zeros_like(unsure) if exact else unsure, maximise)
    return _by_speed(record for record, is_member in zip(trained, keep, strict=True) if is_member)


def _by_speed(records: Iterable[CompleteTrial]) -> list[CompleteTrial]:
    return sorted(records, key=lambda record: (record.latency_ms, record.flops, -record.val_accuracy))
