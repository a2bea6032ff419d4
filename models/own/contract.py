"""What a network has to be so that it can stand where ours stand, and what is found of one: `python -m models.check`.

The contract: a function from the shape of a picture to a functional Keras model with one input and one feature map as
its output, whose layers can be counted, saved and found again.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models import ModelError
from models.blocks import ends
from models.cuts import leaves, stages
from models.flops import count, without_formula
from models.keras_graph import calls, continued, functional
from models.own.reference import Own, where
from models.quiet import quiet_import
from models.weights.values import weights_digest

SIDES = (224, 96)  # that are tried beside another, in pixels


@dataclass(frozen=True)
class Block:
    """Where the network may end.

    Attributes:
        layer: that makes what comes out.
        shape: (height, width, channels) of it.
        flops: of one picture up to there; None where a layer has no formula.
    """

    layer: str
    shape: tuple[int, ...]
    flops: int | None


@dataclass(frozen=True)
class Findings:
    """What is known of a network, and where it does not keep the contract.

    Attributes:
        name: of the network.
        side: in pixels, of which the rest speaks.
        parameters: all of them.
        stages: the layer that enters each, and its side in pixels, from the input on.
        blocks: from the input on.
        flops: of one picture; None where a layer has no formula.
        weights: the same in each build, or random.
        runtime: why it cannot be converted for LiteRT; empty where it can.
        problems: what does not work, and what to do about it; none where it keeps the contract.
    """

    name: str
    side: int
    parameters: int = 0
    stages: tuple[tuple[str, int], ...] = ()
    blocks: tuple[Block, ...] = ()
    flops: int | None = None
    weights: str = ""
    runtime: str = ""
    problems: tuple[str, ...] = ()


def built(own: Own, side: int) -> Any:
    """Pictures to the feature map, preprocessing included, in one flat graph.

    Returns:
        `keras.Model`: (None, side, side, 3) float32, RGB from 0 to 255, to (None, h, w, channels).

    Raises:
        ModelError: the function fails, or what it returns is no such model.
    """
    import keras

    try:
        network = own.build((side, side, 3))
    except Exception as error:  # whatever the user's code raises is the user's
        raise ModelError(f"{own.reference.function}(({side}, {side}, 3)) failed: {where(error)}") from error
    _check(network, own.reference.function, side)
    inputs = keras.Input((side, side, 3), name="pictures")
    try:
        x = own.preprocess(inputs) if own.preprocess else inputs
        if tuple(x.shape) != (None, side, side, 3):
            raise ModelError(f"preprocess must keep the shape ({side}, {side}, 3). Received: {tuple(x.shape[1:])}")
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"preprocess failed: {where(error)}") from error
    try:
        return keras.Model(inputs, continued(network, x), name=own.reference.name)
    except ValueError as error:  # two layers of one name, say
        raise ModelError(f"{own.reference.function} and preprocess do not fit together: {where(error)}") from error


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
    if len(network.outputs[0].shape) != 4:
        raise ModelError(
            f"{function} must return a network without its top, which ends in a feature map (height, width, channels) "
            f"before any pooling. Received: an output of shape {tuple(network.outputs[0].shape[1:])}"
        )


def examine(own: Own, sides: tuple[int, ...] = SIDES) -> Findings:
    """Build a network at some sides and look at it.

    Args:
        own: the network.
        sides: in pixels; the first one is told of.

    Raises:
        ModelError: it cannot be built at the first.
    """
    side = sides[0]
    model = built(own, side)
    problems = [*_unusable_layers(model), *_sizes(own, model, sides[1:])]
    found: dict[str, Any] = {}
    uncounted = without_formula(model)
    problems += [
        f"layer {layer!r} of class {kind} has no FLOPs formula: models.flops.register_flops({kind}, formula)"
        for layer, kind in uncounted
        if kind != "Lambda"  # it cannot be used anyhow
    ]
    try:
        found["flops"] = count(model).flops
    except ModelError as error:
        problems += [] if uncounted else [str(error)]
    try:
        found["blocks"] = tuple(_block(model, end, "flops" in found) for end in ends(model))
        found["stages"] = tuple((stage.cut, stage.size) for stage in stages(model))
    except ModelError as error:
        problems.append(str(error))
    same = weights_digest(model) == weights_digest(built(own, side))
    return Findings(
        name=own.reference.name,
        side=side,
        parameters=sum(math.prod(weight.shape) for weight in model.weights),
        weights="the same in each build" if same else "random, other ones in each build",
        runtime=_runtime(model),
        problems=tuple(problems),
        **found,
    )


def _block(model: Any, end: Any, counted: bool) -> Block:
    import keras

    flops = count(keras.Model(model.input, end.tensor)).flops if counted else None
    return Block(end.layer, tuple(end.tensor.shape[1:]), flops)


def _unusable_layers(model: Any) -> Iterator[str]:
    """Why some layers cannot be saved and found again."""
    import keras

    seen: set[type] = set()
    for layer in (leaf for each in model.layers for leaf in leaves(each)):
        kind = type(layer)
        if kind in seen:  # one line for each class
            continue
        seen.add(kind)
        if isinstance(layer, keras.layers.Lambda):
            yield (
                f"{layer.name!r} is a Lambda layer, whose code cannot be saved safely: make it a layer of its own, "
                "decorated with keras.saving.register_keras_serializable()"
            )
        elif not kind.__module__.startswith("keras.") and ">" not in keras.saving.get_registered_name(kind):
            yield (
                f"layer {layer.name!r} of class {kind.__name__} is not registered, so that a saved model cannot be "
                "opened again: decorate the class with keras.saving.register_keras_serializable()"
            )


def _sizes(own: Own, model: Any, sides: tuple[int, ...]) -> Iterator[str]:
    """Why it cannot be used at other sides."""
    expected = [tuple(weight.shape) for weight in model.weights]
    for side in sides:
        try:
            other = built(own, side)
        except ModelError as error:
            yield f"not at {side} px: {error}"
            continue
        if [tuple(weight.shape) for weight in other.weights] != expected:
            yield f"at {side} px it has weights of other shapes: one set of weights must serve every resolution"


def _runtime(model: Any) -> str:
    """Why it cannot be converted for LiteRT, in which latency is measured."""
    from models.export.runtimes import export_one

    with tempfile.TemporaryDirectory(prefix="keras-hpo-") as folder, quiet_import():
        try:
            export_one(model, "litert", Path(folder) / "model")
        except Exception as error:  # whatever a converter raises
            return " ".join(str(error).split())[:300] or type(error).__name__
    return ""
