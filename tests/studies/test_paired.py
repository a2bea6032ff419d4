"""Two classifiers on the same pictures, against published intervals and sums by hand."""

import pytest

from studies.paired import Pairs
from studies.scores import wilson_interval


@pytest.mark.parametrize(
    ("counts", "interval"),
    [
        ((20, 2, 12, 16), (0.0562, 0.3292)),  # Newcombe 1998, method 10
        ((1, 7, 1, 12), (-0.507, -0.026)),  # Bentur et al. 2009 in Fagerland, Lydersen and Laake 2014
    ],
)
def test_intervals_as_published(counts, interval):
    assert Pairs(*counts).difference_interval() == pytest.approx(interval, abs=5e-4)


def test_the_interval_turns_around_with_the_classifiers():
    low, high = Pairs(90, 6, 1, 13).difference_interval()
    assert Pairs(90, 1, 6, 13).difference_interval() == pytest.approx((-high, -low))


def test_where_both_agree_the_interval_is_no_point():
    same = Pairs(90, 0, 0, 10)
    low, high = same.difference_interval()
    assert -0.05 < low < 0 < high == pytest.approx(-low)
    assert (same.difference, same.p_value, same.loses, same.gains) == (0, 1, False, False)
    all_right = Pairs(100, 0, 0, 0).difference_interval()  # z²/(n + z²), the upper end of Wilson's at 0 of 100
    assert all_right == pytest.approx((-0.0369935, 0.0369935), abs=1e-6)


def test_accuracy_is_that_of_the_second():
    pairs = Pairs(80, 9, 1, 10)
    assert (pairs.n, pairs.accuracy, pairs.difference) == (100, 0.81, -0.08)
    assert pairs.interval == wilson_interval(0.81, 100)
    assert pairs.p_value == pytest.approx(2 * (1 + 10) / 2**10)  # at most one of ten coins shows heads, on both sides
    assert (pairs.loses, pairs.gains) == (True, False)
    turned = Pairs(80, 1, 9, 10)
    assert (turned.loses, turned.gains) == (False, True)
