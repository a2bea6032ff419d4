"""Vision transformers of keras-hub: what they give, what they cost, and pictures of other sides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from models import ModelError
from models.blocks import ends
from models.build import Task, build_network
from models.candidate import Candidate
from models.cuts import freeze, stages
from models.export.keras_file import restore, save
from models.flops import count
from models.own.contract import check_usable
from models.own.hub import load_preset
from models.own.hub_tokens import resampled
from models.own.network import built
from models.own.registry import named
from models.reuse.features import cut_tensors
from tests.models.own import presets
from tests.models.own.presets import folder_of, hub

SIDE, GRID = 96, 6


def pictures(side: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (2, side, side, 3)).astype("float32")


def tokens(backbone: Any, x: np.ndarray) -> np.ndarray:
    """What keras-hub gives, without the pooling of SigLIP."""
    if hasattr(backbone, "vision_encoder"):
        encoder = backbone.vision_encoder
        backbone = keras.Model(encoder.inputs, encoder.post_layer_norm.output)
    return np.asarray(backbone(dict.fromkeys(backbone.input, x) if isinstance(backbone.input, dict) else x))


@pytest.mark.parametrize(("family", "before"), [("vit", 1), ("deit", 2), ("dinov2", 3), ("dinov3", 3), ("siglip", 0)])
def test_the_tokens_of_patches_are_those_of_keras_hub(family: str, before: int, tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    theirs = presets.small(family)
    model = built(load_preset(folder_of(tmp_path / family, theirs)), SIDE)
    expected = tokens(theirs, pictures(SIDE))
    assert expected.shape == (2, before + GRID * GRID, 16)
    found = np.asarray(model(pictures(SIDE)))
    np.testing.assert_allclose(found, expected[:, before:].reshape(2, GRID, GRID, 16), atol=1e-6)


@pytest.mark.parametrize("family", ["dinov2", "dinov3"])
def test_those_for_any_side_are_those_of_keras_hub_at_another(family: str, tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    folder = folder_of(tmp_path / family, presets.small(family))
    theirs = hub.models.Backbone.from_preset(folder, image_shape=(64, 64, 3))
    found = np.asarray(built(load_preset(folder), 64)(pictures(64)))
    np.testing.assert_allclose(found, tokens(theirs, pictures(64))[:, 3:].reshape(2, 4, 4, 16), atol=1e-5)


class TestResampled:
    POSITIONS = np.random.default_rng(0).normal(size=(GRID * GRID, 3)).astype("float32")

    def test_are_those_learned_at_the_side_that_they_were_learned_at(self) -> None:
        assert resampled(self.POSITIONS, (GRID, GRID)) is self.POSITIONS

    def test_stay_where_they_were(self) -> None:
        rows, columns = np.divmod(np.arange(GRID * GRID), GRID)
        slopes = np.stack([rows, columns], axis=1).astype("float32")
        found = resampled(slopes, (3, 12)).reshape(3, 12, 2)
        assert (np.diff(found[..., 0], axis=0) > 1).all() and (np.diff(found[:, 2:-2, 1], axis=1) > 0.3).all()

    @pytest.mark.parametrize("antialias", [False, True])
    @pytest.mark.parametrize("grid", [(3, 3), (4, 9), (14, 7)])
    def test_as_keras_does(self, grid: tuple[int, int], antialias: bool) -> None:
        """Without antialiasing TensorFlow takes its weights from a table of 1,024."""
        square = self.POSITIONS.reshape(1, GRID, GRID, 3)
        expected = keras.ops.image.resize(square, grid, interpolation="bicubic", antialias=antialias)
        found = resampled(self.POSITIONS, grid, antialias)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, np.asarray(expected).reshape(-1, 3), atol=1e-5 if antialias else 5e-3)

    def test_constant_ones_stay_so(self) -> None:
        np.testing.assert_allclose(resampled(np.full((GRID * GRID, 2), 3.0, "float32"), (4, 9)), 3.0, rtol=1e-6)


# The published figures in billions of multiply-accumulates: Touvron et al. 2021 (arXiv 2012.12877) for DeiT-Ti,
# torchvision's table for ViT-B/16; what is pinned is the closed form of patches, attention and MLP.
PUBLISHED = {
    "deit": (1.26, {"num_heads": 3, "hidden_dim": 192, "intermediate_dim": 768}, 198),
    "vit": (17.56, {"num_heads": 12, "hidden_dim": 768, "mlp_dim": 3072}, 197),
}


@pytest.mark.parametrize("family", PUBLISHED)
@pytest.mark.slow
def test_costs_are_the_published_ones(family: str, tmp_path: Path) -> None:
    billions, config, n = PUBLISHED[family]
    width = config["hidden_dim"]
    theirs = presets.small(family, num_layers=12, image_shape=(224, 224, 3), **config)
    model = built(load_preset(folder_of(tmp_path / family, theirs)), 224)
    macs = count(model).macs
    assert macs == 196 * 16 * 16 * 3 * width + 12 * (12 * n * width**2 + 2 * n**2 * width)
    assert round(macs / 1e9, 2) == billions
    assert len(ends(model)) == len(stages(model)) == 13


def test_each_block_of_the_encoder_is_a_block_and_a_stage(tmp_path: Path) -> None:
    model = built(load_preset(folder_of(tmp_path / "vit", presets.small("vit"))), SIDE)
    assert [tuple(end.tensor.shape[1:]) for end in ends(model)] == [(GRID, GRID, 16)] * 3
    freeze(model, 1)
    trained = {layer.name.partition("_block_")[2][:1] for layer in model.layers if layer.trainable_weights}
    assert trained == {"2", ""}  # the last block, and the normalisation behind it
    freeze(model, 3)
    assert model.get_layer("vit_patching_and_embedding_positions").trainable


@pytest.mark.parametrize("family", ["deit", "dinov2", "dinov3", "siglip"])
def test_every_family_has_a_block_for_each_of_its_encoder(family: str, tmp_path: Path) -> None:
    model = built(load_preset(folder_of(tmp_path / family, presets.small(family))), SIDE)
    assert len(ends(model)) == len(stages(model)) == 3


def test_dinov3_costs_what_its_layers_do(tmp_path: Path) -> None:
    """Of 39 tokens: patches, four projections and scores of attention, and two layers behind it."""
    theirs = presets.small("dinov3")
    n, width, wide = 39, 16, 32
    macs = count(built(load_preset(folder_of(tmp_path / "dinov3", theirs)), SIDE)).macs
    assert macs == 36 * 16 * 16 * 3 * width + 2 * (4 * n * width**2 + 2 * n**2 * width + 2 * n * width * wide)


def test_dinov2_with_gated_layers_is_counted(tmp_path: Path) -> None:
    theirs = presets.small("dinov2", use_swiglu_ffn=True)
    assert count(built(load_preset(folder_of(tmp_path / "dinov2", theirs)), SIDE)).macs > 0


def test_frozen_attention_drops_nothing(tmp_path: Path) -> None:
    theirs = presets.small("vit", attention_dropout=0.5, dropout_rate=0.5)
    model = built(load_preset(folder_of(tmp_path / "vit", theirs)), SIDE)
    x = pictures(SIDE)
    assert np.abs(np.asarray(model(x, training=True)) - np.asarray(model(x))).max() > 0.01
    freeze(model, 0)
    np.testing.assert_allclose(np.asarray(model(x, training=True)), np.asarray(model(x)), atol=1e-6)


def test_a_head_stands_on_the_class_token(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    theirs = presets.small("deit")
    candidate = Candidate(
        backbone=named(f"keras_hub:{folder_of(tmp_path / 'deit', theirs)}"), resolution=SIDE, pooling="token",
        unfreeze_depth=1, head_width=0, dropout=0.0, learning_rate=1e-3, lr_schedule="constant",
    )  # fmt: skip
    task = Task(SIDE, SIDE, 3, 4, "pretrained")
    network = build_network(candidate, task, 0)
    x = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), "uint8")
    pooled = keras.Model(network.logits.input, network.logits.get_layer("pool").output)
    np.testing.assert_allclose(np.asarray(pooled(x)), tokens(theirs, x.astype("float32"))[:, 0], atol=1e-5)
    assert (network.pooling, next(iter(cut_tensors(network)))) == ("token", "pooled_token")
    save(network.model, ("a", "b", "c", "d"), tmp_path / "model.keras")
    again = restore(candidate, (SIDE, SIDE, 3), 4, tmp_path / "model.keras")
    np.testing.assert_array_equal(np.asarray(again(x)), np.asarray(network.model(x)))


def test_of_a_network_without_one_a_class_token_is_refused() -> None:
    task = Task(32, 32, 3, 4, "none")
    candidate = Candidate(
        backbone="custom_cnn", resolution=32, pooling="token", unfreeze_depth=0, head_width=0, dropout=0.0,
        learning_rate=1e-3, lr_schedule="constant",
    )  # fmt: skip
    with pytest.raises(ModelError, match="pooling must be average or max of a network without class token"):
        build_network(candidate, task, 0)


class TestSides:
    def test_begin_with_two_patches_or_more(self, tmp_path: Path) -> None:
        own = load_preset(folder_of(tmp_path / "vit", presets.small("vit", patch_size=12)))
        assert (own.patch, own.min_resolution, own.native_resolution) == (12, 36, 96)
        assert built(own, 36).output.shape == (None, 3, 3, 16)

    def test_that_are_no_multiples_of_a_patch_are_refused(self, tmp_path: Path) -> None:
        own = load_preset(folder_of(tmp_path / "vit", presets.small("vit")))
        message = "keras_hub:vit takes sides that are multiples of its patches. Received: 100 px. Allowed: .* 16 px$"
        with pytest.raises(ModelError, match=message):
            built(own, 100)
        with pytest.raises(ModelError, match="vit cannot be searched: not at 100 px: keras_hub:vit takes sides that"):
            check_usable(own, (96, 100), pretrained=True)

    def test_of_all_kinds_are_usable_with_the_same_weights(self, tmp_path: Path) -> None:
        own = load_preset(folder_of(tmp_path / "dinov2", presets.small("dinov2")))
        check_usable(own, (32, 64, 96, 128), pretrained=True)
