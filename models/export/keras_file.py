"""Trained models as files: written to be used without this project, and read back into a network that we build."""

import json
import secrets
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path

import keras

from models import ModelError
from models.build import Network, Task, build_classifier, build_network
from models.candidate import AnyCandidate, Candidate

CLASS_NAMES = "class_names.json"  # inside the .keras file, which is a zip archive


def save(model: keras.Model, class_names: Sequence[str], path: Path) -> int:
    """Write the `.keras` file with the class names inside, in one step; returns its size in bytes.

    It takes raw uint8 pictures of one size and gives probabilities, and loads with plain
    `keras.saving.load_model`, which leaves the entry `class_names.json` of the archive alone.
    """
    part = path.with_name(f".{secrets.token_hex(8)}.{path.name}")
    try:
        model.save(part)
        with zipfile.ZipFile(part, "a") as archive:
            archive.writestr(CLASS_NAMES, json.dumps(list(class_names), ensure_ascii=False))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path.stat().st_size


def restore(candidate: AnyCandidate, shape: Sequence[int], n_classes: int, path: Path) -> keras.Model:
    """The model that `save` wrote: raw pictures in, probabilities out; see `restore_network`.

    Raises:
        ModelError: as `restore_network`, or the code of a HyperModel was not named.
    """
    if isinstance(candidate, Candidate):
        return restore_network(candidate, shape, n_classes, path).model
    model = build_classifier(candidate, _task(shape, n_classes), 0)
    _load(model, path)
    return model


def restore_network(candidate: Candidate, shape: Sequence[int], n_classes: int, path: Path) -> Network:
    """The network that `save` wrote: its weights, read into the candidate's own; nothing in the file is run.

    Args:
        candidate: whose network it is.
        shape: height, width and channels of the pictures.
        n_classes: number of classes.
        path: the file.

    Raises:
        ModelError: the file is not there, damaged, or of another network; one line.
    """
    network = build_network(candidate, _task(shape, n_classes), 0)
    shorter = "; or it is of a version in which shorter networks ended elsewhere" if candidate.keep_blocks else ""
    _load(network.model, path, shorter)
    return network


def _task(shape: Sequence[int], n_classes: int) -> Task:
    height, width, channels = shape
    return Task(height, width, channels, n_classes, "none")


def _load(model: keras.Model, path: Path, perhaps: str = "") -> None:
    """Raises ModelError where the file is not of this model; `perhaps` says what else it may be."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # Keras only warns of layers for which the file has nothing
            model.load_weights(path)
    except (OSError, ValueError, KeyError, UserWarning, zipfile.BadZipFile) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ModelError(f"{path} is not the model that it should be: {reason}{perhaps}") from error
