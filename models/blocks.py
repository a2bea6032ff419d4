"""The blocks of a network: where it may end. Behind each of them a head can stand.

The rule, for every backbone and any user's functional network:

1. A block begins with a convolution that mixes channels, or a dense layer, and goes on to the last cut
   (`models.cuts`) before the next one. A depthwise convolution, padding and dropout belong to the block that follows.
2. An expansion is no end: a block with at least twice as many channels as the next one is joined to it. So networks
   end with the projection or the sum of an inverted residual (MobileNetV2, EfficientNet), and with the transitions of
   a DenseNet.

Names of layers say nothing that lasts: Keras numbers those without a name anew in each process. So an end is known by
the number of blocks that are kept; the last one is the whole network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from models import ModelError
from models.cuts import RANDOM_LAYERS, CutPoint, Segment, boundaries, leaves, sweep_of

MIXING = ("Conv2D", "SeparableConv2D", "Dense", "EinsumDense")
OPENING = ("DepthwiseConv2D", "ZeroPadding2D", *RANDOM_LAYERS)  # belong to what follows
EXPANSION = 2  # times the channels of the next block


def ends(model: Any) -> tuple[CutPoint, ...]:
    """What comes out of each block, from input to output; the last is the output of the model.

    Args:
        model: `keras.Model(inputs, feature_map)`; the inputs may lie before resizing and preprocessing.

    Raises:
        ModelError: there is no block.
    """
    sweep = sweep_of(model)
    starts = [index for index, (_, segment) in enumerate(sweep) if _has(segment, MIXING)]
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
    return tuple(1 + sum(seen <= cut.index for seen in begun) for cut in ends(model))


def _close(sweep: Sequence[Segment], start: int, end: int) -> CutPoint:
    """The last cut of the block that begins at `start`, before `end`."""
    last = start
    for index in range(start + 1, end):
        if _has(sweep[index][1], OPENING):
            break
        last = index
    return sweep[last][0]


def _has(segment: Sequence[Any], kinds: Sequence[str]) -> bool:
    return any(type(leaf).__name__ in kinds for operation in segment for leaf in leaves(operation))
