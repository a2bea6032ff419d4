"""Final models as an evaluation left them: which there are, and what they say of pictures."""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from PIL import Image

from datasets.wording import printable
from hpo.errors import BadField, BadInput
from hpo.worker import session
from studies.attributes import STUDY_ID
from studies.finals import FinalModel, FinalRun, read_answers, read_runs, summarise
from studies.fingerprint import fingerprint_of
from studies.paths import BASELINE, StudyFiles, name_of

Picture = str | Path | np.ndarray | Image.Image


@dataclass(frozen=True)
class Prediction:
    """What a model says of one picture.

    Attributes:
        label: the most probable class.
        probability: of that class, 0 to 1.
        probabilities: of every class, in the order of the data set's; they add up to 1.
    """

    label: str
    probability: float
    probabilities: dict[str, float]


def models_of(study: optuna.Study, files: StudyFiles) -> list[FinalModel]:
    """The evaluated models of a study, from the most to the least accurate on the test pictures.

    Args:
        study: as it stands in the database.
        files: its files, the results of the training runs among them.

    Raises:
        BadInput: there are none.
    """
    search = {str(trial.number): trial.values[0] if trial.values else None for trial in study.trials}
    runs = read_runs(files, study.user_attrs[STUDY_ID])
    models = summarise(runs, search, read_answers(files, runs))
    if not models:
        raise BadInput(
            f"study {study.study_name} has no final models in {files.final}; "
            f"first: python -m hpo.evaluate {study.study_name}{fingerprint_of(study).code_words}"
        )
    return models


def pick(models: Sequence[FinalModel], name: str | None) -> FinalModel:
    """The model called `7`, `trial-7` or `baseline`; the most accurate one without a name.

    Raises:
        BadInput: there is no such model; the message names those that there are.
    """
    if name is None:
        return models[0]
    label = name.removeprefix("trial-")
    for model in models:
        if model.label == label and (name == label or label != BASELINE):
            return model
    there = ", ".join(name_of(model.label).replace(" ", "-") for model in models)
    raise BadField("model", f"must be one of those evaluated ({there}). Received: {name}")


def to_pictures(given: Sequence[Picture], shape: tuple[int, int, int]) -> np.ndarray:
    """Files, PIL images and arrays as pictures (n, height, width, channels) uint8, prepared as the data set's were.

    Args:
        given: arrays are (h, w), (h, w, 1) or (h, w, 3) uint8.
        shape: height, width and channels of the pictures that the model takes.

    Raises:
        BadInput: one cannot be read, or is no picture; it is named.
    """
    from datasets.decoding import UnreadableError, decode_as, fit

    pictures = np.empty((len(given), *shape), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of damaged EXIF blocks and large pictures
        for number, picture in enumerate(given):
            try:
                if isinstance(picture, (str, Path)):
                    pictures[number] = decode_as(Path(picture), shape)
                else:
                    pictures[number] = fit(_as_image(picture, number), shape)
            except UnreadableError as error:
                if not isinstance(picture, (str, Path)):
                    raise BadInput(f"picture {number} cannot be used: {error}") from error
                reason = error if os.path.lexists(picture) else "no such file"
                raise BadInput(f"{printable(picture)} cannot be read: {reason}") from error
    return pictures


def _as_image(picture: Any, number: int) -> Image.Image:
    if isinstance(picture, Image.Image):
        return picture
    array = np.asarray(picture)
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] not in (1, 3)):
        raise BadInput(
            f"picture {number} must be a file, a PIL image or an array (h, w), (h, w, 1) or (h, w, 3) of uint8. "
            f"Received: {array.dtype} {array.shape}"
        )
    return Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array)


def probabilities(run: FinalRun, path: Path, pictures: np.ndarray) -> np.ndarray:
    """In a worker: (n, classes) for pictures (n, h, w, c) uint8.

    Raises:
        ModelError: the file is damaged.
    """
    from hpo.final.training import classify

    return classify(session.current().classifier(run.candidate, run.shape, len(run.class_names), path), pictures)


def to_predictions(shares: np.ndarray, class_names: Sequence[str]) -> list[Prediction]:
    """From probabilities (n, classes)."""
    return [
        Prediction(class_names[int(row.argmax())], float(row.max()), dict(zip(class_names, row.tolist(), strict=True)))
        for row in shares
    ]
