"""Final numbers from predictions: against scikit-learn and closed forms; intervals that cover what they say."""

import numpy as np
import pytest
from sklearn import metrics

from studies.scores import accuracy_interval, calibration_error, score


def predictions(n=500, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    logits = rng.normal(size=(n, classes)) + 1.5 * np.eye(classes)[labels]
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True), labels


def test_scores_are_scikit_learns():
    probabilities, labels = predictions()
    found, predicted = score(probabilities, labels), probabilities.argmax(1)
    assert found.accuracy == metrics.accuracy_score(labels, predicted)
    assert found.macro_f1 == pytest.approx(metrics.f1_score(labels, predicted, average="macro"))
    assert found.macro_precision == pytest.approx(metrics.precision_score(labels, predicted, average="macro"))
    assert found.macro_recall == pytest.approx(metrics.balanced_accuracy_score(labels, predicted))
    assert np.array(found.confusion).tolist() == metrics.confusion_matrix(labels, predicted).tolist()
    assert sum(found.support) == len(labels)
    assert np.trace(found.confusion) / len(labels) == found.accuracy
    assert found.top5_accuracy is None


def test_top_5_of_more_than_ten_classes():
    probabilities, labels = predictions(classes=12)
    order = np.argsort(-probabilities, axis=1)[:, :5]
    assert score(probabilities, labels).top5_accuracy == pytest.approx((order == labels[:, None]).any(1).mean())


def test_a_class_that_is_never_predicted_or_never_there():
    probabilities = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0]])
    found = score(probabilities, np.array([0, 1]))
    assert found.precision == [0.5, 0.0, 0.0]
    assert found.recall == [1.0, 0.0, 0.0]
    assert found.support == [1, 1, 0]


@pytest.mark.parametrize(
    ("confidence", "right", "expected"),
    [
        ([1.0, 1.0], [True, True], 0.0),
        ([1.0, 1.0], [True, False], 0.5),
        ([0.8, 0.8, 0.8, 0.8, 0.3], [True, True, True, False, False], (4 * 0.05 + 0.3) / 5),
    ],
)
def test_calibration_error_by_hand(confidence, right, expected):
    assert calibration_error(np.array(confidence), np.array(right)) == pytest.approx(expected)


@pytest.mark.slow
@pytest.mark.parametrize("runs", [1, 3, 5])
@pytest.mark.parametrize(("accuracy", "spread"), [(0.8, 0.0), (0.8, 0.01), (0.7, 0.03), (0.97, 0.005)])
def test_intervals_cover_what_they_say(runs, accuracy, spread):
    """Runs whose true accuracy varies by the seed, all tested on one sample of pictures."""
    rng, n, covered, times = np.random.default_rng(0), 1000, 0, 1500
    for _ in range(times):
        luck = rng.random(n)  # a picture is right where its luck is below the run's accuracy: the same pictures for all
        truths = np.clip(accuracy + spread * rng.normal(size=runs), 0, 1)
        low, high = accuracy_interval([(luck < truth).mean() for truth in truths], n)
        covered += low <= accuracy <= high
    # a single run cannot know how much runs differ: it covers the pictures' share alone
    least = 0.945 if runs > 1 or spread == 0 else 0.3
    assert covered / times >= least


def test_intervals_by_hand():
    assert accuracy_interval([1.0, 1.0, 1.0], 100)[1] == 1.0
    low, high = accuracy_interval([0.5], 10_000)
    assert (low, high) == (pytest.approx(0.5 - 0.0098, abs=1e-4), pytest.approx(0.5 + 0.0098, abs=1e-4))
    low, high = accuracy_interval([0.5, 0.5], 10_000)  # runs that do not differ: the pictures alone
    assert (low + high) / 2 == pytest.approx(0.5)
    assert high - low == pytest.approx(2 * 1.96 * 0.005, rel=1e-3)
    wide = accuracy_interval([0.4, 0.6], 10_000)  # two runs that differ: one degree of freedom
    assert wide == (0.0, 1.0)
