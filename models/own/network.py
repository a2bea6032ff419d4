"""A network of the user's own as part of ours: built at a side, checked, and put behind pictures in one flat graph."""

from __future__ import annotations

import functools
from typing import Any

from models import ModelError
from models.cuts import stages
from models.keras_graph import calls, continued, functional
from models.own.hub_layers import opened
from models.own.reference import Own, where
from models.tokens import as_map


def built(own: Own, side: int) -> Any:
    """Pictures to the feature map, preprocessing included, in one flat graph.

    Returns:
        `keras.Model`: (None, side, side, 3) float32, RGB from 0 to 255, to (None, h, w, channels).

    Raises:
        ModelError: the function fails, or what it returns is no such model.
    """
    import keras

    inputs = keras.Input((side, side, 3), name="pictures")
    output = feature_map(own, inputs)
    try:
        return keras.Model(inputs, output, name=own.name)
    except ValueError as error:  # two layers of one name, in a model inside it or in preprocess
        raise ModelError(f"{own.function} cannot be put behind its pictures: {where(error)}") from error


def feature_map(own: Own, x: Any) -> Any:
    """Preprocessing and the network in the graph of `x`, its layers called one by one.

    Args:
        own: the network.
        x: Keras tensor, (None, side, side, 3) float32, RGB from 0 to 255.

    Returns:
        Keras tensor, (None, h, w, channels).

    Raises:
        ModelError: as `built`.
    """
    side = x.shape[1]
    try:
        network = own.build((side, side, 3))
    except ModelError:
        raise
    except (Exception, SystemExit) as error:  # whatever the user's code raises is the user's
        raise ModelError(f"{own.function}(({side}, {side}, 3)) failed: {where(error)}") from error
    _check(network, own.function, side)
    try:
        prepared = own.preprocess(x) if own.preprocess else x
        if tuple(prepared.shape) != (None, side, side, 3):
            raise ModelError(f"preprocess must keep the shape ({side}, {side}, 3). Received: {prepared.shape[1:]}")
    except ModelError:
        raise
    except (Exception, SystemExit) as error:
        raise ModelError(f"preprocess failed: {where(error)}") from error
    try:
        output = continued(network, prepared, opened)
    except Exception as error:  # whatever a layer says
        raise ModelError(f"{own.function} cannot be taken apart: {where(error)}") from error
    return as_map(output, x, own.name)


@functools.lru_cache(maxsize=32)
def stages_at(own: Own, side: int) -> int:
    """How many stages the network has at a side in pixels.

    Raises:
        ModelError: as `built`.
    """
    return len(stages(built(own, side)))


def _check(network: Any, function: str, side: int) -> None:
    """Raises where it is no functional model from pictures to a feature map."""
    import keras

    if not isinstance(network, keras.Model):
        raise ModelError(f"{function} must return a keras.Model. Received: {type(network).__name__}")
    try:
        calls(functional(network))
    except ModelError as error:
        raise ModelError(
            f"{function} must return a functional model, keras.Model(inputs, outputs), or a sequential one that is "
            f"built. Received: {type(network).__name__}"
        ) from error
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        found = f"inputs: {len(network.inputs)}, outputs: {len(network.outputs)}"
        raise ModelError(f"{function} must return a model with one input and one output. Received: {found}")
    if tuple(network.inputs[0].shape[1:]) != (side, side, 3):
        raise ModelError(
            f"{function}(({side}, {side}, 3)) must take pictures of that shape. "
            f"Received: {tuple(network.inputs[0].shape[1:])}"
        )
    if len(network.outputs[0].shape) not in (3, 4):
        raise ModelError(
            f"{function} must return a network without its top, which ends in a feature map (height, width, channels), "
            "or in tokens (patches, channels), before any pooling. "
            f"Received: an output of shape {tuple(network.outputs[0].shape[1:])}"
        )
