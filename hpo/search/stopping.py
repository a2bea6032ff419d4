"""Stopping early under several objectives: may a trial go on, given what others reached at the same rung?

Pure functions. Two of the three objectives, latency and FLOPs, are known before the first epoch; only accuracy grows.
That allows a rule which cannot stop a trial that no other dominates:

- dominance: a trial is compared only with those that are no slower and no costlier, because only they can dominate
  it; latencies within their uncertainty are equal (see `studies.dominance`). It stops when it is not among the best
  1/factor of them by accuracy. Asynchronous successive halving (Li et al. 2020, arXiv 1810.05934, the stopping
  variant) within those that could dominate; no trial is stopped by a dearer one.
- moasha: one order over all trials at the rung, by non-dominated sorting and, inside a front, by an epsilon-net
  (Schmucker et al. 2021, MO-ASHA, arXiv 2106.12639). It can stop a non-dominated trial, when the first front holds
  more trials than go on.
- none: every trial is trained to the end.

Decisions are asynchronous: a trial is compared with those that have reached the rung by then and is never judged there
again, so an early one has fewer to beat. Given what has been reached, order plays no part. A cheapest trial can be
stopped by those that cost exactly the same, never by dearer ones.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from studies import dominance
from studies.objectives import LATENCY, MAXIMISE, OBJECTIVES
from studies.outcomes import Measurement
from studies.records import State, TrialRecord

STOPPING = ("dominance", "moasha", "none")


@dataclass(frozen=True)
class Reached:
    """What a trial reached at a rung: accuracy 0 to 1 (up), milliseconds and FLOPs for one picture (both down).

    `uncertainty_ms` is that of the latency: two that differ by no more than theirs are equal (`studies.dominance`).
    """

    number: int
    val_accuracy: float
    latency_ms: float
    flops: float
    uncertainty_ms: float = 0.0

    def costs_no_less(self, other: "Reached") -> bool:
        """Whether another one is no slower and no costlier."""
        unsure = math.hypot(self.uncertainty_ms, other.uncertainty_ms)
        return other.latency_ms <= self.latency_ms + unsure and other.flops <= self.flops


@dataclass(frozen=True)
class Decision:
    """Whether the trial stops here, and why, in one short line for people."""

    stop: bool
    why: str


@dataclass(frozen=True)
class Judge:
    """Decides in a worker, at each rung, whether a trial goes on that is trained in one go.

    A `fit` of the user's cannot be interrupted and gone on with, so the trial is compared with what others had reached
    when it was begun.

    Attributes:
        number: of the trial.
        rule, factor: see `decide`.
        others: what others had reached, by rung.
    """

    number: int
    rule: str
    factor: int
    others: Mapping[int, Sequence[Reached]]

    def __call__(self, epoch: int, val_accuracy: float, measurement: Measurement) -> str:
        """Why the trial stops behind an epoch, its best accuracy being this one; empty where it goes on."""
        if epoch not in self.others:
            return ""
        unsure = measurement.latency.uncertainty_ms
        own = Reached(self.number, val_accuracy, measurement.latency_ms, float(measurement.flops), unsure)
        decision = decide(self.rule, own, self.others[epoch], self.factor)
        return said(epoch, decision) if decision.stop else ""


def said(epoch: int, decision: Decision) -> str:
    """Why a trial was stopped, for its record."""
    return f"stopped at epoch {epoch}: {decision.why}"


def reached_at(records: Sequence[TrialRecord], epoch: int) -> list[Reached]:
    """What every trial that was trained so far had reached by the end of an epoch.

    Not those that were interrupted: their candidates are tried again, and would be counted twice.
    """
    points = []
    for record in records:
        cost, curve = record.measurement, record.learning_curve[:epoch]
        if cost is not None and len(curve) == epoch and record.state != State.INTERRUPTED:
            accuracy = max(point["val_accuracy"] for point in curve)
            unsure = cost.latency.uncertainty_ms
            points.append(Reached(record.number, accuracy, cost.latency_ms, float(cost.flops), unsure))
    return points


def decide(rule: str, own: Reached, others: Sequence[Reached], factor: int) -> Decision:
    """Whether a trial that reached `own` at a rung goes on, after `others` reached theirs.

    About one in `factor` goes on from each rung. While there are fewer than `factor` to compare, all do.

    Args:
        rule: one of `STOPPING`.
        own: what the trial reached.
        others: what all others reached at this rung, without own, in any order.
        factor: at least 2.

    Raises:
        ValueError: for an unknown rule or a factor below 2.
    """
    _check_factor(factor)
    match rule:
        case "dominance":
            return _by_dominance(own, others, factor)
        case "moasha":
            return _by_moasha(own, others, factor)
        case "none":
            return Decision(False, "nothing is stopped")
    raise ValueError(f"stopping must be one of {', '.join(STOPPING)}. Received: {rule!r}")


def _by_dominance(own: Reached, others: Sequence[Reached], factor: int) -> Decision:
    """Place by accuracy among own and those no slower and no costlier; ties favour own.

    If own is non-dominated, none of them is more accurate (it would dominate), so own is first and goes on.
    """
    rivals = [other for other in others if own.costs_no_less(other)]
    rank = 1 + sum(other.val_accuracy > own.val_accuracy for other in rivals)
    what = f"val_accuracy {own.val_accuracy:.3f} is {_ordinal(rank)}"
    return _verdict(rank, len(rivals) + 1, factor, what, "that are no slower and no costlier")


def _by_moasha(own: Reached, others: Sequence[Reached], factor: int) -> Decision:
    """Place in the order of `moasha_order` over all trials at the rung."""
    everyone = [own, *others]
    order = moasha_order(everyone)
    rank = 1 + order.index(0)
    what = f"{_ordinal(rank)} by non-dominated sorting and epsilon-net"
    return _verdict(rank, len(everyone), factor, what, "at this rung")


def moasha_order(trials: Sequence[Reached]) -> list[int]:
    """Positions in `trials`, best first, as MO-ASHA's variant EpsNet sorts them.

    Fronts by non-dominated sorting (Deb et al. 2002), where latencies are equal as in `studies.dominance`. Inside a
    front by farthest-first traversal (Clarkson 2006): first the most accurate, then always the one farthest from its
    nearest among those already taken. The seed is Syne Tune's (`NonDominatedPriority`, `dim=0`: lowest in the first
    objective, which is the error). Unlike there each objective is first scaled to 0...1 over all trials given, else
    FLOPs alone would make the distances. Ties go to
    the trial with the lower number.
    """
    by_number = sorted(range(len(trials)), key=lambda position: trials[position].number)
    values = np.array(  # (n, objectives)
        [[getattr(trials[i], objective.name) for objective in OBJECTIVES] for i in by_number], float
    )
    unsure = np.zeros_like(values)
    unsure[:, OBJECTIVES.index(LATENCY)] = [trials[i].uncertainty_ms for i in by_number]
    ranks = dominance.ranks(values, unsure, np.array(MAXIMISE))
    spread = np.ptp(values, axis=0)
    scaled = (values - values.min(axis=0)) / np.where(spread > 0, spread, 1.0)
    order: list[int] = []
    for rank in range(int(ranks.max()) + 1):
        front = np.flatnonzero(ranks == rank)
        order += [by_number[front[i]] for i in _farthest_first(scaled[front], int(np.argmax(values[front, 0])))]
    return order


def _farthest_first(points: np.ndarray, first: int) -> list[int]:
    """All rows of `points` (n, d), from `first` on, each the farthest from those before it; ties to the lower row."""
    order, distance = [first], np.linalg.norm(points - points[first], axis=1)
    distance[first] = -1.0  # taken
    while len(order) < len(points):
        following = int(np.argmax(distance))
        order.append(following)
        distance = np.minimum(distance, np.linalg.norm(points - points[following], axis=1))
        distance[following] = -1.0
    return order


def _verdict(rank: int, n: int, factor: int, what: str, among: str) -> Decision:
    if n < factor:
        return Decision(False, f"{n} {among}; a decision needs {factor}")
    best = n // factor
    going = "the best one goes on" if best == 1 else f"the best {best} go on"
    return Decision(rank > best, f"{what} of {n} {among}; {going}")


def _ordinal(rank: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{rank}{'th' if rank % 100 in (11, 12, 13) else endings.get(rank % 10, 'th')}"


def _check_factor(factor: int) -> None:
    if factor < 2:
        raise ValueError(f"factor must be at least 2. Received: {factor}")
