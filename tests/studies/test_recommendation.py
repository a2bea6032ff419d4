"""What is recommended, with accuracies and costs by hand. 100 validation pictures."""

import dataclasses

import numpy as np
import pytest

from models.training.recipe import pack
from studies.recommendation import ends_and_recommended, recommend
from studies.rules import BEST, KNEE, ONE_SE, RULES, default_rule

N = 100


@pytest.fixture
def make(make_record):
    """A trial that has the last `right` of the pictures wrong; the more accurate has all right that others have."""

    def make(number, wrong, latency, mflops, probe=False, unsure=0.0, **changes):
        right = np.arange(N) < N - wrong
        record = make_record(number, (N - wrong) / N, latency, mflops, unsure=unsure, val_right=pack(right), **changes)
        kind = {"unfreeze_depth": 0, "head_width": 0} if probe else {"unfreeze_depth": 1}
        return dataclasses.replace(record, candidate=dataclasses.replace(record.candidate, **kind))

    return make


def numbers(records, rule):
    found = recommend(records, rule, N)
    return found.record.number, found.best.number


def test_rules_follow_the_budget():
    assert default_rule(None, None) == ONE_SE
    assert default_rule(5.0, None) == default_rule(None, 1.0) == BEST
    assert set(RULES) == {BEST, ONE_SE, KNEE}


def test_the_cheapest_within_one_standard_error(make):
    """One picture fewer: 0.01 below, with a standard error of 0.00995; three fewer: 0.03 and 0.0171."""
    best, near, far = make(0, 10, 9.0, 90), make(1, 11, 5.0, 50), make(2, 13, 1.0, 10)
    assert numbers([best, near, far], ONE_SE) == (0, 0)  # 0.01 is more than 0.00995
    assert numbers([best, near, far], BEST) == (2, 0)  # 0.03 is less than 1.96 times 0.0171
    found = recommend([best, near, far], BEST, N)
    assert found.standard_error == pytest.approx(np.sqrt((0.03 - 0.0009) / N))
    assert found.paired and not found.barred


def test_the_same_pictures_or_others_make_the_difference(make):
    """One picture fewer in both cases; where the two have 21 pictures alone, that may well be chance."""
    best, nested = make(0, 10, 9.0, 90), make(1, 11, 5.0, 50)
    apart = dataclasses.replace(nested, val_right=pack(np.arange(N) >= 11))
    assert numbers([best, nested], ONE_SE) == (0, 0)
    assert numbers([best, apart], ONE_SE) == (1, 0)


def test_never_one_that_the_baseline_beats(make):
    best, cheap = make(0, 10, 9.0, 90), make(1, 13, 1.0, 10)
    baseline = make(2, 12, 5.0, 50, probe=True)
    assert numbers([best, cheap], BEST) == (1, 0)
    found = recommend([best, cheap, baseline], BEST, N)
    assert (found.record.number, found.barred) == (2, 1)
    alone = recommend([baseline, make(3, 14, 1.0, 10)], BEST, N)
    assert (alone.record.number, alone.best.number, alone.barred) == (2, 2, 1)


def test_a_baseline_over_the_budget_bars_nobody(make):
    baseline = make(0, 5, 9.0, 90, probe=True, constraints={"max_latency_ms": 4.0})
    assert numbers([baseline, make(1, 13, 1.0, 10)], BEST) == (1, 1)


def test_of_equal_latencies_the_one_with_fewer_flops(make):
    best = make(0, 10, 9.0, 90)
    faster, lighter = make(1, 12, 1.0, 30, unsure=0.1), make(2, 11, 1.1, 20, unsure=0.1)
    assert numbers([best, faster, lighter], BEST) == (2, 0)


def test_the_knee_is_one_of_accuracy_and_latency(make):
    """In shares of the range 0 is (1, 0), 1 (0.125, 0.15), 2 (0, 1); its FLOPs speak against 1."""
    fast, middle, best = make(0, 50, 1.0, 1), make(1, 15, 1.41, 99), make(2, 10, 10.0, 100)
    assert numbers([fast, middle, best], KNEE) == (1, 2)


def test_the_knee_takes_equal_latencies_for_equal(make):
    """Accuracies 0.5, 0.7, 0.72 and 0.9 at 1.0, 2.6, 3.0 and 10 ms."""

    def members(unsure):
        rows = ((0, 50, 1.0, 1), (1, 30, 2.6, 10), (2, 28, 3.0, 10.5), (3, 10, 10.0, 100))
        return [make(*row, unsure=unsure) for row in rows]

    assert numbers(members(0.0), KNEE) == (1, 3)
    assert numbers(members(1.5), KNEE) == (2, 3)  # 2.6 and 3.0 both equal 1.0, so that the more accurate one is nearer


def test_the_ends_and_what_is_recommended(make, records):
    fast, near, best = make(0, 50, 1.0, 10), make(1, 11, 5.0, 50), make(2, 10, 9.0, 90)
    kept = dataclasses.replace(near, val_right=pack(np.arange(N) >= 11))
    assert [record.number for record in ends_and_recommended([best, kept, fast], ONE_SE, N)] == [0, 1, 2]
    assert ends_and_recommended([fast], ONE_SE, N) == [fast]
    assert ends_and_recommended(records[4:], ONE_SE, N) == []
    assert recommend(records[4:], ONE_SE, N) is None
