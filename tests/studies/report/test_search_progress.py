"""Hypervolume and savings against numbers worked out by hand."""

import math

import pytest

from studies.report.search_progress import hypervolume_steps, savings


def test_one_trial_fills_its_accuracy(make_record):
    """Alone it is the fastest and the cheapest: the volume is its accuracy."""
    (step,) = hypervolume_steps([make_record(0, 0.8, 3.0, 10)])
    assert step == (0, 4.5, pytest.approx(0.8))


def test_two_trials(make_record):
    """Both costs of the second are ten times those of the first: boxes of accuracies 0.5 and 0.9."""
    steps = hypervolume_steps([make_record(0, 0.5, 1.0, 1), make_record(1, 0.9, 10.0, 10)])
    side = math.log(1.1) / math.log(11)
    assert steps[0].hypervolume == pytest.approx(0.5)
    assert steps[1].hypervolume == pytest.approx(0.5 + 0.4 * side**2)
    assert [step.seconds for step in steps] == [4.5, 9.0]


def test_it_never_falls_and_counts_only_what_ended(records):
    steps = hypervolume_steps(records)
    assert [step.number for step in steps] == [0, 1, 2, 3, 4, 5]
    volumes = [step.hypervolume for step in steps]
    assert volumes == sorted(volumes)
    assert volumes[3] == volumes[5]


def test_ties_and_nothing(make_record):
    same = [make_record(number, 0.7, 1.0, 10) for number in range(3)]
    assert [step.hypervolume for step in hypervolume_steps(same)] == [pytest.approx(0.7)] * 3
    assert hypervolume_steps([make_record(0, None, 1.0, 1, state="failed")]) == []


def test_savings(curved):
    found = savings(curved, 4, {0: {"train": 2.0}, 1: {"train": 4.0}, 2: {"train": 6.0}, 3: {"train": 3.0}})
    assert (found.stopped, found.duplicates, found.over_budget) == (1, 1, 0)
    assert (found.epochs, found.all_epochs) == (14, 20)
    assert found.seconds == 15.0
    assert found.saved_seconds == 3.0 + 4.0  # two epochs of 1.5 s, and the median of 2, 4, 6
    assert found.share == pytest.approx(7 / 22)


def test_savings_of_nothing(make_record):
    found = savings([make_record(0, None, 1.0, 1, state="infeasible", epochs=0)], 4)
    assert (found.over_budget, found.epochs, found.saved_seconds, found.share) == (1, 0, 0, 0)
