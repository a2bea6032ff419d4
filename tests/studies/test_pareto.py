"""Fronts against the definition of dominance, and hypervolume against a box counted by hand."""

import hypothesis
import numpy as np
from hypothesis import strategies as st

from studies.pareto import front, hypervolume


def test_front_in_order_of_latency(records):
    assert [record.number for record in front(records)] == [0, 2, 1]
    assert [record.number for record in front(records, columns=(0, 1))] == [0, 1]
    assert [record.number for record in front(records, columns=(0, 2))] == [0, 2, 1]


def test_nothing_completed_no_front(records):
    assert front(records[4:]) == []
    assert hypervolume(records[4:], (0, 10, 1e9)) == 0


def test_equal_trials_both_stay(make_record):
    twins = [make_record(0, 0.8, 1.0, 10), make_record(1, 0.8, 1.0, 10), make_record(2, 0.8, 1.1, 10)]
    assert [record.number for record in front(twins)] == [0, 1]


def test_hypervolume_of_one_and_two_boxes(make_record):
    one = make_record(0, 0.5, 1.0, 1)
    assert np.isclose(hypervolume([one], (0.0, 3.0, 2e6)), 0.5 * 2.0 * 1e6)
    two = make_record(1, 0.8, 2.0, 1)  # adds a box of 0.3 accuracy, 1 ms, 1 MFLOP
    assert np.isclose(hypervolume([one, two], (0.0, 3.0, 2e6)), 1e6 + 0.3 * 1.0 * 1e6)


@hypothesis.given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=12))
@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture], deadline=None)
def test_front_is_what_nothing_dominates(make_record, points):
    made = [make_record(n, a / 5, float(ms), mf) for n, (a, ms, mf) in enumerate(points)]

    def dominates(p, q):
        return p[0] >= q[0] and p[1] <= q[1] and p[2] <= q[2] and p != q

    expected = {n for n, q in enumerate(points) if not any(dominates(p, q) for p in points)}
    assert {record.number for record in front(made)} == expected
