"""Pictures that a chapter shows, made by whoever can read data and models; and the mistakes worth showing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from studies.finals import Predictions
from studies.report.blocks import Picture


@dataclass(frozen=True)
class ModelPictures:
    """Of one model; each group comes with one sentence: what is seen, or why there is nothing to see."""

    mistakes: tuple[Picture, ...] = ()
    mistakes_note: str = ""
    saliency: tuple[Picture, ...] = ()
    saliency_note: str = ""


@dataclass(frozen=True)
class Gallery:
    """Samples with one sentence of what is seen, and the pictures of each model that is shown in detail, by its label.

    `class_names` and `counts` are those of all pictures that are not test pictures.
    """

    class_names: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    samples: tuple[Picture, ...] = ()
    samples_note: str = ""
    models: Mapping[str, ModelPictures] = field(default_factory=dict)


class Judged(NamedTuple):
    """A test picture and what the model says of it; probabilities from 0 to 1."""

    place: int  # in the test split, from 0
    true: int
    predicted: int
    confidence: float  # probability of the predicted class
    of_true: float  # probability of the true class


def judged(predictions: Predictions, places: Sequence[int]) -> list[Judged]:
    """What a model says of the pictures with these numbers."""
    examples = []
    for index in places:
        shares, true = predictions.probabilities[index], int(predictions.labels[index])
        predicted = int(shares.argmax())
        examples.append(Judged(int(index), true, predicted, float(shares[predicted]), float(shares[true])))
    return examples


def worst_mistakes(predictions: Predictions, most: int) -> list[Judged]:
    """Wrong ones, the most confident first; of equals the first in the split."""
    guesses = predictions.probabilities.argmax(1)
    wrong = np.flatnonzero(guesses != predictions.labels)
    confidence = predictions.probabilities[wrong, guesses[wrong]]
    return judged(predictions, wrong[np.argsort(-confidence, kind="stable")][:most].tolist())


def right_ones(predictions: Predictions, most: int) -> list[Judged]:
    """The most confident right one of each class, by class, the first `most` classes that have one."""
    guesses, confidence = predictions.probabilities.argmax(1), predictions.probabilities.max(1)
    places = []
    for label in range(predictions.probabilities.shape[1]):
        right = np.flatnonzero((guesses == label) & (predictions.labels == label))
        if len(right):
            places.append(int(right[np.argmax(confidence[right])]))
    return judged(predictions, places[:most])
