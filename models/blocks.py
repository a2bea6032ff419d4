"""The blocks of a network: where it may end. At the end of each of them a head can stand.

The rule, for every backbone and any user's functional network:

1. A block begins with a convolution that mixes channels, or a dense layer, and goes on to the last cut
   (`models.cuts`) before the next one. A depthwise convolution, padding and dropout belong to the block that follows.
2. An expansion is no block: one with at least twice as many channels as the next one is joined to it. So the blocks of
   MobileNetV2 and EfficientNet are inverted residuals, and the transitions of a DenseNet close a block.
3. Where a block closes with a linear projection to at most half of the channels, with nothing behind it but
   BatchNormalization, a sum or dropout, the network ends before it. A linear head on averages knows no less from what
   is projected than from the projection, and the layer need not be run. What comes over a shortcut beside it is lost,
   and worth less, as measured by `benchmarks/inner_ends.py`. Transformers, which live by their shortcuts, are left as
   they are.
4. Attention belongs to the block that follows: with the dense layers behind it it is one block of a transformer; so
   does that which is made of dense layers itself, as DINOv3's, and is known by its softmax. Where a network ends with
   tokens, they are made a feature map (`models.tokens`).

Names of layers say nothing that lasts: Keras numbers those without a name anew in each process. So an end is known by
the number of blocks that are kept; the last one is the whole network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from models import ModelError
from models.cuts import RANDOM_LAYERS, CutPoint, Segment, attends_by_dense_layers, boundaries, has_any, sweep_of
from models.keras_graph import Call, calls, made_by
from models.tokens import ATTENTION, WHOLE_BLOCK, are_tokens, as_map

# Rules 3 and 4 for the record of a study whose networks they change.
BEFORE_PROJECTIONS = "before projections"
ATTENTION_OF_DENSE_LAYERS = "attention of dense layers"
ROTATION = "DINOV3RopePositionEmbedding"
MIXING = ("Conv2D", "SeparableConv2D", "Dense", "EinsumDense", WHOLE_BLOCK)
OPENING = ("DepthwiseConv2D", "ZeroPadding2D", *RANDOM_LAYERS, *ATTENTION)  # belong to what follows
BEHIND_PROJECTION = ("BatchNormalization", "Add", *RANDOM_LAYERS)  # with which a block may close
EXPANSION = 2  # times the channels of the next block, or of a projection


def ends(model: Any) -> tuple[CutPoint, ...]:
    """Where the network may end: with its first block, its second, ..., the last is the output of the model.

    Args:
        model: `keras.Model(inputs, feature_map)`; the inputs may lie before resizing and preprocessing.

    Returns:
        By the rules at the head of this module; a place beside a shortcut, which is no cut, has the index of the cut
        that closes the block.

    Raises:
        ModelError: there is no block.
    """
    return tuple(replace(end, tensor=as_map(end.tensor, model.inputs[0], model.name)) for end in _ends(model))


def rule_of(model: Any) -> str | None:
    """For the record of a study: rules that its blocks owe to, but for those that all networks have always had."""
    sweep = sweep_of(model)
    pairs = zip(_ends(model), _closed_blocks(sweep), strict=True)
    found = [BEFORE_PROJECTIONS] if any(end.tensor is not closed.tensor for end, closed in pairs) else []
    made = [segment for cut, segment in sweep if attends_by_dense_layers(cut, segment)]
    if any(not has_any(segment, (ROTATION,)) for segment in made):  # DINOv3's was known by that before
        found.append(ATTENTION_OF_DENSE_LAYERS)
    return ", ".join(found) or None


def keep(model: Any, n_blocks: int) -> Any:
    """The first `n_blocks` of a model, which share its layers; 0 for all of it.

    Raises:
        ModelError: there are not so many.
    """
    import keras

    if n_blocks == 0:
        return model
    all_ends = ends(model)
    if not 0 < n_blocks < len(all_ends):
        raise ModelError(
            f"keep_blocks must be 0 (all) or 1 to {len(all_ends) - 1} for {model.name!r}. Received: {n_blocks}"
        )
    return keras.Model(model.input, all_ends[n_blocks - 1].tensor, name=model.name)


def stages_kept(model: Any) -> tuple[int, ...]:
    """How many stages can be unfrozen where the network ends behind its first block, its second, and so on."""
    sweep = sweep_of(model)
    begun = [seen for _, seen in boundaries(sweep)]
    return tuple(1 + sum(seen <= cut.index for seen in begun) for cut in _ends(model))


def _ends(model: Any) -> tuple[CutPoint, ...]:
    """By rules 1 to 3."""
    sweep = sweep_of(model)
    *closed, output = _closed_blocks(sweep)
    made = {id(tensor): (at, call) for at, call in enumerate(calls(model)) for tensor in call.outputs}
    own = {id(cut.tensor): cut for cut, _ in sweep}
    return (*(_before_projection(cut, made, own) for cut in closed), output)


def _closed_blocks(sweep: Sequence[Segment]) -> tuple[CutPoint, ...]:
    """What comes out of each block, by rules 1 and 2."""
    starts = [
        n
        for n, (cut, segment) in enumerate(sweep)
        if has_any(segment, MIXING) and not attends_by_dense_layers(cut, segment)
    ]
    if not starts:
        raise ModelError("there is no block: the model has no layer that mixes channels")
    closed = [
        _close(sweep, start, next_start) for start, next_start in zip(starts, [*starts[1:], len(sweep)], strict=True)
    ]
    kept = [sweep[-1][0]]
    for cut in reversed(closed[:-1]):
        if cut.tensor.shape[-1] < EXPANSION * kept[-1].tensor.shape[-1]:
            kept.append(cut)
    return tuple(reversed(kept))


def _close(sweep: Sequence[Segment], start: int, end: int) -> CutPoint:
    """The last cut of the block that begins at `start`, before `end`."""
    last = start
    for index in range(start + 1, end):
        if has_any(sweep[index][1], OPENING) or attends_by_dense_layers(*sweep[index]):
            break
        last = index
    return sweep[last][0]


def _before_projection(closed: CutPoint, made: Mapping[int, tuple[int, Call]], own: Mapping[int, CutPoint]) -> CutPoint:
    """What the projection that closes a block is made of; the cut itself where none does.

    Args:
        closed: behind the block.
        made: by a tensor's id the call that makes it, and its position in the graph.
        own: all cuts of the network, by their tensors' ids.
    """
    _, call = made[id(closed.tensor)]
    summed = False
    while type(call.operation).__name__ in BEHIND_PROJECTION:
        summed |= len(call.inputs) > 1
        _, call = max((made[id(tensor)] for tensor in call.inputs), key=lambda entry: entry[0])  # not the shortcut
    wide = call.inputs[0] if _projects(call) else closed.tensor
    if wide is closed.tensor or (summed and id(wide) in own):  # no projection; one that is the shortcut after all
        return closed
    return own.get(id(wide), CutPoint(closed.index, made_by(wide).name, wide))


def _projects(call: Call) -> bool:
    """Whether it is a linear layer from each pixel to at most half of the channels."""
    layer = call.operation
    if (
        are_tokens(call.outputs[0])
        or type(layer).__name__ not in ("Conv2D", "Dense")
        or getattr(layer.activation, "__name__", "") != "linear"
    ):
        return False
    if type(layer).__name__ == "Conv2D" and (layer.kernel_size, layer.strides) != ((1, 1), (1, 1)):
        return False
    return bool(call.inputs[0].shape[-1] >= EXPANSION * call.outputs[0].shape[-1])
