"""The table of backbones against the networks themselves."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from models import ModelError
from models.backbones import features, for_pictures, get_backbone, has_seen, preprocess, with_top
from models.blocks import ends
from models.catalogue import BACKBONES
from models.cuts import stages
from tests.models.families import families

SMALL = (
    "custom_cnn",
    "lenet5",
    "lenet5_grey",
    "lenet5_colour",
    "alexnet",
    "resnet18",
    "googlenet",
    "mobilenet_0.25",
    "mobilenet_v2_0.35",
    "mobilenet_v3_small_0.75",
    "vgg16",
)
TRAINABLE = {  # with top; of the first four as torchvision states them (`num_params`)
    "alexnet": 61_100_840, "googlenet": 6_624_904, "resnet18": 11_689_512, "resnet34": 21_797_672,
    "zfnet": 62_357_608, "lenet5": 61_706, "lenet5_grey": 61_706, "lenet5_colour": 62_006,
}  # fmt: skip
PREPROCESSING = {"vgg19": "caffe", "xception": "tf", "densenet121": "torch"}


def test_table_needs_no_keras() -> None:
    code = "import sys, models.backbones; sys.exit('keras' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_lenet5_sees_colour_where_there_is_some() -> None:
    asked = ("lenet5", "lenet5_grey", "lenet5_colour", "custom_cnn")
    assert [for_pictures(name, 3) for name in asked] == ["lenet5_colour", "lenet5_grey", "lenet5_colour", "custom_cnn"]
    assert [for_pictures(name, 1) for name in asked] == list(asked)


def test_whose_weights_have_seen_which_pictures() -> None:
    assert has_seen("custom_cnn", "pretrained", "cifar10")
    assert not has_seen("custom_cnn", "none", "cifar10")
    assert not has_seen("custom_cnn", "pretrained", "cifar100")
    assert not has_seen("resnet50", "pretrained", "cifar10")


def test_every_classifier_of_keras_is_there() -> None:
    import keras

    builders = {name for name in dir(keras.applications) if name[0].isupper()}
    assert builders == {backbone.application for backbone in BACKBONES.values()} - {""}


@pytest.mark.parametrize("name", families(SMALL))
def test_table_equals_network(name: str, build: Callable[..., Any]) -> None:
    _check_row(name, build)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in BACKBONES if name not in SMALL])
def test_table_equals_every_network(name: str, build: Callable[..., Any]) -> None:
    _check_row(name, build)


def _check_row(name: str, build: Callable[..., Any]) -> None:
    import keras

    backbone = BACKBONES[name]
    base = build(name)
    assert base.count_params() == backbone.parameters
    assert len(stages(base)) == backbone.stages
    assert len(ends(base)) == backbone.blocks
    assert not [
        layer for layer in base.layers if isinstance(layer, keras.Model) and type(layer) is not keras.Sequential
    ]
    assert len(base.output.shape) == 4
    too_small = backbone.min_resolution - 1
    with pytest.raises(ModelError, match=f"at least {backbone.min_resolution} pixels"):
        build(name, too_small)
    if backbone.application:  # the limit is Keras' own
        with pytest.raises(ValueError, match="at least"):
            builder = getattr(keras.applications, backbone.application)
            builder(weights=None, include_top=False, input_shape=(too_small, too_small, 3))


@pytest.mark.parametrize(("name", "mode"), PREPROCESSING.items())
def test_preprocessing_is_that_of_keras(name: str, mode: str) -> None:
    import keras

    backbone = BACKBONES[name]
    assert backbone.preprocessing == mode
    inputs = keras.Input((9, 7, 3))
    model = keras.Model(inputs, preprocess(mode, inputs))
    pictures = np.random.default_rng(0).integers(0, 256, (4, 9, 7, 3)).astype("float32")
    theirs = import_module(_module_of(backbone.application)).preprocess_input(pictures.copy())
    ours = keras.ops.convert_to_numpy(model(pictures))
    scale = np.abs(theirs).max()
    np.testing.assert_allclose(ours / scale, theirs / scale, atol=1e-5)


def test_each_family_has_the_preprocessing_of_keras() -> None:
    for name, backbone in BACKBONES.items():
        if not backbone.application or backbone.preprocessing in ("none", "efficientnet"):
            continue
        module = import_module(_module_of(backbone.application))
        picture = np.full((1, 1, 1, 3), (10.0, 100.0, 250.0), "float32")
        theirs = np.asarray(module.preprocess_input(picture.copy())).ravel()
        np.testing.assert_allclose(_by_hand(backbone.preprocessing, picture.ravel()), theirs, rtol=1e-5, err_msg=name)


def _module_of(application: str) -> str:
    import keras

    return getattr(keras.applications, application).__module__


def _by_hand(mode: str, rgb: np.ndarray) -> np.ndarray:
    if mode == "caffe":
        return rgb[::-1] - np.array([103.939, 116.779, 123.68])
    if mode == "tf":
        return rgb / 127.5 - 1
    return (rgb / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])


def test_unknown_name_has_near_ones() -> None:
    with pytest.raises(ModelError, match=r"vgg19.*--list-backbones") as caught:
        get_backbone("vgg-18")
    assert "\n" not in str(caught.value)


def test_unknown_preprocessing_is_refused() -> None:
    with pytest.raises(ModelError, match="Received: 'inception'"):
        preprocess("inception", None)


def test_custom_cnn_with_top() -> None:
    import keras

    model = with_top(BACKBONES["custom_cnn"], 32)
    assert model.output.shape == (None, 10)
    assert model.count_params() <= 500_000
    assert not any(layer.use_bias for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    with pytest.raises(ModelError, match="at least 8 pixels"):
        with_top(BACKBONES["custom_cnn"], 7)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINABLE)
def test_trainable_parameters_with_top(name: str) -> None:
    model = with_top(BACKBONES[name], BACKBONES[name].native_resolution)
    assert sum(weight.numpy().size for weight in model.trainable_weights) == TRAINABLE[name]
    assert model.output.shape == (None, 10 if name.startswith("lenet5") else 1000)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alexnet", "googlenet", "resnet18", "zfnet", "lenet5", "lenet5_colour"])
@pytest.mark.parametrize("resolution", [32, 33, 64, 97])
def test_small_pictures_leave_a_map(name: str, resolution: int, build: Callable[..., Any]) -> None:
    height, width = build(name, resolution).output.shape[1:3]
    assert height == width >= 1


def test_network_continues_the_graph_before_it() -> None:
    import keras

    inputs = keras.Input((20, 20, 1), dtype="uint8")
    x = keras.layers.Resizing(64, 64)(inputs)
    x = keras.layers.Rescaling(1.0)(keras.layers.Concatenate()([x, x, x]))
    base = keras.Model(inputs, features(BACKBONES["mobilenet_0.25"], x))
    assert base.output.shape == (None, 2, 2, 256)
    assert not any(isinstance(layer, keras.Model) for layer in base.layers)
    assert base(np.zeros((1, 20, 20, 1), "uint8")).shape == (1, 2, 2, 256)
