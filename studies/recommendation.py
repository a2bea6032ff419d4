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

BEST, ONE_SE, KNEE = "best", "one-se", "knee"
RULES = {
    BEST: "the cheapest member of the Pareto front whose validation accuracy cannot be told apart from the best one's: "
    "the 95 % interval of their difference on the same pictures holds 0",
    ONE_SE: "the cheapest member of the Pareto front whose validation accuracy is at most one standard error below the "
    "best, the standard error being that of their difference on the same pictures (Breiman et al. 1984)",
    KNEE: "the knee of the front: the member nearest to the highest accuracy and the lowest latency, if one had both, "
    "where both are scaled from 0 (best on the front) to 1 (worst), latency as a logarithm, and equal latencies count "
    "as equal",
}
NEVER = (
    "A member that is less accurate than the pretrained baseline, all of it frozen under a linear head, is never taken."
)
NORMAL = float(stats.norm.ppf(0.975))


@dataclass(frozen=True)
class Recommendation:
    """What is recommended, and by what.

    Attributes:
        record: the trial.
        rule: of `RULES`.
        best: the most accurate member of the front.
        standard_error: of the difference between the two, as a share.
        paired: whether it is known which pictures each of the two has right.
    """

    record: CompleteTrial
    rule: str
    best: CompleteTrial
    standard_error: float
    paired: bool


def default_rule(max_latency_ms: float | None, max_gflops: float | None) -> str:
    """With a budget what lies within it costs little enough; without one costs count."""
    return ONE_SE if max_latency_ms is None and max_gflops is None else BEST


def recommend(records: Sequence[TrialRecord], rule: str, n_val: int) -> Recommendation | None:
    """The recommended trial of a study; None if none is complete.

    Cheaper is what has the lower latency; of equal latencies (see `studies.dominance`) what has fewer FLOPs.

    Args:
        records: all of the study's.
        rule: of `RULES`.
        n_val: number of its validation pictures.
    """
    members = front(records)
    if not members:
        return None
    best = max(members, key=lambda record: record.val_accuracy)  # the fastest of equally accurate ones
    baseline = linear_probe(records)
    least = baseline.val_accuracy if baseline else 0.0
    allowed = [record for record in members if record.val_accuracy >= least]
    chosen = _knee(allowed) if rule == KNEE else _cheapest([each for each in allowed if _near(each, best, rule, n_val)])
    return Recommendation(chosen, rule, best, *standard_error(best, chosen, n_val))


def _near(record: CompleteTrial, best: CompleteTrial, rule: str, n_val: int) -> bool:
    error, _ = standard_error(best, record, n_val)
    factor = 1.0 if rule == ONE_SE else NORMAL
    return best.val_accuracy - record.val_accuracy <= factor * error


def _speeds(members: Sequence[CompleteTrial]) -> np.ndarray:
    """(n,) ms: of each the latency of the fastest that it equals."""
    latencies, unsure = objectives(members, (LATENCY,))[:, 0], uncertainties(members, (LATENCY,))[:, 0]
    return dominance.equal_to_best(latencies, unsure)


def _cheapest(members: Sequence[CompleteTrial]) -> CompleteTrial:
    costs = zip(_speeds(members), members, strict=True)
    return min(costs, key=lambda pair: (pair[0], pair[1].flops, -pair[1].val_accuracy, pair[1].number))[1]


def _knee(members: Sequence[CompleteTrial]) -> CompleteTrial:
    """Of equally near ones the cheaper."""
    points = np.stack([-objectives(members, (VAL_ACCURACY,))[:, 0], np.log(_speeds(members))], axis=1)  # (n, 2)
    spans = np.ptp(points, axis=0)
    scaled = (points - points.min(0)) / np.where(spans > 0, spans, 1.0)
    distances = np.round(np.linalg.norm(scaled, axis=1), 12)
    return _cheapest([record for record, near in zip(members, distances == distances.min(), strict=True) if near])
