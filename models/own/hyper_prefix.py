"""What a HyperModel froze itself: the layers below all that is trained, whose features need computing only once."""

from __future__ import annotations

import hashlib
import inspect
import json
from dataclasses import dataclass
from typing import Any

from models import flops
from models.cuts import CutPoint, sweep_of
from models.keras_graph import all_layers, draws, functional
from models.own.hyper_loss import gives_logits
from models.own.hyper_network import Built, Judging, probabilities, raw_pictures
from models.weights.values import weights_digest

STEPS = ("train_step", "compute_loss", "compute_metrics")  # of a `keras.Model`, that a subclass may have its own of


@dataclass(frozen=True)
class Prefix(Judging):
    """A model cut in two.

    Attributes:
        layer: whose output the cut is.
        base: (n, height, width, channels) uint8 -> features at the cut.
        tail: features -> what the model gives, compiled as it is: with its optimizer and loss.
        classifier: features -> (n, classes) probabilities.
        digest: SHA-256 of the layers below the cut and of their weights.
        below, above: FLOPs of one picture.
    """

    layer: str
    base: Any
    tail: Any
    classifier: Any
    digest: str
    below: int
    above: int


def find_prefix(built: Built) -> Prefix | None:
    """The deepest cut below which nothing is trained and nothing is random; None where no weights lie below one.

    Layers that draw random numbers in training count as random even where they are called with training=False, and so
    do the user's own that ask whether they are trained. None, too, where a model has training steps of its own.
    """
    import keras

    model = functional(built.model)
    cut = _deepest(model) if _trains_as_keras(built.model) else None
    if cut is None:
        return None
    below = keras.Model(model.input, cut.tensor)
    if not below.weights:
        return None
    inputs, x = raw_pictures(built)
    base = keras.Model(inputs, below(x))
    tail = keras.Model(cut.tensor, model.output)
    how = {name: getattr(built.model, name) for name in ("run_eagerly", "jit_compile", "steps_per_execution")}
    tail.compile(optimizer=built.model.optimizer, loss=built.model.loss, metrics=["accuracy"], **how)
    classifier = keras.Model(cut.tensor, probabilities(model.output, gives_logits(built.model)))
    try:
        structure = _structure(below)
    except Exception:  # a layer of the user's that says nothing of itself: what is stored could be another one's
        return None
    digest = hashlib.sha256(f"{structure} {weights_digest(below)}".encode()).hexdigest()
    return Prefix(cut.layer, base, tail, classifier, digest, flops.count(base).flops, flops.count(tail).flops)


def _trains_as_keras(model: Any) -> bool:
    """Whether its training step is Keras', with no weights of losses, so that a tail is trained as the whole is."""
    import keras

    own = any(getattr(type(model), name) is not getattr(keras.Model, name) for name in STEPS)
    return not own and not (model.get_compile_config() or {}).get("loss_weights")


def _deepest(model: Any) -> CutPoint | None:
    found = None
    for cut, segment in sweep_of(model)[1:]:
        if not all(map(_is_fixed, segment)):
            return found
        found = cut
    return None  # nothing is trained at all


def _is_fixed(operation: Any) -> bool:
    """Whether it gives the same of a picture in each epoch."""
    import keras

    for layer in (operation, *all_layers(operation)):
        if getattr(layer, "trainable_variables", ()) or draws(layer):
            return False
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable:
            return False  # it has the statistics of the batch
        of_library = type(layer).__module__.startswith(("keras.", "keras_hub."))
        if not of_library and "training" in inspect.signature(layer.call).parameters:
            return False
    return True


def _structure(model: Any) -> str:
    """Its layers and what connects them, without their names, which count up from model to model."""
    numbers = {layer.name: f"layer {number}" for number, layer in enumerate((model, *all_layers(model)))}

    def unnamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: unnamed(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [unnamed(inner) for inner in value]
        return numbers.get(value, value) if isinstance(value, str) else value

    return json.dumps(unnamed(json.loads(model.to_json())), sort_keys=True)
