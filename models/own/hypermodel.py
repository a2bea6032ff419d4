"""HyperModels of KerasTuner: a class, an instance or a function that was named, imported."""

from __future__ import annotations

import ast
import hashlib
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from models import ModelError
from models.own.reference import Reference, member_of, module_of, source_of

SHAPE, CLASSES = "input_shape", ("classes", "num_classes")  # arguments of a class that the data decides
MOST_STATE = 50_000  # letters: it travels in the environment of processes


@dataclass(frozen=True)
class Hyper:
    """A HyperModel, its code imported.

    Attributes:
        name: that the study has for it.
        make: from the shape (height, width, channels) of a picture and the number of classes to the
            `keras_tuner.HyperModel`.
        preprocess: from a Keras tensor (None, height, width, channels) float32, 0 to 255, to what its models take; None
            where they take pictures from 0 to 1.
        source: which code it is, see `models.own.reference.Own`; what an instance was made with is part of it.
    """

    name: str
    make: Callable[[tuple[int, int, int], int], Any]
    preprocess: Callable[[Any], Any] | None
    source: str


def load_hyper(name: str, code: Reference, state: str) -> Hyper:
    """The HyperModel that a reference names: a class, an instance, or a function from hyperparameters to a model.

    Args:
        name: that it is to have.
        code: where it is; of an instance that Python handed over, where its class is.
        state: what that instance has, from `state_of`; empty otherwise.

    Raises:
        ModelError: there is no such code, it fails, or it is no HyperModel.
    """
    import keras_tuner

    target = member_of(code)
    is_class = isinstance(target, type) and issubclass(target, keras_tuner.HyperModel)
    is_function = callable(target) and not isinstance(target, type)
    if not (is_class or is_function or isinstance(target, keras_tuner.HyperModel)):
        raise ModelError(
            f"{code} must be a keras_tuner.HyperModel, an instance of one, or a function from hyperparameters to a "
            f"model. Received: {target.__name__ if isinstance(target, type) else type(target).__name__}"
        )
    preprocess = getattr(module_of(code), "preprocess", None)
    if preprocess is not None and not callable(preprocess):
        raise ModelError(f"preprocess in {code.module} must be a function. Received: {type(preprocess).__name__}")
    beside = [Reference(code.module, "preprocess", code.folder)] if preprocess else []
    source = source_of(code, *beside)
    if state:
        source += f" and settings {hashlib.sha256(state.encode()).hexdigest()}"

    def make(shape: tuple[int, int, int], n_classes: int) -> Any:
        if state:
            return _restored(target, state)
        return _instance(target, shape, n_classes, code) if is_class else _as_hypermodel(target)

    return Hyper(name, make, preprocess, source)


def state_of(instance: Any) -> str:
    """What a HyperModel has beside its class, as text: Python's literals, which run nothing where they are read.

    Raises:
        ModelError: other processes could not have it.
    """
    own = {name: value for name, value in vars(instance).items() if name not in ("build", "_build")}
    instead = "name an instance at the top level of a file instead"
    for name, value in own.items():
        if not _is_plain(value):
            raise ModelError(
                f"attributes of a HyperModel that is handed over must be numbers, texts, and lists, tuples and "
                f"dictionaries of them; {instead}. Received: {name} of class {type(value).__name__}"
            )
    state = repr(own)
    if len(state) > MOST_STATE:
        raise ModelError(
            f"attributes of a HyperModel that is handed over are more than {MOST_STATE} letters; {instead}"
        )
    return state


def _is_plain(value: Any) -> bool:
    """Whether its text says all of it, and the same in each process."""
    if isinstance(value, dict):
        return all(isinstance(key, (str, int)) and _is_plain(inner) for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or type(value) in (bool, int, str) or (type(value) is float and math.isfinite(value))


def _instance(kind: Any, shape: tuple[int, int, int], n_classes: int, code: Reference) -> Any:
    """Of a class, with what it asks for of the data."""
    known = {SHAPE: shape} | dict.fromkeys(CLASSES, n_classes)
    parameters = list(inspect.signature(kind).parameters.values())
    given = {each.name: known[each.name] for each in parameters if each.name in known}
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    lacking = [p.name for p in parameters if p.kind in kinds and p.default is p.empty and p.name not in given]
    if lacking:
        raise ModelError(
            f"{code} cannot be made without {', '.join(lacking)}: of a class only {SHAPE}, {' and '.join(CLASSES)} are "
            "known. Name an instance at the top level of the module, or hand one over in Python"
        )
    return kind(**given)


def _as_hypermodel(target: Any) -> Any:
    import keras_tuner

    if isinstance(target, keras_tuner.HyperModel):
        return target

    class OfFunction(keras_tuner.HyperModel):
        def build(self, hp: Any) -> Any:
            return target(hp)

    return OfFunction()


def _restored(kind: Any, state: str) -> Any:
    import keras_tuner

    instance = kind.__new__(kind)
    keras_tuner.HyperModel.__init__(instance)
    vars(instance).update(ast.literal_eval(state))
    return instance
