"""Fronts against the definition of dominance."""

import hypothesis
from hypothesis import strategies as st

from studies.objectives import FLOPS, LATENCY, VAL_ACCURACY
from studies.pareto import ends_and_knee, front, knee


def test_front_in_order_of_latency(records):
    assert [record.number for record in front(records)] == [0, 2, 1]
    assert [record.number for record in front(records, among=(VAL_ACCURACY, LATENCY))] == [0, 1]
    assert [record.number for record in front(records, among=(VAL_ACCURACY, FLOPS))] == [0, 2, 1]


def test_nothing_completed_no_front(records):
    assert front(records[4:]) == []


def test_equal_trials_both_stay(make_record):
    twins = [make_record(0, 0.8, 1.0, 10), make_record(1, 0.8, 1.0, 10), make_record(2, 0.8, 1.1, 10)]
    assert [record.number for record in front(twins)] == [0, 1]


@hypothesis.given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=12))
@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture], deadline=None)
def test_front_is_what_nothing_dominates(make_record, points):
    made = [make_record(n, a / 5, float(ms), mf) for n, (a, ms, mf) in enumerate(points)]

    def dominates(p, q):
        return p[0] >= q[0] and p[1] <= q[1] and p[2] <= q[2] and p != q

    expected = {n for n, q in enumerate(points) if not any(dominates(p, q) for p in points)}
    assert {record.number for record in front(made)} == expected


def test_ends_and_knee_by_hand(make_record):
    """The knee is the member closest to (0.9, 1 ms, 1 MFLOP); latency and FLOPs as logarithms."""
    fast, middle, best = make_record(0, 0.5, 1.0, 1), make_record(1, 0.85, 2.0, 2), make_record(2, 0.9, 10.0, 100)
    dominated, almost = make_record(3, 0.4, 5.0, 50), make_record(4, 0.86, 9.0, 90)
    members = front([almost, best, dominated, middle, fast])
    assert [record.number for record in members] == [0, 1, 4, 2]
    assert knee(members).number == 1
    assert [record.number for record in ends_and_knee([fast, middle, best, dominated, almost])] == [0, 1, 2]


def test_a_small_front_has_no_repetitions(make_record, records):
    one = make_record(0, 0.8, 1.0, 10)
    assert ends_and_knee([one]) == [one]
    assert knee([one]) is one
    twins = [one, make_record(1, 0.8, 1.0, 10)]
    assert [record.number for record in ends_and_knee(twins)] == [0]
    assert ends_and_knee(records[4:]) == []
