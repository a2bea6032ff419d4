"""Final numbers from predictions: against scikit-learn and closed forms."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from studies.scores import calibration_error, score, wilson_interval


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


@pytest.mark.parametrize(("right", "n"), [(0, 100), (81, 100), (100, 100), (5000, 10_000)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_wilsons_interval_is_scipys(right, n, level):
    expected = stats.binomtest(right, n).proportion_ci(level, method="wilson")
    found = wilson_interval(right / n, n, stats.norm.ppf((1 + level) / 2))
    assert found == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilsons_interval_by_hand():
    assert wilson_interval(0.5, 10_000) == pytest.approx((0.5 - 0.0098, 0.5 + 0.0098), abs=1e-4)
    assert wilson_interval(1.0, 100) == pytest.approx((1 / (1 + 1.96**2 / 100), 1.0), abs=1e-5)
    wide = wilson_interval(0.9, 30.5, 12.7)  # Student's quantile with one degree of freedom
    assert 0 < wide[0] < 0.9 < wide[1] < 1
