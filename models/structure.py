"""Whether two networks compute the same at inference, whatever the values of their weights: one digest for both.

What a HyperModel's hyperparameters change is known only once it is built: a learning rate or a share of dropout nothing
that is left at inference. Networks with one digest have one latency.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from models.keras_graph import continued

# Layers that hand their input on at inference: what the names of their classes end with.
INERT = ("Dropout", "Dropout1D", "Dropout2D", "Dropout3D", "GaussianNoise", "ActivityRegularization")
NAMES = ("name", "trainable", "input_layers", "output_layers")
IN_TRAINING = ("_initializer", "_regularizer", "_constraint")  # what keys end with that say nothing of inference


def structure_of(model: Any) -> str | None:
    """SHA-256 of what a functional model with one input and one output computes at inference.

    It does not depend on names, on how weights begin, nor on layers that act in training alone. None where a layer is
    not Keras' own or calls a function: what it computes need not be in its configuration.
    """
    import keras

    inputs = keras.Input(batch_shape=model.inputs[0].shape, dtype=model.inputs[0].dtype)
    try:
        bare = keras.Model(inputs, continued(model, inputs, _instead))
        config = bare.get_config()
    except (
        Exception
    ):  # _Unknown, and whatever a layer of the user's says when it is called or asked for its configuration
        return None
    try:
        text = json.dumps(_at_inference(config, {}), sort_keys=True)
    except (_Unknown, TypeError):  # a value that JSON does not know
        return None
    weights = [[list(weight.shape), str(weight.dtype)] for weight in bare.weights]
    return hashlib.sha256(f"{text} {weights}".encode()).hexdigest()


class _Unknown(Exception):
    """What a layer computes is not known."""


def _instead(layer: Any) -> Callable[..., Any] | None:
    def handed_on(x: Any, **options: Any) -> Any:
        if options.get("training"):
            raise _Unknown  # it acts at inference, too
        return x

    of_keras = type(layer).__module__.startswith("keras.")
    return handed_on if of_keras and type(layer).__name__.endswith(INERT) else None


def _at_inference(value: Any, places: Mapping[str, int]) -> Any:
    """A part of a configuration without what is not left at inference; `places` of layers stand for their names."""
    if isinstance(value, list | tuple):
        return [_at_inference(each, places) for each in value]
    if not isinstance(value, Mapping):
        return value
    kind = str(value.get("class_name", "__none__"))
    if not kind.startswith("__") and str(value.get("module")).partition(".")[0] != "keras":  # __keras_tensor__, ...
        raise _Unknown
    if kind.endswith("DTypePolicy"):
        return value  # which is known by its name
    if "layers" in value:  # of a model
        places = {layer["name"]: place for place, layer in enumerate(value["layers"])}
    found = {}
    for key, each in value.items():
        if key == "keras_history":  # the tensor that a layer made: (its name, of which call, which output)
            found[key] = [places[each[0]], *each[1:]]
        elif key not in NAMES and not key.endswith(IN_TRAINING):
            found[key] = _at_inference(each, places)
    return found
