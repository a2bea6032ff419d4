"""A network of the user's own in a `.keras` file: read without running what is in it, and cut off below its top."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from pathlib import Path
from typing import Any

from models import ModelError
from models.cuts import CutPoint, cut_points
from models.keras_graph import continued, functional, made_by
from models.own.reference import LEAST_SIDE, NATIVE_SIDE, Own
from models.quiet import quiet_import
from models.weights.values import set_weights

TOPS = ("GlobalAveragePooling2D", "GlobalMaxPooling2D", "Flatten")  # with which a classifier begins its top
WAY_OUT = "a function of yours that returns the network can load it as you like: path/file.py:build"


def load_saved(path: Path) -> Own:
    """The network in a file, with its weights, for pictures of any side that it can take.

    It takes pictures as it did when it was saved: preprocessing that is not in it is not done.

    Args:
        path: of a `.keras` file.

    Raises:
        ModelError: the file is damaged, has code or layers that Keras does not know, or is no network from pictures
            with three channels to a feature map or to classes.
    """
    flat = _flat(_opened(path), path)
    base = _without_top(flat, path)
    weights, side = base.get_weights(), int(flat.input.shape[1])

    def build(shape: tuple[int, int, int]) -> Any:
        import keras

        clone = keras.models.clone_model(base, input_tensors=keras.Input(shape))
        set_weights(clone, weights)
        return clone

    least = min(side, LEAST_SIDE)
    try:
        build((least, least, 3))
    except Exception:  # whatever a layer says: then it is for one side alone
        least = side
    source = f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    return Own(path.stem, build, None, source, path.name, least, side)


def _opened(path: Path) -> Any:
    import keras

    if not path.is_file():
        raise ModelError(f"there is no file {path}")
    try:
        with quiet_import():
            return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises of every kind
        innermost = str(error).rpartition("Exception encountered: ")[2]
        reason = " ".join(innermost.split())[:200] or type(error).__name__
        raise ModelError(f"{path} cannot be loaded: {reason}; {WAY_OUT}") from error


def _flat(model: Any, path: Path) -> Any:
    """The same as one graph without models inside, at a side that is known."""
    import keras

    model = functional(model)
    inputs = getattr(model, "inputs", None) or []
    shapes = [tuple(each.shape[1:]) for each in inputs]
    if len(shapes) != 1 or len(shapes[0]) != 3 or shapes[0][2] != 3 or shapes[0][0] != shapes[0][1]:
        found = ", ".join(map(str, shapes)) or "none"
        raise ModelError(f"{path} must take square pictures of three channels, (side, side, 3). Received: {found}")
    side = shapes[0][0] or NATIVE_SIDE
    pictures = keras.Input((side, side, 3), name="pictures")
    try:
        return keras.Model(pictures, continued(model, pictures))
    except ValueError as error:  # two layers of one name, in two models inside it
        raise ModelError(f"{path} cannot be taken apart: {' '.join(str(error).split())[:200]}; {WAY_OUT}") from error


def _without_top(model: Any, path: Path) -> Any:
    """Up to the feature map: what enters the pooling or flatten layer with which its top begins."""
    import keras

    for before, after in pairwise(cut_points(model)):
        if _begins_top(after):
            if len(before.tensor.shape) == 4 and before.index:
                return keras.Model(model.input, before.tensor)
            break
    else:
        return model
    raise ModelError(f"{path} must have a feature map (height, width, channels) before its first pooling to a vector")


def _begins_top(cut: CutPoint) -> bool:
    return len(cut.tensor.shape) != 4 or type(made_by(cut.tensor)).__name__ in TOPS
