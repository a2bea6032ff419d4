"""Fronts against the definition of dominance."""

import hypothesis
from hypothesis import strategies as st

from studies.objectives import FLOPS, LATENCY, VAL_ACCURACY
from studies.pareto import front, near_front


def test_front_in_order_of_latency(records):
    assert [record.number for record in front(records)] == [0, 2, 1]
    assert [record.number for record in front(records, among=(VAL_ACCURACY, LATENCY))] == [0, 1]
    assert [record.number for record in front(records, among=(VAL_ACCURACY, FLOPS))] == [0, 2, 1]


def test_nothing_completed_no_front(records):
    assert front(records[4:]) == []


def test_equal_trials_both_stay(make_record):
    twins = [make_record(0, 0.8, 1.0, 10), make_record(1, 0.8, 1.0, 10), make_record(2, 0.8, 1.1, 11)]
    assert [record.number for record in front(twins)] == [0, 1]


def test_latencies_within_their_uncertainty_are_equal_and_flops_decide(make_record):
    """0.3 and 0.4 ms make 0.5 ms together."""
    light = make_record(0, 0.8, 1.5, 10, unsure=0.3)
    assert front([light, make_record(1, 0.8, 1.0, 11, unsure=0.4)]) == [light]  # no slower, and fewer FLOPs
    faster = make_record(1, 0.8, 0.99, 11, unsure=0.4)
    assert front([light, faster]) == [faster, light]  # each is better in something
    for x in (LATENCY, FLOPS):
        assert front([light, make_record(1, 0.8, 1.0, 11, unsure=0.4)], among=(VAL_ACCURACY, x)) == [light]
    twin = make_record(2, 0.8, 1.4, 10, unsure=0.4)
    assert front([light, twin]) == [twin, light]  # equal in everything


def test_what_only_an_equal_latency_keeps_from_the_front_is_near_it(make_record):
    light, faster = make_record(0, 0.8, 1.5, 10, unsure=0.3), make_record(1, 0.8, 1.1, 11, unsure=0.4)
    worse = make_record(2, 0.7, 1.6, 12, unsure=0.4)
    assert front([light, faster, worse]) == [light]
    assert near_front([light, faster, worse]) == [faster, light]


@hypothesis.given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=12))
@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture], deadline=None)
def test_front_is_what_nothing_dominates(make_record, points):
    made = [make_record(n, a / 5, float(ms), mf, unsure=0.0) for n, (a, ms, mf) in enumerate(points)]

    def dominates(p, q):
        return p[0] >= q[0] and p[1] <= q[1] and p[2] <= q[2] and p != q

    expected = {n for n, q in enumerate(points) if not any(dominates(p, q) for p in points)}
    assert {record.number for record in front(made)} == expected
