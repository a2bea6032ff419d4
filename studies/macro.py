"""Macro precision, recall and F1 as means over test pictures, so that they get intervals as accuracy does.

Accuracy is a mean over pictures of 0 and 1. A macro mean is not, but it is one to first order: each picture gets the
number whose mean is the macro mean and whose variance is its variance, the macro mean plus what the picture pulls it
(the infinitesimal jackknife: Efron 1981, Canadian Journal of Statistics 9, 139-158). `studies.difference.graded` takes
these numbers as it takes right and wrong, so seeds count in the interval too.
"""

import numpy as np

from studies.finals import Guesses

MACRO = ("macro_precision", "macro_recall", "macro_f1")


def by_picture(guesses: Guesses, n_classes: int) -> dict[str, np.ndarray]:
    """What each picture has in each of `MACRO`, as `studies.scores.Scores` defines them.

    With S pictures of a class, P taken for it and R of them rightly, its precision is R / P, its recall R / S and its
    F1 2 R / (P + S); each is 0 where it would be 0 / 0.

    Returns:
        By name (n,) float, whose mean is the macro mean; single ones may lie outside 0 and 1.
    """
    labels, predicted, right = guesses.labels, guesses.predicted, guesses.right
    of_class = np.bincount(labels, minlength=n_classes)  # S
    taken = np.bincount(predicted, minlength=n_classes)  # P
    hits = np.bincount(labels[right], minlength=n_classes)  # R
    precision, recall, f1 = _ratio(hits, taken), _ratio(hits, of_class), _ratio(2 * hits, taken + of_class)
    weight = len(labels) / n_classes
    both = (taken + of_class).astype(float)  # at least 1 wherever a picture's own class or guess is looked up
    pulls = {
        "macro_precision": (right - precision[predicted]) / taken[predicted],
        "macro_recall": (right - recall[labels]) / of_class[labels],
        "macro_f1": (2 * right - f1[labels]) / both[labels] - f1[predicted] / both[predicted],
    }
    means = {"macro_precision": precision.mean(), "macro_recall": recall.mean(), "macro_f1": f1.mean()}
    return {name: means[name] + weight * pulls[name] for name in MACRO}


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.maximum(whole, 1), 0.0)
