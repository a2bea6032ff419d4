"""From a candidate to one flat Keras model: raw uint8 pictures in, probabilities out."""

from dataclasses import dataclass
from typing import NamedTuple

import keras

from models import cuts
from models.backbones import features, get_backbone
from models.candidate import Candidate
from models.weights import load_backbone_weights


@dataclass(frozen=True)
class Task:
    """What the study fixes for every model: the pictures' own size, the classes, and where the weights come from.

    `weights` is "pretrained", "none" (then the whole network is trained, batch norm included) or a file.
    """

    height: int
    width: int
    channels: int
    n_classes: int
    weights: str

    @property
    def from_scratch(self) -> bool:
        return self.weights == "none"


class Network(NamedTuple):
    """Three views of the same layers.

    model: (n, height, width, channels) uint8 -> (n, classes) probabilities, or (n, 1) for two classes.
    logits: the same without the last activation, for training.
    cut: the tensor behind which everything is trained and before which nothing is; None if nothing is frozen.
    """

    model: keras.Model
    logits: keras.Model
    cut: keras.KerasTensor | None

    def base(self) -> keras.Model:
        """Pictures to the feature map: the backbone's part of the layers."""
        return keras.Model(self.logits.input, self.logits.get_layer("pool").input)

    def prefix(self) -> keras.Model:
        return keras.Model(self.logits.input, self.cut)

    def tail(self) -> keras.Model:
        return keras.Model(self.cut, self.logits.output)


def build_base(task: Task, backbone_name: str, resolution: int) -> keras.Model:
    """Raw uint8 pictures to the backbone's feature map, with the task's weights.

    Pictures are resized bilinearly (with antialiasing when they shrink); grey ones become three channels.
    Errors: ModelError for an unknown backbone or unusable weights.
    """
    backbone = get_backbone(backbone_name)
    inputs = keras.Input((task.height, task.width, task.channels), dtype="uint8", name="pictures")
    x = keras.layers.Rescaling(1.0, name="to_float")(inputs)  # (n, h, w, c) float32, 0 to 255
    if (task.height, task.width) != (resolution, resolution):
        shrinks = min(task.height, task.width) > resolution
        # Keras 3.15's Resizing is called with training=True unless told otherwise, and hands that on to every layer
        # behind it: in a plain `model(x)` BatchNormalization would then use, and change, the statistics of x.
        resize = keras.layers.Resizing(resolution, resolution, antialias=shrinks, name="resize")
        x = resize(x, training=False)
    if task.channels == 1:
        x = keras.layers.Concatenate(name="grey_to_rgb")([x, x, x])
    base = keras.Model(inputs, features(backbone, x), name=f"{backbone.name}_{resolution}")
    load_backbone_weights(base, backbone, task.weights)
    return base


def build_network(candidate: Candidate, task: Task, seed: int) -> Network:
    """The candidate's model with its frozen prefix marked. Same candidate, task and seed: same weights.

    Head: global average pooling, a hidden layer of `head_width` units with ReLU if that is above 0, dropout, and a
    dense layer with one logit for two classes (sigmoid) or one for each class (softmax).

    Errors: ModelError as `build_base`, and if unfreeze_depth exceeds the backbone's blocks.
    """
    keras.utils.set_random_seed(seed)
    base = build_base(task, candidate.backbone, candidate.resolution)
    # Again: pretrained weights that are not yet in memory are built, which draws from the same stream.
    keras.utils.set_random_seed(seed)
    cuts.freeze(base, candidate.unfreeze_depth, train_batch_norm=task.from_scratch)

    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(base.output)  # (n, channels)
    x = pooled
    if candidate.head_width:
        x = keras.layers.Dense(candidate.head_width, activation="relu", name="head")(x)
    x = keras.layers.Dropout(candidate.dropout, name="head_dropout")(x)
    n_logits = 1 if task.n_classes == 2 else task.n_classes
    logits = keras.layers.Dense(n_logits, name="logits")(x)
    probabilities = keras.layers.Activation("sigmoid" if n_logits == 1 else "softmax", name="probabilities")(logits)

    below = cuts.cut_tensor(base, candidate.unfreeze_depth)
    cut = pooled if candidate.unfreeze_depth == 0 else None if below is base.input else below
    return Network(keras.Model(base.input, probabilities, name=base.name), keras.Model(base.input, logits), cut)
