"""Blocks: where a network may end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from models import ModelError
from models.backbones import BACKBONES
from models.blocks import ends, keep, stages_kept
from models.cuts import stages
from tests.models.families import FAMILIES, families

EXPECTED = {
    "vgg16": ["block1_conv1", "block1_pool", "block2_conv1", "block2_pool", "block3_conv1", "block3_conv2",
              "block3_pool", "block4_conv1", "block4_conv2", "block4_pool", "block5_conv1", "block5_conv2",
              "block5_pool"],
    "mobilenet_0.25": ["conv1_relu", *(f"conv_pw_{n}_relu" for n in range(1, 14))],
    # projections and sums, not the expansions between them
    "mobilenet_v2_0.35": ["expanded_conv_project_BN", "block_1_project_BN", "block_2_add", "block_3_project_BN",
                          "block_4_add", "block_5_add", "block_6_project_BN", "block_7_add", "block_8_add",
                          "block_9_add", "block_10_project_BN", "block_11_add", "block_12_add", "block_13_project_BN",
                          "block_14_add", "block_15_add", "block_16_project_BN", "out_relu"],
    "resnet18": ["conv1_relu", "conv2_block1_out", "conv2_block2_out", "conv3_block1_out", "conv3_block2_out",
                 "conv4_block1_out", "conv4_block2_out", "conv5_block1_out", "conv5_block2_out"],
    "efficientnet_b0": ["block1a_project_bn", "block2a_project_bn", "block2b_add", "block3a_project_bn",
                        "block3b_add", "block4a_project_bn", "block4b_add", "block4c_add", "block5a_project_bn",
                        "block5b_add", "block5c_add", "block6a_project_bn", "block6b_add", "block6c_add",
                        "block6d_add", "block7a_project_bn", "top_activation"],
    "custom_cnn": ["block1_pool", "block2_pool", "block3_pool", "block4_relu"],
    "lenet5": ["s2", "s4", "c5"],
}  # fmt: skip


@pytest.mark.parametrize("name", families(EXPECTED))
def test_a_network_may_end_where_expected(name: str, build: Callable[..., Any]) -> None:
    assert [end.layer for end in ends(build(name))] == EXPECTED[name]


@pytest.mark.parametrize("name", families(("custom_cnn", "mobilenet_0.25", "mobilenet_v2_0.35", "efficientnet_b0")))
def test_a_shorter_network_has_the_stages_that_are_said(name: str, build: Callable[..., Any]) -> None:
    base = build(name)
    said = stages_kept(base)
    assert said == (*(len(stages(keep(base, number))) for number in range(1, len(said))), len(stages(base)))


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_blocks_do_not_depend_on_the_resolution(name: str, build: Callable[..., Any]) -> None:
    backbone = BACKBONES[name]
    small, native = (build(name, side) for side in (backbone.min_resolution, backbone.native_resolution))
    assert [end.index for end in ends(small)] == [end.index for end in ends(native)]
    assert stages_kept(small) == stages_kept(native)


def test_what_is_kept_gives_what_the_whole_network_has_there(build: Callable[..., Any]) -> None:
    import keras

    base = build("mobilenet_v2_0.35", 32)
    pictures = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    shorter = keep(base, 12)
    assert shorter.layers[-1].name == "block_11_add"
    expected = keras.Model(base.input, base.get_layer("block_11_add").output)(pictures, training=False)
    np.testing.assert_array_equal(shorter(pictures, training=False), expected)
    assert keep(base, 0) is base


@pytest.mark.parametrize("kept", [-1, 4, 5])
def test_no_more_blocks_than_there_are(kept: int, build: Callable[..., Any]) -> None:
    with pytest.raises(ModelError, match=rf"keep_blocks must be 0 \(all\) or 1 to 3 for '.*'. Received: {kept}"):
        keep(build("custom_cnn"), kept)


def test_a_network_without_convolutions_has_no_block() -> None:
    import keras

    inputs = keras.Input((8, 8, 3))
    with pytest.raises(ModelError, match="there is no block"):
        ends(keras.Model(inputs, keras.layers.ReLU()(inputs)))
