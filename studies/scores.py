"""What predictions on the test pictures are worth: the numbers of a final evaluation, from probabilities and labels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import with_config
from scipy import special
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, top_k_accuracy_score

from studies import strict

CALIBRATION_BINS = 15
TOP = 5  # top-5 accuracy, of more than ten classes
NORMAL = float(special.ndtri(0.975))  # 1.96, for 95 %


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


def wilson_interval(share: float, n: float, quantile: float = NORMAL) -> tuple[float, float]:
    """Wilson's interval (1927) for a share of `n` pictures, all that varies being the pictures.

    Args:
        share: 0 to 1.
        n: pictures, or as many as would leave the same variance; need not be whole.
        quantile: 1.96 for 95 %, or Student's where the variance is estimated with few degrees of freedom.

    Returns:
        Lower and upper end, within 0 and 1; they never meet.
    """
    widened = quantile**2 / n
    centre = (share + widened / 2) / (1 + widened)
    reach = math.sqrt(quantile**2 * (share * (1 - share) / n + widened / (4 * n))) / (1 + widened)
    return max(0.0, centre - reach), min(1.0, centre + reach)
