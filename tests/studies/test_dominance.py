"""Fronts under uncertainty, against their definition and, where everything is exact, against moocore."""

import itertools

import hypothesis
import moocore
import numpy as np
import pytest
from hypothesis import strategies as st

from studies import dominance

MAXIMISE = np.array([True, False, False])
POINTS = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 9), st.integers(1, 4)), min_size=1, max_size=12)


def exact(values):
    return np.zeros((len(values), 3))


def unsure(values, each):
    return np.tile([0.0, each, 0.0], (len(values), 1))


def dominates(p, q, tolerance):
    """By hand: accuracy up, latency within a tolerance and FLOPs down."""
    no_worse = p[0] >= q[0] and p[1] <= q[1] + tolerance and p[2] <= q[2]
    return no_worse and (p[0] > q[0] or p[1] < q[1] - tolerance or p[2] < q[2])


@hypothesis.given(POINTS)
def test_without_uncertainty_it_is_the_set_of_non_dominated_points(points):
    values = np.array(points, float)
    expected = moocore.is_nondominated(values, maximise=MAXIMISE, keep_weakly=True)
    assert dominance.front(values, exact(values), MAXIMISE).tolist() == expected.tolist()
    ranks = moocore.pareto_rank(values, maximise=MAXIMISE)
    assert dominance.ranks(values, exact(values), MAXIMISE).tolist() == ranks.tolist()


@hypothesis.given(POINTS, st.integers(1, 3))
def test_no_member_dominates_another_and_every_other_point_is_dominated_by_one(points, each):
    values = np.array(points, float)
    tolerance = np.hypot(each, each)
    members = dominance.front(values, unsure(values, each), MAXIMISE)
    on_front = [point for point, member in zip(points, members, strict=True) if member]
    assert not any(dominates(p, q, tolerance) for p, q in itertools.permutations(on_front, 2))
    for point, member in zip(points, members, strict=True):
        assert member or any(dominates(p, point, tolerance) for p in on_front)


@hypothesis.given(POINTS, st.integers(0, 3), st.randoms(use_true_random=False))
def test_order_plays_no_part(points, each, random):
    order = list(range(len(points)))
    random.shuffle(order)
    values = np.array(points, float)
    shuffled = dominance.front(values[order], unsure(values, each), MAXIMISE)
    assert sorted(values[order][shuffled].tolist()) == sorted(
        values[dominance.front(values, unsure(values, each), MAXIMISE)].tolist()
    )


def test_what_equals_the_one_that_dominates_it_over_a_third_one_stays():
    """a dominates b and b dominates c, but c is faster than a: b is no member, so it keeps nobody out."""
    values = np.array([[0.9, 3.0, 1.0], [0.8, 2.0, 1.0], [0.7, 1.0, 1.0]])
    assert dominance.front(values, unsure(values, 0.8), MAXIMISE).tolist() == [True, False, True]  # 1.13 together
    assert dominance.ranks(values, unsure(values, 0.8), MAXIMISE).tolist() == [0, 1, 0]


def test_two_uncertain_objectives_are_refused():
    with pytest.raises(ValueError, match="at most one objective may be uncertain. Received: 2"):
        dominance.front(np.ones((2, 3)), np.tile([0.0, 1.0, 1.0], (2, 1)), MAXIMISE)


def test_equal_to_best():
    values, unsure = np.array([1.0, 1.5, 2.0, 9.0]), np.array([0.3, 0.4, 0.4, 0.0])
    assert dominance.equal_to_best(values, unsure).tolist() == [1.0, 1.0, 1.5, 9.0]
