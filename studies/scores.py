"""What predictions on the test pictures are worth: the numbers of a final evaluation, from probabilities and labels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import with_config
from scipy import stats
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, top_k_accuracy_score

from studies import strict

CALIBRATION_BINS = 15
TOP = 5  # top-5 accuracy, of more than ten classes


@with_config(strict.STRICT)
@dataclass(frozen=True)
class Scores:
    """All shares are from 0 to 1. What no picture was predicted to be has precision 0.

    Attributes:
        top5_accuracy: None for ten classes or fewer.
        precision, recall, f1, support: of each class, in the order of the class names.
        confusion: pictures, rows are the true classes and columns the predicted ones.
        calibration_error: expected calibration error over 15 equal bins of confidence (Guo et al. 2017).
    """

    accuracy: float
    top5_accuracy: float | None
    macro_precision: float
    macro_recall: float
    macro_f1: float
    precision: Sequence[float]
    recall: Sequence[float]
    f1: Sequence[float]
    support: Sequence[int]
    confusion: Sequence[Sequence[int]]
    calibration_error: float


def score(probabilities: np.ndarray, labels: np.ndarray) -> Scores:
    """Probabilities (n, classes), labels (n,) class numbers."""
    classes = np.arange(probabilities.shape[1])
    predicted = probabilities.argmax(1)
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=classes, zero_division=0.0
    )
    top5 = None
    if len(classes) > 10:
        top5 = float(top_k_accuracy_score(labels, probabilities, k=TOP, labels=classes))
    return Scores(
        accuracy=float(np.mean(predicted == labels)),
        top5_accuracy=top5,
        macro_precision=float(precision.mean()),
        macro_recall=float(recall.mean()),
        macro_f1=float(f1.mean()),
        precision=precision.tolist(),
        recall=recall.tolist(),
        f1=f1.tolist(),
        support=support.tolist(),
        confusion=confusion_matrix(labels, predicted, labels=classes).tolist(),
        calibration_error=calibration_error(probabilities.max(1), predicted == labels),
    )


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Mean difference between confidence (n,) and share right (n,) over equal bins, weighted by their pictures."""
    places = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(places, weights=confidence.astype("float64") - right, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def accuracy_interval(accuracies: Sequence[float], n_pictures: int, level: float = 0.95) -> tuple[float, float]:
    """Interval for the accuracy to expect of one more training run on new pictures of the same kind.

    Two things are uncertain. Runs differ by their seeds: Student's t for the mean of the runs. The test pictures, the
    same for all runs, are a sample: the normal interval of a share (Agresti and Coull 1998). The two half widths are
    added in quadrature; as runs on a sample of pictures differ by the sample too, this errs towards wider intervals.
    One run alone says nothing of the first: then it is Wilson's interval (1927) over the pictures.

    Args:
        accuracies: of the runs on the same `n_pictures`, 0 to 1.
        n_pictures: number of test pictures.
        level: share of such intervals that hold the accuracy.

    Returns:
        Lower and upper end, within 0 and 1.
    """
    runs, mean = len(accuracies), float(np.mean(accuracies))
    if runs == 1:
        interval = stats.binomtest(round(mean * n_pictures), n_pictures).proportion_ci(level, method="wilson")
        return float(interval.low), float(interval.high)
    by_seed = stats.t.ppf((1 + level) / 2, runs - 1) * np.std(accuracies, ddof=1) / math.sqrt(runs)
    centre = (mean * n_pictures + 2) / (n_pictures + 4)  # above 0 and below 1 even where every picture is right
    by_pictures = stats.norm.ppf((1 + level) / 2) * math.sqrt(centre * (1 - centre) / (n_pictures + 4))
    reach = math.hypot(by_seed, by_pictures)
    return max(0.0, mean - reach), min(1.0, mean + reach)
