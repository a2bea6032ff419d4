"""What a HyperModel builds: checked, and put behind raw pictures."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from models import ModelError
from models.backbones import TO_FLOAT
from models.keras_graph import calls, continued, functional
from models.own.hyper_loss import gives_logits, takes_numbers
from models.own.hypermodel import Hyper
from models.own.reference import where

AUGMENTING = ("Rand", "AugMix", "CutMix", "MixUp")  # what the names of such layers begin with
BATCH = 256


class Judging:
    """What has a classifier that is asked again and again while it is trained."""

    classifier: Any

    @functools.cached_property
    def judge(self) -> Callable[[np.ndarray], np.ndarray]:
        """`classifier` as a function of arrays, with the weights that it has when it is called; traced once."""
        from models.training.backend import forward_now

        return forward_now(self.classifier)


@dataclass(frozen=True)
class Built(Judging):
    """What a HyperModel makes of values.

    Attributes:
        own: what it was built from.
        shape: height, width and channels of the pictures.
        hypermodel: the `keras_tuner.HyperModel`.
        values: the `keras_tuner.HyperParameters` that it was built with; what it asked for beside them is there.
        model: as `build` returns it, compiled.
        classifier: the same layers behind raw pictures, (n, height, width, channels) uint8 -> (n, classes)
            probabilities; layers that only change training pictures are left out.
        prepare: from pictures uint8 to what `model` takes, float32.
        targets: from labels (n,) to what its loss takes.
    """

    own: Hyper
    shape: tuple[int, int, int]
    hypermodel: Any
    values: Any
    model: Any
    classifier: Any
    prepare: Callable[[np.ndarray], np.ndarray]
    targets: Callable[[np.ndarray], np.ndarray]

    @property
    def trainable_parameters(self) -> int:
        """Weights that are trained."""
        return sum(math.prod(weight.shape) for weight in self.model.trainable_weights)

    @property
    def asked(self) -> list[str]:
        """The hyperparameters that `build` asked for, but those that are fixed."""
        described = self.values.get_config()["space"]
        return list(dict.fromkeys(each["config"]["name"] for each in described if each["class_name"] != "Fixed"))

    @property
    def fits_itself(self) -> bool:
        """Whether the HyperModel has a `fit` of its own."""
        return fits_itself(self.hypermodel)


def fits_itself(hypermodel: Any) -> bool:
    """Whether a HyperModel has a `fit` of its own."""
    import keras_tuner

    return type(hypermodel).fit is not keras_tuner.HyperModel.fit


def build(own: Hyper, values: Mapping[str, Any], shape: tuple[int, int, int], n_classes: int, seed: int) -> Built:
    """Build a HyperModel with values; hyperparameters that they do not have are at their defaults.

    Args:
        own: the HyperModel.
        values: by hyperparameter.
        shape: height, width and channels of the pictures.
        n_classes: number of classes.
        seed: of initial weights.

    Raises:
        ModelError: its code fails, or what it returns cannot be trained to tell classes.
    """
    import keras
    import keras_tuner

    keras.utils.set_random_seed(seed)
    found = keras_tuner.HyperParameters()
    found.values = dict(values)
    try:
        hypermodel = own.make(shape, n_classes)
        model = hypermodel.build(found)
    except ModelError:
        raise
    except (Exception, SystemExit) as error:  # whatever the user's code raises is the user's
        raise ModelError(f"{own.name} could not be built: {where(error)}") from error
    if isinstance(model, keras.Sequential) and not model.built:
        model.build((None, *shape))
    _check(own.name, model, shape, n_classes, fits_itself(hypermodel))
    inner, n_outputs = tuple(model.inputs[0].shape[1:]), model.outputs[0].shape[-1]
    try:
        inputs, x = _raw(own, shape, inner)
        y = probabilities(continued(model, x, _at_inference()), gives_logits(model))
        classifier = keras.Model(inputs, y, name="classifier")
    except ModelError:
        raise
    except Exception as error:  # whatever a layer says
        raise ModelError(f"{own.name} cannot be put behind its pictures: {where(error)}") from error

    def targets(labels: np.ndarray) -> np.ndarray:
        if n_outputs == 1:
            return labels.astype("float32")[:, None]
        if takes_numbers(model):
            return labels
        return np.eye(n_classes, dtype="float32")[labels]

    return Built(own, shape, hypermodel, found, model, classifier, lambda x: _floats(own, x, inner), targets)


def raw_pictures(built: Built) -> tuple[Any, Any]:
    """Keras tensors: raw pictures, uint8, and what the model takes of them."""
    return _raw(built.own, built.shape, tuple(built.model.inputs[0].shape[1:]))


def _raw(own: Hyper, shape: tuple[int, int, int], inner: tuple[int, ...]) -> tuple[Any, Any]:
    import keras

    inputs = keras.Input(shape, dtype="uint8", name="pictures")
    return inputs, _prepared(own, keras.layers.Rescaling(1.0, name=TO_FLOAT)(inputs), inner)


def accepted(fit: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the arguments that a `fit` of the user's takes."""
    parameters = inspect.signature(fit).parameters
    takes_all = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
    return {name: value for name, value in given.items() if takes_all or name in parameters}


def _check(name: str, model: Any, shape: tuple[int, int, int], n_classes: int, has_fit: bool) -> None:
    """Raises where it is no functional model from a picture to its class, compiled unless its `fit` is its own."""
    import keras

    if not isinstance(model, keras.Model):
        raise ModelError(f"{name} must build a keras.Model. Received: {type(model).__name__}")
    optimizer = getattr(model, "optimizer", None)
    if not has_fit and (optimizer is None or getattr(model, "loss", None) is None):
        raise ModelError(f"{name} must build a compiled model: model.compile(optimizer, loss) is missing")
    if not has_fit and getattr(optimizer, "use_ema", False):
        raise ModelError(
            f"{name} must compile without use_ema: fit replaces weights by their averages where it ends, at each rung"
        )
    try:
        calls(functional(model))
    except ModelError as error:
        raise ModelError(
            f"{name} must build a functional or a sequential model. Received: {type(model).__name__}"
        ) from error
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        found = f"inputs: {len(model.inputs)}, outputs: {len(model.outputs)}"
        raise ModelError(f"{name} must build a model with one input and one output. Received: {found}")
    taken, given = tuple(model.inputs[0].shape[1:]), tuple(model.outputs[0].shape[1:])
    allowed_shapes = [shape, *([shape[:2]] if shape[2] == 1 else []), (math.prod(shape),)]
    if taken not in allowed_shapes:
        raise ModelError(f"{name} must build a model for pictures of shape {shape}. Received: {taken}")
    if given != (n_classes,) and not (given == (1,) and n_classes == 2):
        allowed = "1 or 2" if n_classes == 2 else str(n_classes)
        raise ModelError(f"{name} must build a model with {allowed} outputs, one a class. Received: {given}")


def _prepared(own: Hyper, x: Any, inner: tuple[int, ...]) -> Any:
    """What the model takes, of pictures from 0 to 255 as a Keras tensor."""
    import keras

    try:
        x = own.preprocess(x) if own.preprocess else keras.layers.Rescaling(1 / 255, name="to_unit")(x)
    except Exception as error:
        raise ModelError(f"preprocess failed: {where(error)}") from error
    return x if tuple(x.shape[1:]) == inner else keras.layers.Reshape(inner, name="to_input")(x)


def _floats(own: Hyper, pictures: np.ndarray, inner: tuple[int, ...]) -> np.ndarray:
    """The same of an array (n, height, width, channels) uint8."""
    import keras

    if own.preprocess is None:
        return (pictures.astype("float32") * np.float32(1 / 255)).reshape((-1, *inner))
    inputs = keras.Input(pictures.shape[1:])
    model = keras.Model(inputs, _prepared(own, inputs, inner))
    return model.predict(pictures.astype("float32"), batch_size=BATCH, verbose=0)


def probabilities(y: Any, logits: bool) -> Any:
    """Of each class, (None, classes), from what a model gives, as Keras tensors."""
    import keras

    if y.shape[-1] == 1:
        y = keras.layers.Activation("sigmoid", name="probability")(y) if logits else y
        return keras.ops.concatenate([1 - y, y], axis=-1)
    return keras.layers.Softmax(name="probabilities")(y) if logits else y


def _at_inference() -> Callable[[Any], Callable[..., Any] | None]:
    """What is called in place of a layer that changes training pictures: nothing; of a Lambda: its function.

    KerasTuner's own, of `HyperImageAugment`, would change other pictures, too. What a function does can be counted, and
    a file with it loaded safely, where it is made of Keras' operations. Keras 3.15 calls other layers that change
    pictures, such as Resizing, with training=True unless told otherwise, and hands that on to all behind them.
    """
    import keras

    told: set[int] = set()  # layers that are told: once, or their calls would be taken for new ones

    def instead(layer: Any) -> Callable[..., Any] | None:
        kind = type(layer)
        if kind is keras.layers.Lambda:
            return lambda x, **_: layer.function(x, **(layer.arguments or {}))
        of_keras = ".image_preprocessing." in kind.__module__
        if kind.__name__.startswith(AUGMENTING) and (of_keras or kind.__module__.startswith("keras_tuner.")):
            return lambda x, **_: x
        if of_keras and id(layer) not in told:
            told.add(id(layer))
            return lambda x, **_: layer(x, training=False)
        return None

    return instead
