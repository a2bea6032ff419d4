"""Which validation pictures a trial has right, so that trials are compared picture by picture."""

import base64
import binascii
import math

import numpy as np

from studies.records import CompleteTrial


def right_of(record: CompleteTrial, n_val: int) -> np.ndarray | None:
    """(n_val,) bool; None where it was not kept, or is not what the trial's accuracy says.

    Kept is base64 of bytes of eight pictures each, the first one the highest bit; the pictures are in the order of the
    study's split.
    """
    try:
        packed = np.frombuffer(base64.b64decode(record.val_right, validate=True), np.uint8)
    except binascii.Error:
        return None
    if len(packed) != -(-n_val // 8):
        return None
    right = np.unpackbits(packed)[:n_val].astype(bool)
    return right if math.isclose(right.mean(), record.val_accuracy, abs_tol=0.5 / n_val) else None


def standard_error(first: CompleteTrial, second: CompleteTrial, n_val: int) -> tuple[float, bool]:
    """Of the difference of two validation accuracies, and whether the pictures were paired for it.

    Paired, the variance is that of the mean of the pictures' differences -1, 0 and 1 (Agresti 2013, "Categorical Data
    Analysis", 11.1). Where it is not known which pictures are right, accuracies count as those of independent samples,
    which are further off than those of the same pictures.

    Args:
        first: trial of a study.
        second: another one of it.
        n_val: number of its validation pictures.
    """
    answers = right_of(first, n_val), right_of(second, n_val)
    if answers[0] is not None and answers[1] is not None:
        differences = answers[0].astype(float) - answers[1]
        return float(differences.std()) / math.sqrt(n_val), True
    variances = [record.val_accuracy * (1 - record.val_accuracy) / n_val for record in (first, second)]
    return math.sqrt(sum(variances)), False
