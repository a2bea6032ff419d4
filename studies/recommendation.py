"""Which trial of a study is recommended. Pure functions; the rules have their sources with them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from studies import dominance
from studies.answers import standard_error
from studies.objectives import LATENCY, VAL_ACCURACY
from studies.pareto import front, objectives, uncertainties
from studies.records import CompleteTrial, TrialRecord, linear_probe
from studies.rules import KNEE, ONE_SE

NORMAL = float(stats.norm.ppf(0.975))


@dataclass(frozen=True)
class Recommendation:
    """What is recommended, and by what.

    Attributes:
        record: the trial.
        rule: of `studies.rules`.
        best: the most accurate member of the front.
        standard_error: of the difference between the two, as a share.
        paired: whether it is known which pictures each of the two has right.
        barred: how many cheaper ones the rule would have taken if they were not less accurate than the baseline.
    """

    record: CompleteTrial
    rule: str
    best: CompleteTrial
    standard_error: float
    paired: bool
    barred: int


def recommend(records: Sequence[TrialRecord], rule: str, n_val: int) -> Recommendation | None:
    """The recommended trial of a study; None if none is complete.

    Cheaper is what has the lower latency; of equal latencies (see `studies.dominance`) what has fewer FLOPs.

    Args:
        records: all of the study's.
        rule: of `studies.rules`.
        n_val: number of its validation pictures.
    """
    members = front(records)
    if not members:
        return None
    best = max(members, key=lambda record: record.val_accuracy)  # the fastest of equally accurate ones
    baseline = linear_probe([record for record in records if not record.over_budget])
    allowed = [record for record in members if baseline is None or record.val_accuracy >= baseline.val_accuracy]
    if rule == KNEE:
        chosen, barred = _knee(allowed), 0
    else:
        near = [record for record in members if _near(record, best, rule, n_val)]
        chosen = _cheapest([record for record in near if record in allowed])
        order = _by_cost(near)
        barred = sum(record not in allowed for record in order[: order.index(chosen)])
    return Recommendation(chosen, rule, best, *standard_error(best, chosen, n_val), barred)


def ends_and_recommended(records: Sequence[TrialRecord], rule: str, n_val: int) -> list[CompleteTrial]:
    """The fastest member of the front, the recommended and the most accurate one, without repetition, by latency."""
    recommendation = recommend(records, rule, n_val)
    if recommendation is None:
        return []
    members = front(records)
    wanted = {members[0].number, recommendation.record.number, recommendation.best.number}
    return [record for record in members if record.number in wanted]


def _near(record: CompleteTrial, best: CompleteTrial, rule: str, n_val: int) -> bool:
    error, _ = standard_error(best, record, n_val)
    factor = 1.0 if rule == ONE_SE else NORMAL
    return best.val_accuracy - record.val_accuracy <= factor * error


def _speeds(members: Sequence[CompleteTrial]) -> np.ndarray:
    """(n,) ms: of each the latency of the fastest that it equals."""
    latencies, unsure = objectives(members, (LATENCY,))[:, 0], uncertainties(members, (LATENCY,))[:, 0]
    return dominance.equal_to_best(latencies, unsure)


def _by_cost(members: Sequence[CompleteTrial]) -> list[CompleteTrial]:
    """The cheapest first."""
    costs = zip(_speeds(members), members, strict=True)
    return [each for _, each in sorted(costs, key=lambda pair: (pair[0], pair[1].flops, -pair[1].val_accuracy))]


def _cheapest(members: Sequence[CompleteTrial]) -> CompleteTrial:
    return _by_cost(members)[0]


def _knee(members: Sequence[CompleteTrial]) -> CompleteTrial:
    """Of equally near ones the cheaper."""
    points = np.stack([-objectives(members, (VAL_ACCURACY,))[:, 0], np.log(_speeds(members))], axis=1)  # (n, 2)
    spans = np.ptp(points, axis=0)
    scaled = (points - points.min(0)) / np.where(spans > 0, spans, 1.0)
    distances = np.round(np.linalg.norm(scaled, axis=1), 12)
    return _cheapest([record for record, near in zip(members, distances == distances.min(), strict=True) if near])
