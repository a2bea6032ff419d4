"""Who dominates whom where a value is only known within its uncertainty. Plain arrays, pure functions.

Two values that differ by no more than the uncertainty of their difference, u = sqrt(u1^2 + u2^2) for independent ones
(JCGM 100:2008, 5.1.2), are equal. One point dominates another if it is worse in nothing and better in something. Such
equality is not transitive: a may equal b and b equal c while a is better than c. So a front is the kernel of that
relation (von Neumann and Morgenstern 1944): no member dominates another, and whatever is no member is dominated by
one. There is exactly one kernel as long as only one objective is uncertain, since the relation then has no circles: on
a circle the other objectives would all be equal, and the uncertain one lower at each step. Without any uncertainty it
is the set of non-dominated points.
"""

import numpy as np


def front(values: np.ndarray, uncertainties: np.ndarray, maximise: np.ndarray) -> np.ndarray:
    """Which points are on the front; of equal ones all are.

    Args:
        values: (n, k) float64.
        uncertainties: (n, k), of each value; 0 where it is exact, and so in all columns but one.
        maximise: (k,) bool, whether more is better.

    Returns:
        (n,) bool.
    """
    costs = np.where(maximise, -values, values)
    vague = uncertainties.any(axis=0)
    if vague.sum() > 1:
        raise ValueError(f"at most one objective may be uncertain. Received: {vague.sum()}")
    # Whatever dominates a point comes before it: by the exact objectives, where they are equal by the uncertain one.
    order = np.lexsort([*costs[:, vague].T, *costs[:, ~vague].T])
    members = np.zeros(len(values), bool)
    while order.size:  # the first of those that are left is dominated by no member
        member, order = order[0], order[1:]
        members[member] = True
        differences = costs[member] - costs[order]  # (left, k), above 0: the member is worse
        unsure = np.hypot(uncertainties[member], uncertainties[order])
        dominated = (differences <= unsure).all(axis=1) & (differences < -unsure).any(axis=1)
        order = order[~dominated]
    return members


def ranks(values: np.ndarray, uncertainties: np.ndarray, maximise: np.ndarray) -> np.ndarray:
    """(n,) int: 0 on the front, 1 on that of the rest, and so on; arguments as those of `front`."""
    result = np.full(len(values), -1)
    rank = 0
    while (left := np.flatnonzero(result < 0)).size:
        result[left[front(values[left], uncertainties[left], maximise)]] = rank
        rank += 1
    return result


def equal_to_best(values: np.ndarray, uncertainties: np.ndarray) -> np.ndarray:
    """(n,): for each of `values` (n,), where less is better, the lowest of those that it equals."""
    equal = np.abs(values[:, None] - values) <= np.hypot(uncertainties[:, None], uncertainties)
    return np.where(equal, values, np.inf).min(axis=1)
