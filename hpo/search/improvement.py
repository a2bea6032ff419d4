"""Expected hypervolume improvement where all objectives but one are known beforehand. Plain arrays, pure functions.

A front of points that each have a value (more is better) and costs (less is better). A new point whose costs are known
adds to the hypervolume at each level of the value that it reaches: the part of the space of costs that it dominates and
no member of the front that reaches the level does. Between the values of two members that part does not change, so the
expectation over a normally distributed value is a sum over these steps, in closed form, without the sampling or the
boxes that are needed where every objective is uncertain (Daulton et al. 2020, arXiv 2006.05078).
"""

import itertools
import math

import moocore
import numpy as np
from scipy.special import ndtr


def expected_improvement(
    mean: np.ndarray,
    std: np.ndarray,
    costs: np.ndarray,
    front_values: np.ndarray,
    front_costs: np.ndarray,
    worst_value: float,
    worst_costs: np.ndarray,
) -> np.ndarray:
    """By how much each of n points is expected to raise the hypervolume.

    Args:
        mean: of the points' values, (n,).
        std: of the same, (n,); 0 for a value that is known.
        costs: of the points, (n, k).
        front_values: of the members, (m,); points that are dominated may be among them, and change nothing.
        front_costs: of the same, (m, k).
        worst_value: of the reference point: what is worse in anything adds nothing.
        worst_costs: of the same, (k,).

    Returns:
        (n,) float64, at least 0.
    """
    if len(front_values) > 1:  # a step for each member, and none for what is dominated
        on_front = moocore.is_nondominated(np.column_stack([-front_values, front_costs]))
        front_values, front_costs = front_values[on_front], front_costs[on_front]
    levels = [worst_value, *np.unique(front_values[front_values > worst_value]), math.inf]
    total = np.zeros(len(mean))
    for low, high in itertools.pairwise(levels):
        reached = _expected_above(mean, std, low) - _expected_above(mean, std, high)
        worthwhile = np.flatnonzero(reached > 0)  # most points reach few levels
        others = front_costs[front_values >= high]
        total[worthwhile] += reached[worthwhile] * _dominated_alone(costs[worthwhile], others, worst_costs)
    return total


def _expected_above(mean: np.ndarray, std: np.ndarray, level: float) -> np.ndarray:
    """(n,): the expectation of how far a normally distributed value is above a level."""
    if math.isinf(level):
        return np.zeros_like(mean)
    above = mean - level
    with np.errstate(divide="ignore", invalid="ignore"):
        z = above / std
        expected = above * ndtr(z) + std * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return np.where(std > 0, expected, np.maximum(above, 0.0))


def _dominated_alone(points: np.ndarray, others: np.ndarray, worst: np.ndarray) -> np.ndarray:
    """(n,): the volume that each of `points` (n, k) dominates and none of `others` (m, k) does, up to `worst` (k,)."""
    alone = np.prod(np.maximum(worst - points, 0.0), axis=1)
    if not len(others):
        return alone
    others = others[moocore.is_nondominated(others)] if len(others) > 1 else others
    if points.shape[1] == 2:
        return _above_stairs(points, others, worst)
    for number in np.flatnonzero(alone > 0):
        alone[number] -= moocore.hypervolume(np.maximum(others, points[number]), ref=worst)
    return np.maximum(alone, 0.0)


def _above_stairs(points: np.ndarray, others: np.ndarray, worst: np.ndarray) -> np.ndarray:
    """`_dominated_alone` of two costs: for all points at once, (n, m) numbers, what is below the stairs of the others.

    Args:
        points: (n, 2).
        others: (m, 2), none of which dominates another.
        worst: (2,).
    """
    stairs = others[np.argsort(others[:, 0])]
    begin = np.concatenate([[-math.inf], stairs[:, 0]])  # (m + 1,) of each step, by the first cost
    end = np.concatenate([stairs[:, 0], [math.inf]])
    top = np.concatenate([[math.inf], stairs[:, 1]])
    wide = np.minimum(end, worst[0]) - np.maximum(begin, points[:, :1])
    high = np.minimum(top, worst[1]) - points[:, 1:]
    return np.sum(np.maximum(wide, 0.0) * np.maximum(high, 0.0), axis=1)
