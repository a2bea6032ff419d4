"""Where a network can be cut, the stages between well-chosen cuts, and freezing what lies below one.

A Keras functional graph can be cut wherever exactly one tensor is alive: everything behind the cut depends
on that tensor alone, so `Model(inputs, cut)` followed by `Model(cut, outputs)` is the same network.

Stages are the unit of unfreezing. The rule, for every backbone and any user's functional network:

1. A stage is a run of layers at one spatial size. A new stage begins when the size of a cut tensor falls to at
   most 2/3 of the size at which the stage began. (149 -> 147 by a convolution without padding is not a new
   stage, nor is anything that enlarges.) Layers before the first one with weights (resizing, preprocessing)
   count for no size.
2. The boundary between two stages is the last cut before the first one that is reached over weights at the new
   size; so a weightless pooling that closes a stage belongs to the stage it closes (VGG, DenseNet), while padding
   and dropout open the next stage. Unless that cut lies in the expansion of a bottleneck (MobileNetV2,
   EfficientNet): walking back over single layers, as far as the output of the nearest branching module and no
   further than the number of elements falls, a cut with less than half the elements takes its place.
3. A stage without weights joins its neighbour, and the first stage begins at the input of the model.
4. Tokens of a transformer have no size that falls: each of its blocks is a stage, beginning where its attention does.

NASNet keeps two tensors alive almost everywhere, so it has few cuts and two stages: the stem, and the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from models import ModelError
from models.keras_graph import all_layers, calls
from models.tokens import ATTENTION, OF_DENSE_LAYERS, are_tokens

STAGE_RATIO = 2 / 3  # a stage ends where the spatial size falls to this share of its first size
RATE_ATTRIBUTES = (
    "rate",
    "drop_path_rate",
    "drop_prob",
    "stddev",
)  # what a layer that is random in training is ruled by
RANDOM_LAYERS = (
    "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout", "GaussianDropout",
    "GaussianNoise", "StochasticDepth", "DropPath",
)  # fmt: skip


@dataclass(frozen=True)
class CutPoint:
    """A place where one tensor carries everything. Index 0 is the input of the model."""

    index: int
    layer: str  # name of the layer or operation that makes the tensor
    tensor: Any  # Keras tensor, (None, h, w, c)

    @property
    def elements(self) -> int:
        """Numbers per picture."""
        return prod(self.tensor.shape[1:])

    @property
    def size(self) -> int | None:
        """The longer spatial side, None for a tensor that is no feature map."""
        return max(self.tensor.shape[1:3]) if len(self.tensor.shape) == 4 else None


Segment = tuple[CutPoint, list[Any]]  # a cut, and the operations between it and the one before


@dataclass(frozen=True)
class Stage:
    """A run of layers that is unfrozen as a whole. Number 1 is the nearest to the input."""

    number: int
    cut: str  # name of the layer whose output enters the stage
    layers: tuple[str, ...]  # in the order of the graph
    size: int | None  # spatial size of what enters the stage; None of tokens
    tensor: Any  # Keras tensor that enters the stage


def cut_points(model: Any) -> tuple[CutPoint, ...]:
    """Everywhere that exactly one tensor is alive, from input to output."""
    return tuple(cut for cut, _ in sweep_of(model))


def stages(model: Any) -> tuple[Stage, ...]:
    """The stages of a functional model, from input to output, by the rule at the head of this module.

    Args:
        model: `keras.Model(inputs, feature_map)`; the inputs may lie before resizing and preprocessing.

    Returns:
        At least one stage; all layers of the model but its input belong to exactly one.
    """
    sweep = sweep_of(model)
    starts = [0, *(boundary for boundary, _ in boundaries(sweep))]
    in_order = []
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(sweep) - 1], strict=True), start=1):
        layers = [operation.name for _, segment in sweep[start + 1 : end + 1] for operation in segment]
        cut = sweep[start][0]
        names = tuple(dict.fromkeys(layers))
        in_order.append(Stage(number, cut.layer, names, cut.size, cut.tensor))
    return tuple(in_order)


def cut_tensor(model: Any, depth: int) -> Any:
    """The tensor that enters the top `depth` stages; the model's own output for depth 0."""
    all_stages = _checked_stages(model, depth)
    return all_stages[len(all_stages) - depth].tensor if depth else model.output


def freeze(model: Any, depth: int | None, train_batch_norm: bool = False) -> None:
    """Leaves the top `depth` stages trainable and makes all below them a fixed function of the input.

    Below the cut nothing is trainable, BatchNormalization therefore uses its stored statistics, and the rates of
    dropout-like layers become 0. Above the cut BatchNormalization stays in inference mode too: Keras' advice for
    fine-tuning, https://keras.io/guides/transfer_learning/ (its statistics are not those of small batches of
    another data set); `benchmarks/batch_norm.py` measured 0.07 to 0.12 less accuracy where it was trained. Rates of
    dropout are not restored: freeze a freshly built model.

    Args:
        model: `keras.Model(inputs, feature_map)`. A larger model that shares its layers is frozen with it.
        depth: 0 (all frozen) to the number of stages (all trainable); None for all.
        train_batch_norm: train BatchNormalization above the cut, for training from scratch.

    Raises:
        ModelError: depth is out of range.
    """
    from keras.layers import BatchNormalization

    frozen: set[str] = set()
    if depth is not None:
        all_stages = _checked_stages(model, depth)
        frozen = {name for stage in all_stages[: len(all_stages) - depth] for name in stage.layers}
    for layer in model.layers:
        for leaf in leaves(layer):
            norm = isinstance(leaf, BatchNormalization)
            leaf.trainable = layer.name not in frozen and (train_batch_norm or not norm)
            for part in (leaf, *all_layers(leaf)) if layer.name in frozen else ():  # attention has a dropout inside
                if type(part).__name__ in RANDOM_LAYERS:
                    _switch_off(part)


def leaves(layer: Any) -> Iterator[Any]:
    """A layer, or the layers inside a nested model, to any depth."""
    inner = getattr(layer, "layers", None)
    if not inner:
        yield layer
        return
    for child in inner:
        yield from leaves(child)


def has_weights(operation: Any) -> bool:
    """Whether anything can be learned here. The mean and variance of a Normalization are preprocessing."""
    from keras.layers import Normalization

    return any(getattr(leaf, "weights", None) and not isinstance(leaf, Normalization) for leaf in leaves(operation))


def sweep_of(model: Any) -> list[Segment]:
    """Each cut of a functional model with the operations since the one before it, from input to output.

    Raises:
        ModelError: it has several inputs or outputs.
    """
    graph = calls(model)
    inputs = [call for call in graph if call.is_input]
    if len(inputs) != 1 or len(model.outputs) != 1:
        raise ModelError(f"only a model with one input and one output can be cut. Received: {model.name!r}")
    last_use: dict[int, int] = {id(model.outputs[0]): len(graph)}
    for position, call in enumerate(graph):
        for tensor in call.inputs:
            last_use[id(tensor)] = max(position, last_use.get(id(tensor), 0))
    alive: set[int] = set()
    cuts: list[Segment] = []
    segment: list[Any] = []
    for position, call in enumerate(graph):
        if not call.is_input:
            segment.append(call.operation)
        alive |= {id(tensor) for tensor in call.outputs if last_use.get(id(tensor), -1) > position}
        alive = {key for key in alive if last_use[key] > position}
        if len(alive) == 1 and alive == {id(call.outputs[0])}:
            cuts.append((CutPoint(len(cuts), call.operation.name, call.outputs[0]), segment))
            segment = []
    return cuts


def boundaries(sweep: Sequence[Segment]) -> list[tuple[int, int]]:
    """Indices into a sweep: where each stage but the first begins, and the first cut of the new size, which shows it.

    A network that ends before that cut has no such stage.

    Raises:
        ModelError: nothing in it can be trained.
    """
    weighted = [any(has_weights(operation) for operation in segment) for _, segment in sweep]
    if not any(weighted):
        raise ModelError("there is nothing to unfreeze: the model has no layer with weights")
    last = max(weighted.index(True) - 1, 0)  # the last boundary: what enters the first layer with weights
    stage_size = sweep[last][0].size or 1
    found: list[tuple[int, int]] = []
    fallen = False
    for index in range(last + 1, len(sweep)):
        size = sweep[index][0].size
        if size is not None and size <= STAGE_RATIO * stage_size:
            stage_size, fallen = size, True
        if _attends(*sweep[index]) and any(weighted[last + 1 : index]):
            found.append((index - 1, index))
            last = index - 1
        elif fallen and weighted[index]:
            fallen = False
            boundary = _bottleneck(sweep, last, index)
            if boundary is not None and any(weighted[last + 1 : boundary + 1]):
                found.append((boundary, index))
                last = boundary
    return found


def attends_by_dense_layers(cut: CutPoint, segment: Sequence[Any]) -> bool:
    """Whether attention among tokens lies in a segment that is made of dense layers and not of one of its own."""
    return are_tokens(cut.tensor) and has_any(segment, (OF_DENSE_LAYERS,))


def has_any(segment: Sequence[Any], kinds: Sequence[str]) -> bool:
    """Whether a layer of one of these classes lies in a segment."""
    return any(type(leaf).__name__ in kinds for operation in segment for leaf in leaves(operation))


def _attends(cut: CutPoint, segment: Sequence[Any]) -> bool:
    return are_tokens(cut.tensor) and has_any(segment, (*ATTENTION, OF_DENSE_LAYERS))


def _bottleneck(sweep: Sequence[Segment], first: int, end: int) -> int | None:
    """The boundary in the open range (first, end): rule 2 at the head of this module."""
    best = None
    for index in range(end - 1, first, -1):
        cut, segment = sweep[index]
        if best is not None and cut.elements > sweep[best][0].elements:
            break
        if best is None and _opens_stage(sweep, index):
            continue
        if best is None or cut.elements < sweep[best][0].elements / 2:
            best = index
        if len(segment) > 1:  # several layers between two cuts: a branching module
            break
    return best


def _opens_stage(sweep: Sequence[Segment], index: int) -> bool:
    """Whether a cut comes out of padding or dropout, which belong to the layers that follow."""
    cut, segment = sweep[index]
    if type(segment[-1]).__name__ in RANDOM_LAYERS:
        return True
    enlarges = (cut.size or 0) > (sweep[index - 1][0].size or 0)
    return enlarges and not any(has_weights(operation) for operation in segment)


def _checked_stages(model: Any, depth: int) -> tuple[Stage, ...]:
    all_stages = stages(model)
    if not 0 <= depth <= len(all_stages):
        raise ModelError(f"unfreeze depth must be 0 to {len(all_stages)} for {model.name!r}. Received: {depth}")
    return all_stages


def _switch_off(layer: Any) -> None:
    for attribute in RATE_ATTRIBUTES:
        if hasattr(layer, attribute):
            setattr(layer, attribute, 0.0)
