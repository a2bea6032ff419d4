"""Macro means picture by picture: against sklearn, and against the bootstrap of the pictures."""

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from studies.difference import accuracy_interval, graded, pool_seeds
from studies.finals import Guesses
from studies.macro import MACRO, by_picture
from studies.scores import wilson_interval


def guesses(n=600, classes=4, share=0.7, seed=0):
    """Classes of different sizes, and mistakes that are not spread evenly."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(classes, n, p=np.arange(1, classes + 1) / (classes * (classes + 1) / 2))
    wrong = rng.random(n) > share
    return Guesses(labels, np.where(wrong, rng.integers(0, classes - 1, n), labels))


def of_sklearn(one, classes):
    found = precision_recall_fscore_support(
        one.labels, one.predicted, labels=range(classes), average="macro", zero_division=0.0
    )
    return dict(zip(MACRO, found[:3], strict=True))


@pytest.mark.parametrize("classes", [2, 4, 7])
def test_their_means_are_the_macro_means(classes):
    one = guesses(classes=classes)
    found = {name: values.mean() for name, values in by_picture(one, classes).items()}
    assert found == pytest.approx(of_sklearn(one, classes))


def test_a_class_that_nothing_is_taken_for_or_that_has_no_pictures_counts_as_none():
    one = Guesses(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 2]))
    found = {name: values.mean() for name, values in by_picture(one, 4).items()}
    assert found == pytest.approx(of_sklearn(one, 4))


def test_their_variance_is_that_of_the_bootstrap():
    one, classes = guesses(), 4
    rng = np.random.default_rng(1)
    drawn = []
    for _ in range(1000):
        some = rng.integers(0, len(one.labels), len(one.labels))
        drawn.append(of_sklearn(Guesses(one.labels[some], one.predicted[some]), classes))
    for name, values in by_picture(one, classes).items():
        error = values.std() / len(values) ** 0.5
        assert error == pytest.approx(np.std([each[name] for each in drawn]), rel=0.08)


def test_the_interval_of_a_macro_mean_holds_it_and_seeds_widen_it():
    first, second = guesses(seed=0), guesses(seed=0, share=0.6)
    second = Guesses(first.labels, np.where(np.arange(600) % 9 == 0, 0, second.predicted))
    runs = np.stack([by_picture(one, 4)["macro_f1"] for one in (first, second)])
    alone, both = graded(runs[:1]), graded(runs)
    low, high = accuracy_interval(alone, pool_seeds([alone]))
    assert low < alone.accuracy < high
    wide = accuracy_interval(both, pool_seeds([both]))
    assert wide[1] - wide[0] > high - low


def test_without_a_mistake_it_is_wilsons():
    labels = np.arange(100) % 4
    perfect = graded(by_picture(Guesses(labels, labels), 4)["macro_f1"][None])
    right = graded(np.ones((1, 100), bool))
    seeds = pool_seeds([right])
    assert accuracy_interval(perfect, seeds) == pytest.approx(accuracy_interval(right, seeds))
    assert accuracy_interval(right, seeds) == pytest.approx(wilson_interval(1.0, 100), abs=0.02)


def simulated(rng, n, runs):
    """Runs on the same pictures: classes of different sizes, pictures of different difficulty, seeds that matter."""
    labels = rng.choice(4, n, p=[0.4, 0.3, 0.2, 0.1])
    hard, found = rng.normal(size=n), []
    for _ in range(runs):
        ease = 1.0 + rng.normal(scale=0.1, size=4)[labels] + 0.8 * hard + 0.6 * rng.normal(size=n)
        wrong = (labels + rng.choice([1, 2, 3], n, p=[0.7, 0.2, 0.1])) % 4
        found.append(Guesses(labels, np.where(ease > 0, labels, wrong)))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("runs", "models"), [(3, 4), (2, 1)])
def test_intervals_hold_the_truth_as_often_as_they_say(runs, models):
    rng = np.random.default_rng(0)
    truth = [of_sklearn(simulated(rng, 20_000, 1)[0], 4) for _ in range(60)]
    held = dict.fromkeys(MACRO, 0)
    for _ in range(300):
        several = [simulated(rng, 1000, runs) for _ in range(models)]
        for name in MACRO:
            values = [graded(np.stack([by_picture(one, 4)[name] for one in model])) for model in several]
            low, high = accuracy_interval(values[0], pool_seeds(values))
            held[name] += low <= np.mean([each[name] for each in truth]) <= high
    assert all(0.92 <= times / 300 <= 0.99 for times in held.values()), held
