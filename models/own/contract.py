"""What a network has to be so that it can stand where ours stand, and what is found of one: `python -m models.check`.

The contract: a function from the shape of a picture to a functional Keras model with one input and one feature map as
its output, whose layers can be counted, saved and found again.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models import ModelError
from models.blocks import ends
from models.cuts import leaves, stages
from models.flops import count, without_formula
from models.own.network import built
from models.own.reference import Own, where
from models.quiet import quiet_import
from models.weights.values import weights_digest

SIDES = (224, 96)  # that are tried beside another, in pixels
# Names of layers that a classifier has around its backbone, see `models.build`.
TAKEN = (
    "pictures", "to_float", "resize", "grey_to_rgb", "pool", "head", "head_norm", "head_relu", "head_dropout", "logits",
    "logit_of_first", "both_logits", "probabilities",
)  # fmt: skip


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
        stages: the layer that enters each, and its side in pixels, None of tokens; from the input on.
        blocks: from the input on.
        flops: of one picture; None where a layer has no formula.
        weights: the same in each build, or random.
        runtime: why it cannot be converted for LiteRT; empty where it can.
        problems: what does not work, and what to do about it; none where it keeps the contract.
    """

    name: str
    side: int
    parameters: int = 0
    stages: tuple[tuple[str, int | None], ...] = ()
    blocks: tuple[Block, ...] = ()
    flops: int | None = None
    weights: str = ""
    runtime: str = ""
    problems: tuple[str, ...] = ()


def check_usable(own: Own, sides: Sequence[int], pretrained: bool) -> None:
    """Make sure that a study can begin with a network.

    Args:
        own: the network.
        sides: in pixels, at which it is to be built.
        pretrained: whether training begins with the weights that it is built with.

    Raises:
        ModelError: as `models.own.network.built`; or it does not keep the contract; or its weights differ from build to
            build.
    """
    model = built(own, sides[0])
    digest = weights_digest(model) if pretrained else ""
    found = (*_unusable_layers(model), *_uncounted(model), *_shared(own, sides[0]), *_sizes(own, model, sides, digest))
    if found:
        raise ModelError(f"{own.name} cannot be searched: {found[0]}; all findings: python -m models.check")


def _shared(own: Own, side: int) -> Iterator[str]:
    """Why two networks would be one: what is trained in one would be trained in the other."""
    one, other = ({id(layer): layer for layer in own.build((side, side, 3)).layers} for _ in range(2))
    for key in one.keys() & other.keys():
        yield f"{own.function} must make new layers in each call. Received: {one[key].name!r} twice"
        return


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
    others = [
        other if own.patch == 1 else max(own.min_resolution, other // own.patch * own.patch) for other in sides[1:]
    ]
    problems = [*_unusable_layers(model), *_shared(own, side), *_sizes(own, model, others)]
    found: dict[str, Any] = {}
    problems += _uncounted(model)
    with contextlib.suppress(ModelError):  # which is among the problems
        found["flops"] = count(model).flops
    try:
        found["blocks"] = tuple(_block(model, end, "flops" in found) for end in ends(model))
        found["stages"] = tuple((stage.cut, stage.size) for stage in stages(model))
    except ModelError as error:
        problems.append(str(error))
    same = weights_digest(model) == weights_digest(built(own, side))
    return Findings(
        name=own.name,
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

    for layer in model.layers[1:]:
        if layer.name in TAKEN:
            yield f"layer {layer.name!r} has the name of a layer that every classifier has: give it another one"
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
        else:
            try:
                keras.saving.serialize_keras_object(layer)
            except Exception as error:  # whatever the user's code raises is the user's
                yield f"layer {layer.name!r} of class {kind.__name__} cannot be saved: {where(error)}"


def _uncounted(model: Any) -> list[str]:
    """Why its FLOPs are not known."""
    uncounted = without_formula(model)
    if uncounted:
        return [
            f"layer {layer!r} of class {kind} has no FLOPs formula: models.flops.register_flops({kind}, formula)"
            for layer, kind in uncounted
            if kind != "Lambda"  # it cannot be used anyhow
        ]
    try:
        count(model)
    except ModelError as error:
        return [str(error)]
    return []


def _sizes(own: Own, model: Any, sides: Sequence[int], digest: str = "") -> Iterator[str]:
    """Why it cannot be used at some sides; with the digest of its weights also where it has other ones there."""
    expected = [tuple(weight.shape) for weight in model.weights]
    for side in sides:
        try:
            other = built(own, side)
        except ModelError as error:
            yield f"not at {side} px: {error}"
            continue
        if own.patch > 1:
            continue  # it has other positions there, made of the same ones
        if [tuple(weight.shape) for weight in other.weights] != expected:
            yield f"at {side} px it has weights of other shapes: one set of weights must serve every resolution"
        elif digest and weights_digest(other) != digest:
            yield (
                f"{own.function} gives other weights each time: load weights in it, or choose --weights FILE, or "
                "--weights none to train from scratch"
            )


def _runtime(model: Any) -> str:
    """Why it cannot be converted for LiteRT, in which latency is measured."""
    from models.export.runtimes import export_one

    with tempfile.TemporaryDirectory(prefix="keras-hpo-") as folder, quiet_import():
        try:
            export_one(model, "litert", Path(folder) / "model")
        except Exception as error:  # whatever a converter raises
            return " ".join(str(error).split())[:300] or type(error).__name__
    return ""
