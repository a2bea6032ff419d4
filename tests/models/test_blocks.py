"""Blocks: where a network may end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from models import ModelError
from models.blocks import BEFORE_PROJECTIONS, ends, keep, rule_of, stages_kept
from models.catalogue import BACKBONES
from models.cuts import stages
from tests.models.families import FAMILIES, families

EXPECTED = {
    "vgg16": ["block1_conv1", "block1_pool", "block2_conv1", "block2_pool", "block3_conv1", "block3_conv2",
              "block3_pool", "block4_conv1", "block4_conv2", "block4_pool", "block5_conv1", "block5_conv2",
              "block5_pool"],
    "mobilenet_0.25": ["conv1_relu", *(f"conv_pw_{n}_relu" for n in range(1, 14))],
    # before the projections of inverted residuals, not behind their expansions
    "mobilenet_v2_0.35": ["expanded_conv_depthwise_relu", *(f"block_{n}_depthwise_relu" for n in range(1, 17)),
                          "out_relu"],
    "resnet18": ["conv1_relu", "conv2_block1_out", "conv2_block2_out", "conv3_block1_out", "conv3_block2_out",
                 "conv4_block1_out", "conv4_block2_out", "conv5_block1_out", "conv5_block2_out"],
    "efficientnet_b0": [f"block{name}_se_excite" for name in (
        "1a", "2a", "2b", "3a", "3b", "4a", "4b", "4c", "5a", "5b", "5c", "6a", "6b", "6c", "6d", "7a")]
        + ["top_activation"],
    "custom_cnn": ["block1_pool", "block2_pool", "block3_pool", "block4_relu"],
    "lenet5": ["s2", "s4", "c5"],
}  # fmt: skip


@pytest.mark.parametrize("name", families(EXPECTED))
def test_a_network_may_end_where_expected(name: str, build: Callable[..., Any]) -> None:
    assert [end.layer for end in ends(build(name))] == EXPECTED[name]


@pytest.mark.parametrize(
    "name",
    families(
        (
            "custom_cnn",
            "mobilenet_0.25",
            "mobilenet_v2_0.35",
            "mobilenet_v3_small",
            "efficientnet_b0",
            "efficientnet_v2_b0",
        )
    ),
)
def test_a_shorter_network_has_the_stages_that_are_said(name: str, build: Callable[..., Any]) -> None:
    base = build(name)
    said = stages_kept(base)
    assert said == (*(len(stages(keep(base, number))) for number in range(1, len(said))), len(stages(base)))


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_neither_blocks_nor_stages_depend_on_the_resolution(name: str, build: Callable[..., Any]) -> None:
    backbone = BACKBONES[name]
    small, native = (build(name, side) for side in (backbone.min_resolution, backbone.native_resolution))
    assert [(stage.cut, stage.layers) for stage in stages(small)] == [
        (stage.cut, stage.layers) for stage in stages(native)
    ]
    assert [(end.index, end.tensor.shape[-1]) for end in ends(small)] == [
        (end.index, end.tensor.shape[-1]) for end in ends(native)
    ]
    assert stages_kept(small) == stages_kept(native)


def test_what_is_kept_gives_what_the_whole_network_has_there(build: Callable[..., Any]) -> None:
    import keras

    base = build("mobilenet_v2_0.35", 32)
    pictures = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    shorter = keep(base, 12)
    assert shorter.layers[-1].name == "block_11_depthwise_relu"
    expected = keras.Model(base.input, base.get_layer("block_11_depthwise_relu").output)(pictures, training=False)
    np.testing.assert_array_equal(shorter(pictures, training=False), expected)
    assert keep(base, 0) is base


@pytest.mark.parametrize(("name", "rule"), [("mobilenet_v2_0.35", BEFORE_PROJECTIONS), ("custom_cnn", None)])
def test_the_rule_of_a_network_is_said(name: str, rule: str | None, build: Callable[..., Any]) -> None:
    assert rule_of(build(name)) == rule


def test_a_linear_head_loses_nothing_by_ending_before_a_linear_projection(build: Callable[..., Any]) -> None:
    """What a head reads from the averages of the projection, it can read from those of what is projected."""
    import keras

    base = build("mobilenet_v2_0.35", 32)
    before, behind = ends(base)[1].tensor, base.get_layer("block_1_project_BN").output
    pictures = np.random.default_rng(0).uniform(0, 255, (200, 32, 32, 3)).astype("float32")
    wide, narrow = keras.Model(base.input, [before, behind]).predict(pictures, verbose=0)
    wide, narrow = (each.mean((1, 2)) for each in (wide, narrow))  # (n, channels)
    with_bias = np.column_stack([wide, np.ones(len(wide))])
    read = with_bias @ np.linalg.lstsq(with_bias, narrow, rcond=None)[0]
    np.testing.assert_allclose(read, narrow, atol=1e-4)


def closing_with(layers: Callable[[Any], Any]) -> Any:
    """An expansion of 8 channels to 16, these layers behind it, a block more."""
    import keras

    inputs = keras.Input((8, 8, 8))
    x = keras.layers.Conv2D(16, 1, activation="relu", name="wide")(inputs)
    x = layers(x)
    return keras.Model(inputs, keras.layers.Conv2D(8, 3, padding="same", name="last")(x))


def closed_by(*layers: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def call(x: Any) -> Any:
        for layer in layers:
            x = layer(x)
        return x

    return call


@pytest.mark.parametrize("shortcut_first", [True, False])
def test_no_shortcut_is_taken_for_the_projection(shortcut_first: bool) -> None:
    """Beside a block that widens there is a shortcut that narrows: the network ends behind their sum."""
    import keras

    layer = keras.layers
    inputs = keras.Input((8, 8, 3))
    stem = layer.Conv2D(32, 3, padding="same", activation="relu", name="stem")(inputs)
    shortcut = layer.Conv2D(16, 1, name="shortcut")(stem)
    main = layer.Conv2D(16, 3, padding="same", name="main")(layer.Conv2D(8, 1, activation="relu")(stem))
    total = layer.Add(name="sum")([shortcut, main] if shortcut_first else [main, shortcut])
    model = keras.Model(inputs, layer.Conv2D(16, 3, name="last")(total))
    assert [end.layer for end in ends(model)][-2:] == ["sum", "last"]


def test_a_layer_with_two_outputs_does_no_harm() -> None:
    import keras

    inputs = keras.Input((8, 8, 4))
    one, other = keras.ops.split(inputs, 2, axis=-1)
    total = keras.layers.Add(name="sum")([keras.layers.Conv2D(2, 3, padding="same")(one), other])
    model = keras.Model(inputs, keras.layers.Conv2D(4, 3, name="last")(total))
    assert [end.layer for end in ends(model)] == ["sum", "last"]


def test_a_shorter_network_has_its_own_stages_where_a_pooling_stands_before_the_projection() -> None:
    import keras

    layer = keras.layers
    inputs = keras.Input((16, 16, 3))
    x = layer.Conv2D(64, 3, padding="same", activation="relu")(inputs)
    x = layer.Conv2D(32, 1, name="narrow")(layer.AveragePooling2D(2, name="pool")(x))
    model = keras.Model(inputs, layer.Conv2D(32, 3, padding="same", name="last")(x))
    assert [end.layer for end in ends(model)] == ["pool", "last"]
    assert stages_kept(model) == (len(stages(keep(model, 1))), len(stages(model))) == (1, 2)


@pytest.mark.parametrize(
    ("layers", "end"),
    [
        (lambda layer: layer.Conv2D(8, 1, name="narrow"), "wide"),
        (lambda layer: layer.Dense(8, name="narrow"), "wide"),
        (lambda layer: closed_by(layer.Conv2D(8, 1), layer.BatchNormalization(), layer.Dropout(0.1)), "wide"),
        (lambda layer: closed_by(layer.Conv2D(8, 1), layer.ReLU(name="bent")), "bent"),
        (lambda layer: layer.Conv2D(8, 1, activation=layer.LeakyReLU(), name="narrow"), "narrow"),
        (lambda layer: layer.Conv2D(12, 1, name="narrow"), "narrow"),  # not to half of the channels
        (lambda layer: layer.Conv2D(8, 3, name="narrow"), "narrow"),  # it looks at neighbours
        (lambda layer: layer.Conv2D(8, 1, strides=2, name="narrow"), "narrow"),  # it drops pixels
        (lambda layer: layer.Conv2D(8, 1, activation="relu", name="narrow"), "narrow"),  # it is not linear
    ],
)
def test_only_a_linear_projection_is_left_away(layers: Callable[..., Any], end: str) -> None:
    import keras

    model = closing_with(layers(keras.layers))
    assert [place.layer for place in ends(model)][-2:] == [end, "last"]


@pytest.mark.parametrize("kept", [-1, 4, 5])
def test_no_more_blocks_than_there_are(kept: int, build: Callable[..., Any]) -> None:
    with pytest.raises(ModelError, match=rf"keep_blocks must be 0 \(all\) or 1 to 3 for '.*'. Received: {kept}"):
        keep(build("custom_cnn"), kept)


def test_a_network_without_convolutions_has_no_block() -> None:
    import keras

    inputs = keras.Input((8, 8, 3))
    with pytest.raises(ModelError, match="there is no block"):
        ends(keras.Model(inputs, keras.layers.ReLU()(inputs)))
