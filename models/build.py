"""From a candidate to one flat Keras model: raw uint8 pictures in, probabilities out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import keras

from models import ModelError, blocks, cuts
from models.backbones import TO_FLOAT, features, get_backbone, stages_of
from models.candidate import AnyCandidate, Architecture, Candidate, HyperCandidate
from models.tokens import class_token
from models.training.heads import initial_head
from models.weights.loading import load_backbone_weights

if TYPE_CHECKING:
    from models.own.hyper_network import Built

POOLINGS = {
    "average": keras.layers.GlobalAveragePooling2D,
    "max": keras.layers.GlobalMaxPooling2D,
    "token": keras.layers.Flatten,  # of a map of one cell: the class token of a transformer
}
HEAD_NORM_MOMENTUM = 0.9  # of the statistics: Keras' 0.99 needs more steps than a short fine-tuning has


@dataclass(frozen=True)
class Task:
    """What the study fixes for every model: the size of pictures, the classes, and where the weights come from.

    `any_side`: pictures come at the side that the backbone sees, `height` and `width` being the largest.
    `weights` is "pretrained", "none" (then the whole network is trained, batch norm included) or a file.
    """

    height: int
    width: int
    channels: int
    n_classes: int
    weights: str
    any_side: bool = False

    def size(self, resolution: int) -> tuple[int, int]:
        """Height and width of the pictures that a network gets whose backbone sees `resolution` pixels a side."""
        return (resolution, resolution) if self.any_side else (self.height, self.width)

    @property
    def n_logits(self) -> int:
        """One for two classes."""
        return 1 if self.n_classes == 2 else self.n_classes

    @property
    def from_scratch(self) -> bool:
        """Whether networks begin with random weights."""
        return self.weights == "none"

    def resizing(self, resolution: int) -> str:
        """What is done to a picture before the backbone sees it, as a text: part of the identity of stored features."""
        height, width = self.size(resolution)
        if (height, width) == (resolution, resolution):
            return f"{height}x{width}x{self.channels}"
        how = "antialiased" if self.shrinks(resolution) else "plain"
        return f"{height}x{width}x{self.channels} bilinear {how}"

    def shrinks(self, resolution: int) -> bool:
        """Whether resizing to `resolution` drops pixels, and is therefore antialiased."""
        return min(self.size(resolution)) > resolution


class Network(NamedTuple):
    """Three views of the same layers.

    model: (n, height, width, channels) uint8 -> (n, classes) probabilities.
    logits: the same before the last activation, for training: (n, classes), or (n, 1) for two classes.
    cut: the tensor behind which everything is trained and before which nothing is; None if nothing is frozen.
    head_width: units of the head's hidden layer, 0 for none.
    keep_blocks: of the backbone, 0 for all.
    above: stages of the backbone that are not kept.
    """

    model: keras.Model
    logits: keras.Model
    cut: keras.KerasTensor | None
    head_width: int
    keep_blocks: int = 0
    above: int = 0

    def base(self) -> keras.Model:
        """Pictures to what is pooled: the backbone's part of the layers."""
        return keras.Model(self.logits.input, self.logits.get_layer("pool").input)

    def prefix(self) -> keras.Model:
        """The frozen part: raw pictures to the tensor at the cut."""
        return keras.Model(self.logits.input, self.cut)

    @property
    def pooling(self) -> str:
        """One of `POOLINGS`."""
        kind = type(self.logits.get_layer("pool"))
        return next(name for name, layer in POOLINGS.items() if layer is kind)

    @property
    def resized(self) -> keras.KerasTensor:
        """The pictures at the candidate's resolution; the input itself where they have it already."""
        names = {layer.name for layer in self.logits.layers}
        return self.logits.get_layer("resize").output if "resize" in names else self.logits.input


def build_classifier(candidate: AnyCandidate, task: Task, seed: int) -> keras.Model:
    """Pictures (n, height, width, channels) uint8 to probabilities (n, classes), of either kind of candidate.

    Raises:
        ModelError: it cannot be built.
    """
    if isinstance(candidate, Candidate):
        return build_network(candidate, task, seed).model
    return build_hyper(candidate, task, seed).classifier


def build_hyper(candidate: HyperCandidate, task: Task, seed: int) -> "Built":
    """What its HyperModel makes of a candidate's values.

    Raises:
        ModelError: its code was not named, fails, or builds what cannot be used.
    """
    from models.own.hyper_network import build
    from models.own.registry import hyper_of

    shape = (task.height, task.width, task.channels)
    return build(hyper_of(candidate.backbone), candidate.settings(), shape, task.n_classes, seed)


def build_base(task: Task, backbone_name: str, resolution: int, keep_blocks: int = 0) -> keras.Model:
    """Raw uint8 pictures to the feature map behind the first `keep_blocks` blocks, 0 for all, with the task's weights.

    Pictures are resized bilinearly (with antialiasing when they shrink); grey ones become three channels.

    Raises:
        ModelError: the backbone is unknown, it has fewer blocks, or the weights cannot be used.
    """
    backbone = get_backbone(backbone_name)
    inputs = keras.Input((*task.size(resolution), task.channels), dtype="uint8", name="pictures")
    x = keras.layers.Rescaling(1.0, name=TO_FLOAT)(inputs)  # (n, h, w, c) float32, 0 to 255
    if task.size(resolution) != (resolution, resolution):
        # Keras 3.15's Resizing is called with training=True unless told otherwise, and hands that on to every layer
        # behind it: in a plain `model(x)` BatchNormalization would then use, and change, the statistics of x.
        resize = keras.layers.Resizing(resolution, resolution, antialias=task.shrinks(resolution), name="resize")
        x = resize(x, training=False)
    if task.channels == 1:
        x = keras.layers.Concatenate(name="grey_to_rgb")([x, x, x])
    base = keras.Model(inputs, features(backbone, x), name=f"{backbone.name}_{resolution}")
    load_backbone_weights(base, backbone, task.weights)
    return blocks.keep(base, keep_blocks)


def build_network(candidate: Candidate, task: Task, seed: int) -> Network:
    """The candidate's model with its frozen prefix marked. Same candidate, task and seed: same weights.

    Raises:
        ModelError: as `build_base`, and if unfreeze_depth exceeds the stages of what is kept.
    """
    return attach_head(build_frozen(candidate, candidate.unfreeze_depth, task, seed), candidate, task, seed)


def build_frozen(architecture: Architecture, depth: int | None, task: Task, seed: int) -> keras.Model:
    """The base of an architecture with all but its top `depth` stages frozen, None for nothing: one for every head."""
    keras.utils.set_random_seed(seed)
    base = build_base(task, architecture.backbone, architecture.resolution, architecture.keep_blocks)
    cuts.freeze(base, depth, train_batch_norm=task.from_scratch)
    return base


def build_ends(candidates: Sequence[Candidate], task: Task) -> keras.Model:
    """Networks that differ only in the blocks that they keep, as one with an output for each: for what it costs to run.

    Raises:
        ModelError: as `build_base`.
    """
    first = candidates[0]
    base = build_base(task, first.backbone, first.resolution)
    ends, outputs = blocks.ends(base), []
    for candidate in candidates:
        end = ends[candidate.keep_blocks - 1].tensor
        pooled = pool(candidate.pooling, end, f"hpo_pool_{candidate.keep_blocks}")
        head = head_alone(candidate, pooled.shape[-1], task.n_logits, f"hpo_head_{candidate.keep_blocks}")
        outputs.append(head(pooled))
    return keras.Model(base.input, outputs, name=base.name)


def pool(pooling: str, feature_map: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """What a head stands on, (n, channels).

    Args:
        pooling: one of `POOLINGS`.
        feature_map: (n, h, w, channels), the end of a network.
        name: of the layer.

    Raises:
        ModelError: the class token is wanted of a network that has none.
    """
    if pooling == "token":
        feature_map = class_token(feature_map)
        if feature_map is None:
            raise ModelError("pooling must be average or max of a network without class token. Received: token")
    return POOLINGS[pooling](name=name)(feature_map)


def _whole(architecture: Architecture) -> int:
    """Stages of the backbone as it is without being cut off."""
    return stages_of(get_backbone(architecture.backbone), architecture.resolution)


def head_alone(candidate: Candidate, channels: int, n_logits: int, name: str = "head_alone") -> keras.Model:
    """The head of a candidate: pooled features (n, channels) float32 to probabilities."""
    pooled = keras.Input((channels,), name="pooled")
    return keras.Model(pooled, _head(pooled, candidate, n_logits)[1], name=name)


def _head(
    pooled: keras.KerasTensor, candidate: Candidate, n_logits: int
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Logits (n, n_logits) and probabilities (n, classes), see `attach_head`."""
    x = pooled  # (n, channels)
    if candidate.head_width:
        x = keras.layers.Dense(candidate.head_width, name="head")(x)
    if candidate.batch_norm_head:
        x = keras.layers.BatchNormalization(momentum=HEAD_NORM_MOMENTUM, name="head_norm")(x)
    if candidate.head_width:
        x = keras.layers.ReLU(name="head_relu")(x)
    x = keras.layers.Dropout(candidate.dropout, name="head_dropout")(x)
    logits = keras.layers.Dense(n_logits, name="logits")(x)
    if n_logits > 1:
        return logits, keras.layers.Activation("softmax", name="probabilities")(logits)
    # Both columns from the one logit z: sigmoid(-z) keeps small probabilities that 1 - sigmoid(z) would round away.
    against = keras.layers.Rescaling(-1.0, name="logit_of_first")(logits)
    both = keras.layers.Concatenate(name="both_logits")([against, logits])
    return logits, keras.layers.Activation("sigmoid", name="probabilities")(both)


def attach_head(base: keras.Model, candidate: Candidate, task: Task, seed: int) -> Network:
    """A new head on a base that may have others already.

    Head: global pooling or the class token, a hidden layer of `head_width` units with ReLU if that is above 0, dropout,
    and a dense layer with one logit for two classes (sigmoid of it and of its negative: probabilities of both) or one
    for each class (softmax). With `batch_norm_head` there is a BatchNormalization before the ReLU, or before the
    dropout of a head without hidden layer.
    """
    pooled = pool(candidate.pooling, base.output, "pool")  # (n, channels)
    n_logits = task.n_logits
    logits, probabilities = _head(pooled, candidate, n_logits)

    below = cuts.cut_tensor(base, candidate.unfreeze_depth)
    cut = pooled if candidate.unfreeze_depth == 0 else None if below is base.input else below
    network = Network(
        model=keras.Model(base.input, probabilities, name=base.name),
        logits=keras.Model(base.input, logits),
        cut=cut,
        head_width=candidate.head_width,
        keep_blocks=candidate.keep_blocks,
        above=_whole(candidate) - len(cuts.stages(base)) if candidate.keep_blocks else 0,
    )
    names = ["head", "logits"] if candidate.head_width else ["logits"]
    values = initial_head(seed, pooled.shape[-1], candidate.head_width, n_logits)
    for position, name in enumerate(names):
        network.logits.get_layer(name).set_weights(values[2 * position : 2 * position + 2])
    return network
