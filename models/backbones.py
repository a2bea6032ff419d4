"""The backbones that can be searched, by their names: looked up, and built.

They are every classifier of keras.applications, the networks of `models.zoo` (`models.catalogue` has what is known of
both), and those of the user's own that were named (`models.own.registry`).
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from models import ModelError, zoo
from models.catalogue import BACKBONES, OWN, PACKAGED, Description
from models.own import registry

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # RGB, of pixels in [0, 1]
IMAGENET_STD = (0.229, 0.224, 0.225)
CAFFE_MEAN = (103.939, 116.779, 123.68)  # BGR, of pixels in [0, 255]
PACKAGED_FROM = "cifar10"  # the data set that the weights in the package come from
# What is built where pictures have colour, if not the network of that name. Up to version 0.2 `lenet5` was grey
# everywhere: a name stands for one network for good, so that what was stored of it is never taken for another one.
_IN_COLOUR = {"lenet5": "lenet5_colour"}
TO_FLOAT = "to_float"  # the layer behind the raw pictures of every classifier: float32, 0 to 255
GREY = ("lenet5_grey", "lenet5")  # see the brightness alone, whatever the pictures


def get_backbone(name: str) -> Description:
    """The backbone of this name.

    Raises:
        ModelError: no such backbone; the message has the nearest names.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    if registry.is_registered(name):
        return Description(name, "", (), "", 1, 0, 0, 0, 0, OWN)
    near = get_close_matches(str(name).lower().replace("-", "_"), BACKBONES, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    shown = name if name.isprintable() and name.strip() else repr(name)
    raise ModelError(
        f"backbone must be a known network. Received: {shown}.{hint} "
        f"All {len(BACKBONES)}: python -m hpo.run --list-backbones; one of your own is named by its code, such as "
        "path/file.py:build"
    )


def sides_of(backbone: Description) -> tuple[int, int]:
    """The smallest side of a picture that it can take, and the one that its weights were trained at, in pixels.

    Raises:
        ModelError: the code of a network of the user's own cannot be used.
    """
    if backbone.is_own:
        own = registry.own_of(backbone.name)
        return own.min_resolution, own.native_resolution
    return backbone.min_resolution, backbone.native_resolution


def patch_of(backbone: Description) -> int:
    """Of which sides of pictures must be multiples, in pixels.

    Raises:
        ModelError: as `sides_of`.
    """
    return registry.own_of(backbone.name).patch if backbone.is_own else 1


def stages_of(backbone: Description, resolution: int) -> int:
    """How many stages of it can be unfrozen at a side in pixels.

    Raises:
        ModelError: as `sides_of`.
    """
    if backbone.is_own:
        from models.own.network import stages_at

        return stages_at(registry.own_of(backbone.name), resolution)
    return backbone.stages


def blocks_of(name: str) -> int:
    """How many blocks the backbone of this name has; 0 where it is not known here."""
    return BACKBONES[name].blocks if name in BACKBONES else 0


def for_pictures(name: str, channels: int) -> str:
    """The network that a name asks for: LeNet-5 sees colour where pictures of 3 `channels` have it."""
    return _IN_COLOUR.get(name, name) if channels == 3 else name


def has_seen(name: str, weights: str, dataset: str) -> bool:
    """Whether pretrained weights were trained on pictures of this data set, so that a search is flattered by them.

    Args:
        name: of the backbone.
        weights: "pretrained", "none" or a file, of which nothing is known.
        dataset: its name in the catalogue.
    """
    packaged = name in BACKBONES and BACKBONES[name].weights == PACKAGED
    return weights == "pretrained" and packaged and dataset == PACKAGED_FROM


def features(backbone: Description, x: Any) -> Any:
    """Preprocessing and the network without top, with random weights, in the graph of `x`.

    Args:
        backbone: what to build.
        x: Keras tensor, (None, r, r, 3) float32, RGB from 0 to 255.

    Returns:
        Keras tensor, (None, h, w, c): the feature map, before any pooling.

    Raises:
        ModelError: the pictures are smaller than the network can take.
    """
    height, width = x.shape[1:3]
    least, _ = sides_of(backbone)
    if min(height, width) < least:
        raise ModelError(f"{backbone.name} needs pictures of at least {least} pixels. Received: {height}x{width}")
    if backbone.is_own:
        from models.own.network import feature_map

        return feature_map(registry.own_of(backbone.name), x)
    x = preprocess(backbone.preprocessing, x)
    if not backbone.application:
        return zoo.features(backbone.name, x)
    # Given an `input_tensor`, the applications continue its graph, without a nested model.
    return application(backbone, input_tensor=x, input_shape=tuple(x.shape[1:]), include_top=False, weights=None).output


def with_top(backbone: Description, resolution: int) -> Any:
    """The classifier with its own top and random weights, as a `keras.Model`: what published costs speak of."""
    import keras

    if backbone.is_own:
        raise ModelError(f"{backbone.name} is a network of your own, without a classifier: --no-top leaves that out")
    shape = (resolution, resolution, 3)
    if resolution < backbone.min_resolution:
        raise ModelError(
            f"{backbone.name} needs pictures of at least {backbone.min_resolution} pixels. Received: {resolution}"
        )
    if backbone.application:
        return application(backbone, input_shape=shape, include_top=True, weights=None)
    inputs = keras.Input(shape, name="pictures")
    return keras.Model(inputs, zoo.classifier(backbone.name, features(backbone, inputs)), name=backbone.name)


def without_top(backbone: Description, resolution: int) -> Any:
    """The part that transfer learning keeps, with random weights, as a `keras.Model`: pictures to the feature map."""
    import keras

    inputs = keras.Input((resolution, resolution, 3), name="pictures")
    return keras.Model(inputs, features(backbone, inputs), name=backbone.name)


def application(backbone: Description, **arguments: Any) -> Any:
    """Calls the builder in keras.applications with the options of the backbone and these arguments."""
    import keras

    return getattr(keras.applications, backbone.application)(**dict(backbone.options), **arguments)


def preprocess(mode: str, x: Any) -> Any:
    """RGB from 0 to 255 -> what the network was trained on; equal to Keras' own `preprocess_input`.

    "efficientnet" is no preprocessing of its own: with weights="imagenet", and only then, Keras puts a division by
    the root of the standard deviation behind the normalisation inside the network
    (https://github.com/tensorflow/tensorflow/issues/49930). We build without weights, so we put the same affine map
    before the network: with m, s mean and deviation, ((x - 255 m) / sqrt(s) + 255 m) goes in and
    (x / 255 - m) / s / sqrt(s) comes out of the normalisation.
    """
    from keras import layers, ops

    if mode == "none":
        return x
    if mode == "tf":
        return layers.Rescaling(1 / 127.5, -1.0, name="preprocess")(x)
    if mode == "torch":
        scale = [1 / (255 * std) for std in IMAGENET_STD]
        offset = [-mean / std for mean, std in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)]
        return layers.Rescaling(scale, offset, name="preprocess")(x)
    if mode == "caffe":
        offset = [-mean for mean in CAFFE_MEAN]
        return layers.Rescaling(1.0, offset, name="preprocess")(ops.flip(x, axis=-1))  # BGR
    if mode == "efficientnet":
        scale = [std**-0.5 for std in IMAGENET_STD]
        offset = [255 * mean * (1 - std**-0.5) for mean, std in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)]
        return layers.Rescaling(scale, offset, name="preprocess")(x)
    raise ModelError(f"preprocessing must be caffe, tf, torch, efficientnet or none. Received: {mode!r}")
