"""MiT and Swin of keras-hub: what they give, what they cost, and pictures of other sides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from models import ModelError
from models.blocks import ends
from models.cuts import freeze, stages
from models.flops import count
from models.own.contract import check_usable
from models.own.hub import load_preset
from models.own.network import built
from tests.models.own import presets
from tests.models.own.presets import PYRAMIDS, folder_of, hub

# channels of the last stage, and the least side: 4 pixels a patch, reduced by 4; two stages of 4, with windows of 4
FACTS = {"mit": (16, 16), "swin": (16, 32)}


def pictures(side: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (2, side, side, 3)).astype("float32")


def loaded(family: str, folder: Path, **changes: Any) -> Any:
    keras.utils.set_random_seed(0)
    return load_preset(folder_of(folder / family, presets.small(family, **changes)))


@pytest.mark.parametrize("side", [64, 96])
@pytest.mark.parametrize("family", PYRAMIDS)
def test_what_comes_out_is_what_keras_hub_gives(family: str, side: int, tmp_path: Path) -> None:
    """At 64 px the first maps of Swin are windows of 4, at 96 px also those of the second stage are shifted."""
    model = built(loaded(family, tmp_path), side)
    theirs = hub.models.Backbone.from_preset(str(tmp_path / family), image_shape=(side, side, 3))
    found = np.asarray(model(pictures(side)))
    assert found.shape == (2, side // 8, side // 8, FACTS[family][0])
    np.testing.assert_allclose(found, np.asarray(theirs(pictures(side))).reshape(found.shape), atol=1e-6)


@pytest.mark.parametrize("family", PYRAMIDS)
def test_each_block_of_the_encoder_is_a_block(family: str, tmp_path: Path) -> None:
    """The patches and three of attention. What makes patches for the second stage is one of its own in MiT."""
    model = built(loaded(family, tmp_path), 64)
    maps = [tuple(end.tensor.shape[1:]) for end in ends(model)]
    assert maps == [(16, 16, 8)] * 2 + [(8, 8, 16)] * (3 if family == "mit" else 2)
    assert len(stages(model)) == 5
    freeze(model, 1)
    trained = {layer.name for layer in model.layers if layer.trainable_weights}
    last = "hierarchical_encoder_1_1" if family == "mit" else "stage_1_blocks_0"
    assert {name for name in trained if name.startswith(last)}
    assert not {name for name in trained if name.startswith(("hierarchical_encoder_0", "hierarchical_encoder_1_0"))}
    assert not {name for name in trained if name.startswith("stage_0")}


@pytest.mark.parametrize("family", PYRAMIDS)
def test_a_frozen_one_drops_nothing(family: str, tmp_path: Path) -> None:
    name = "max_drop_path_rate" if family == "mit" else "drop_path"
    model, x = built(loaded(family, tmp_path, **{name: 0.8}), 64), pictures(64)
    assert np.abs(np.asarray(model(x, training=True)) - np.asarray(model(x))).max() > 0.01
    freeze(model, 0)
    np.testing.assert_allclose(np.asarray(model(x, training=True)), np.asarray(model(x)), atol=1e-6)


def test_mit_costs_what_its_layers_do(tmp_path: Path) -> None:
    """At 64 px: 256 tokens of 8 channels that look at 16, then twice 64 of 16 that look at each other."""
    patches = 256 * 7 * 7 * 3 * 8 + 64 * 3 * 3 * 8 * 16
    first = 2 * 256 * 8**2 + 16 * 4 * 4 * 8 * 8 + 2 * 16 * 8**2 + 2 * 256 * 16 * 8 + 256 * (2 * 8 * 32 + 9 * 32)
    second = 4 * 64 * 16**2 + 2 * 64 * 64 * 16 + 64 * (2 * 16 * 64 + 9 * 64)
    assert count(built(loaded("mit", tmp_path), 64)).macs == patches + first + 2 * second


def test_swin_costs_what_its_layers_do(tmp_path: Path) -> None:
    """At 40 px maps of 10 and 5 patches are filled up to windows of 4: 144 and 64 tokens ask, each 16 others."""
    found = count(built(loaded("swin", tmp_path), 40))
    first = 4 * 144 * 8**2 + 2 * 144 * 16 * 8 + 2 * 100 * 8 * 32
    second = 4 * 64 * 16**2 + 2 * 64 * 16 * 16 + 2 * 25 * 16 * 64
    merged = 25 * 32 * 16
    assert found.macs == 100 * 4 * 4 * 3 * 8 + 2 * first + merged + second
    norms, gelu, sums = 2 * 7, 5, 2

    def others(tokens: int, asked: int, width: int, heads: int, masked: bool) -> int:
        of_dense = 4 * asked * width + tokens * width + tokens * 4 * width  # biases
        scores = asked * 16 * heads * (1 + 5 + masked)  # their biases, softmax and mask
        return (norms + sums) * tokens * width + asked * width + of_dense + scores + gelu * tokens * 4 * width

    blocks = [others(100, 144, 8, 1, False), others(100, 144, 8, 1, True), others(25, 64, 16, 2, False)]
    assert found.by_kind["SwinTransformerBlock"]["flops"] == 2 * (2 * first + second) + sum(blocks)


def test_swin_without_biases_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="must have qkv_bias: keras-hub loses that it has none"):
        loaded("swin", tmp_path, qkv_bias=False)


@pytest.mark.slow
def test_swin_t_has_the_published_size_and_costs(tmp_path: Path) -> None:
    """4.5 G and 28.3 M with its classifier (Liu et al. 2021, table 1): 0.77 M of dense weights less."""
    theirs = hub.models.SwinTransformerBackbone(
        image_shape=(224, 224, 3), embed_dim=96, depths=(2, 2, 6, 2), num_heads=(3, 6, 12, 24), window_size=7
    )
    own = load_preset(folder_of(tmp_path / "swin", theirs))
    model = built(own, 224)
    assert (own.patch, own.min_resolution, own.native_resolution) == (32, 224, 224)
    assert model.count_params() == 27_519_354
    assert count(model).macs + 768 * 1000 == 4_490_566_656
    assert (len(ends(model)), model.output.shape) == (13, (None, 7, 7, 768))


@pytest.mark.parametrize("family", PYRAMIDS)
def test_sides_are_those_at_which_all_maps_come_out_even(family: str, tmp_path: Path) -> None:
    own = loaded(family, tmp_path)
    assert (own.patch, own.min_resolution, own.native_resolution) == (8, FACTS[family][1], 96)
    check_usable(own, (32, 64, 96, 128), pretrained=True)
    with pytest.raises(ModelError, match=r"multiples of its patches. Received: 100 px. Allowed: multiples of 8 px$"):
        built(own, 100)
