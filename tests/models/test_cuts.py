"""Cuts, stages and freezing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from models import ModelError
from models.backbones import features
from models.catalogue import BACKBONES
from models.cuts import cut_points, cut_tensor, freeze, stages
from tests.models.families import families

EXPECTED = {
    "vgg19": ["block1_pool", "block2_pool", "block3_pool", "block4_pool"],
    "resnet50": ["pool1_pool", "conv2_block3_out", "conv3_block4_out", "conv4_block6_out"],
    "resnet50_v2": ["pool1_pool", "conv2_block2_out", "conv3_block3_out", "conv4_block5_out"],
    "mobilenet_0.25": ["conv_pw_1_relu", "conv_pw_3_relu", "conv_pw_5_relu", "conv_pw_11_relu"],
    "mobilenet_v2_0.35": ["expanded_conv_project_BN", "block_2_add", "block_5_add", "block_12_add"],
    "densenet121": ["pool1", "pool2_pool", "pool3_pool", "pool4_pool"],
    "inception_v3": ["max_pooling2d", "max_pooling2d_1", "mixed2", "mixed7"],
    "efficientnet_b0": ["block1a_project_bn", "block2b_add", "block3b_add", "block5c_add"],
    "efficientnet_v2_b0": ["block1a_project_activation", "block2b_add", "block3b_add", "block5e_add"],
    "convnext_tiny": ["add_2", "add_5", "add_14"],
    "nasnet_mobile": ["stem_bn1"],
    "alexnet": ["pool1", "pool2"],
    "zfnet": ["pool1", "pool2"],
    "googlenet": ["pool1", "pool2", "pool3", "pool4"],
    "resnet18": ["pool1_pool", "conv2_block2_out", "conv3_block2_out", "conv4_block2_out"],
    "resnet34": ["pool1_pool", "conv2_block3_out", "conv3_block4_out", "conv4_block6_out"],
    "lenet5": ["s2", "s4"],
    "lenet5_colour": ["s2", "s4"],
    "custom_cnn": ["block1_pool", "block2_pool", "block3_pool"],
}
FROZEN_EXACTLY = ("custom_cnn", "googlenet", "resnet18", "mobilenet_v2_0.35", "efficientnet_b0", "convnext_tiny")


@pytest.mark.parametrize("name", families(EXPECTED))
def test_blocks_begin_where_expected(name: str, build: Callable[..., Any]) -> None:
    assert [stage.cut for stage in stages(build(name))[1:]] == EXPECTED[name]


def test_each_layer_is_in_one_block(build: Callable[..., Any]) -> None:
    base = build("mobilenet_v2_0.35")
    names = [name for stage in stages(base) for name in stage.layers]
    assert len(names) == len(set(names))
    assert set(names) == {operation.name for operation in base.operations} - {base.layers[0].name}


def test_what_lies_before_the_network_changes_no_block(build: Callable[..., Any]) -> None:
    import keras

    plain = [stage.cut for stage in stages(build("mobilenet_0.25", 64))[1:]]
    inputs = keras.Input((20, 20, 1), dtype="uint8")
    x = keras.layers.Resizing(64, 64)(inputs)
    x = keras.layers.Rescaling(1.0)(keras.layers.Concatenate()([x, x, x]))
    base = keras.Model(inputs, features(BACKBONES["mobilenet_0.25"], x))
    assert [stage.cut for stage in stages(base)[1:]] == plain
    assert stages(base)[0].cut == base.layers[0].name


@pytest.mark.slow
def test_cutting_changes_nothing(build: Callable[..., Any]) -> None:
    import keras

    base = build("mobilenet_v2_0.35", 64)
    pictures = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    whole = _array(base(pictures, training=False))
    for depth in (0, 1, 3):
        tensor = cut_tensor(base, depth)
        below = keras.Model(base.input, tensor)(pictures, training=False)
        above = keras.Model(tensor, base.output)(below, training=False) if depth else below
        np.testing.assert_array_equal(_array(above), whole)


def test_cut_points_are_where_one_tensor_is_alive() -> None:
    import keras

    inputs = keras.Input((8, 8, 3), name="in")
    a = keras.layers.Conv2D(4, 3, padding="same", name="a")(inputs)
    b = keras.layers.Conv2D(4, 3, padding="same", name="b")(a)
    c = keras.layers.Add(name="c")([a, b])
    model = keras.Model(inputs, keras.layers.MaxPooling2D(name="d")(c))
    assert [cut.layer for cut in cut_points(model)] == ["in", "a", "c", "d"]
    assert [cut.index for cut in cut_points(model)] == [0, 1, 2, 3]
    assert cut_points(model)[1].elements == 8 * 8 * 4


def test_what_cannot_be_cut_is_refused() -> None:
    import keras

    first, second = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    with pytest.raises(ModelError, match="one input and one output"):
        cut_points(keras.Model([first, second], keras.layers.Add()([first, second])))
    with pytest.raises(ModelError, match="nothing to unfreeze"):
        stages(keras.Model(first, keras.layers.ReLU()(first)))
    with pytest.raises(ModelError, match="only functional"):
        cut_points(keras.layers.Dense(3))


@pytest.mark.parametrize("name", families(FROZEN_EXACTLY))
def test_frozen_prefix_is_the_same_in_training(name: str, build: Callable[..., Any]) -> None:
    import keras

    base = build(name, 64)
    freeze(base, 1)
    prefix = keras.Model(base.input, cut_tensor(base, 1))
    pictures = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    training, inference = prefix(pictures, training=True), prefix(pictures, training=False)
    np.testing.assert_array_equal(_array(training), _array(inference))
    assert not prefix.trainable_weights
    assert base.trainable_weights


def test_freeze_by_depth(build: Callable[..., Any]) -> None:
    base = build("custom_cnn")
    counts = []
    for depth in range(5):
        freeze(base, depth)
        counts.append(len(base.trainable_weights))
    assert counts == [0, 1, 2, 3, 4]  # the kernels; BatchNormalization stays in inference mode
    freeze(base, 4, train_batch_norm=True)
    assert len(base.trainable_weights) == 12
    with pytest.raises(ModelError, match=r"0 to 4.*Received: 5"):
        freeze(base, 5)


def test_dropout_above_the_cut_stays(build: Callable[..., Any]) -> None:
    base = build("custom_cnn")
    freeze(base, 1)
    assert base.get_layer("block4_dropout").rate == pytest.approx(0.1)
    freeze(base, 0)
    assert base.get_layer("block4_dropout").rate == 0


def _array(tensor: Any) -> np.ndarray:
    from keras import ops

    return ops.convert_to_numpy(tensor)
