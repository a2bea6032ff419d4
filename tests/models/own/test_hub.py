"""Networks of keras-hub by their presets: folders that keras-hub wrote, with random weights."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from models import ModelError
from models.backbones import get_backbone, without_top
from models.blocks import ends
from models.cuts import freeze, stages
from models.flops import count
from models.own.contract import examine
from models.own.hub import load_preset
from models.own.network import built
from models.own.reference import Own, parse
from tests.models.own import presets
from tests.models.own.presets import folder_of, hub, published


def small(path: Path, *others: Any) -> str:
    keras.utils.set_random_seed(0)
    return folder_of(path / "small", presets.small("resnet"), *others)


def outputs(model: Any, pictures: np.ndarray) -> np.ndarray:
    found = model(pictures)
    return np.asarray(list(found.values())[-1] if isinstance(found, dict) else found)


def pictures(side: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (2, side, side, 3)).astype("float32")


# architecture, blocks, stages, MACs at 224 px without the classifier; the comment says which published figure that is
FAMILIES = (
    ("resnet18", 9, 5, 1_813_561_344),  # 1.81 G, torchvision's table, less 0.5 M of its dense layer
    ("vgg16", 13, 5, 15_346_630_656),  # 15.47 G less 123.6 M of its dense layers
    ("efficientnet_lite0", 17, 5, 383_907_552),
    ("efficientnet_b0", 17, 5, 384_534_752),  # 0.39 G, Tan & Le 2019
    ("mobilenetv3_large_100", 20, 5, 214_080_960),  # 219 M with its classifier, Howard et al. 2019
    ("cspdarknet53", 19, 6, 5_001_543_680),
    ("hgnetv2_b0", 18, 5, 317_181_312),
)


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "blocks", "n_stages", "macs"), FAMILIES, ids=[row[0] for row in FAMILIES])
def test_a_family_is_what_keras_hub_builds(
    architecture: str, blocks: int, n_stages: int, macs: int, tmp_path: Path
) -> None:
    theirs = published(architecture)
    own = load_preset(folder_of(tmp_path / architecture, theirs))
    model = built(own, 224)
    assert (len(ends(model)), len(stages(model)), count(model).macs) == (blocks, n_stages, macs)
    assert model.count_params() == theirs.count_params()
    assert built(own, 64).count_params() == theirs.count_params()
    np.testing.assert_array_equal(outputs(model, pictures(224)), outputs(theirs, pictures(224)))


@pytest.mark.slow
def test_xception_costs_what_ours_does(tmp_path: Path) -> None:
    filters = [[32, 64], [128, 128], [256, 256], [728, 728], *([[728] * 3] * 8), [728, 1024], [1536, 2048]]
    pooling = [False, *[True] * 3, *[False] * 8, True, False]
    theirs = hub.models.XceptionBackbone(stackwise_conv_filters=filters, stackwise_pooling=pooling)
    model = built(load_preset(folder_of(tmp_path / "xception", theirs)), 299)
    ours = without_top(get_backbone("xception"), 299)
    assert (count(model).macs, model.count_params()) == (count(ours).macs, ours.count_params())


def test_mobilenet_v5_is_what_keras_hub_builds(tmp_path: Path) -> None:
    theirs = presets.small("mobilenet_v5")
    own = load_preset(folder_of(tmp_path / "v5", theirs))
    model = built(own, 64)
    np.testing.assert_array_equal(outputs(model, pictures(64)), outputs(theirs, pictures(64)))
    # 4 heads, 16 x 16 pixels ask, 8 x 8 answer, with 16 numbers to be found by and 8 to be read
    mixed = {"Matmul": 4 * 64 * 16 * (16 + 8)}
    assert {kind: count(model).by_kind[kind]["macs"] for kind in mixed} == mixed
    assert examine(own, (64, 96)).problems == ()


def test_the_features_that_several_stages_make_are_one(tmp_path: Path) -> None:
    theirs = presets.small("mobilenet_v5", use_msfa=True, num_features=24, msfa_output_resolution=8)
    model = built(load_preset(folder_of(tmp_path / "v5", theirs)), 64)
    assert model.output.shape == (None, 8, 8, 24)
    np.testing.assert_array_equal(outputs(model, pictures(64)), outputs(theirs, pictures(64)))


@pytest.mark.parametrize(
    "family",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in presets.PUBLISHED)) for name in presets.FAMILIES],
)
def test_a_small_one_keeps_the_contract_and_is_saved(family: str, tmp_path: Path) -> None:
    theirs = presets.small(family)
    own = load_preset(folder_of(tmp_path / family, theirs))
    assert examine(own, (64, 96)).problems == ()
    model = built(own, 64)
    if own.patch == 1:  # transformers: test_hub_tokens.py
        np.testing.assert_array_equal(outputs(model, pictures(64)), outputs(theirs, pictures(64)))
    model.save(tmp_path / "kept.keras")
    again = keras.saving.load_model(tmp_path / "kept.keras")
    np.testing.assert_array_equal(outputs(again, pictures(64)), outputs(model, pictures(64)))


def test_blocks_inside_layers_are_found_and_can_be_frozen(tmp_path: Path) -> None:
    model = built(load_preset(folder_of(tmp_path / "b0", published("hgnetv2_b0"))), 64)
    freeze(model, 1)
    whole = {type(layer).__name__ for layer in model.layers if not type(layer).__module__.startswith("keras.")}
    assert whole == {"HGNetV2LearnableAffineBlock"}
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) > 30
    assert not any(norm.trainable for norm in norms)
    trained = [layer.name for layer in model.layers if layer.trainable_weights]
    assert trained
    assert all("_encoder_stage_3_" in name for name in trained)


def test_what_is_random_in_training_is_random_behind_the_cut_alone(tmp_path: Path) -> None:
    model = built(load_preset(folder_of(tmp_path / "v5", presets.small("mobilenet_v5"))), 64)
    freeze(model, 0)
    paths = [layer for layer in model.layers if type(layer).__name__ == "DropPath"]
    assert paths
    assert all(path.drop_prob == 0 for path in paths)


class TestPreprocessing:
    def test_is_that_of_the_preset(self, tmp_path: Path) -> None:
        takes = hub.layers.ResNetImageConverter(image_size=(96, 96), scale=[0.01, 0.02, 0.03], offset=[-1.0, -2.0, 0.5])
        own = load_preset(small(tmp_path, takes))
        assert (own.min_resolution, own.native_resolution) == (32, 96)
        theirs = hub.models.Backbone.from_preset(str(tmp_path / "small"))
        expected = outputs(theirs, takes(pictures(96)))
        np.testing.assert_allclose(outputs(built(own, 96), pictures(96)), expected, rtol=1e-4, atol=1e-4)

    def test_one_number_is_for_all_channels(self, tmp_path: Path) -> None:
        own = load_preset(small(tmp_path, hub.layers.ResNetImageConverter(image_size=(64, 64), scale=1 / 255)))
        layer = built(own, 64).get_layer("preprocess")
        assert (layer.scale, layer.offset) == ([1 / 255] * 3, [0.0] * 3)

    def test_without_any_pictures_are_taken_as_they_are(self, tmp_path: Path) -> None:
        own = load_preset(small(tmp_path))
        assert (own.preprocess, own.native_resolution) == (None, 224)


class TestSource:
    def test_is_the_same_for_the_same_preset(self, tmp_path: Path) -> None:
        assert load_preset(small(tmp_path / "a")).source == load_preset(small(tmp_path / "b")).source

    @pytest.mark.parametrize("change", ["weights", "converter"])
    def test_is_another_where_anything_else_is(self, change: str, tmp_path: Path) -> None:
        before = load_preset(small(tmp_path / "a")).source
        folder = small(tmp_path / "b", *([hub.layers.ResNetImageConverter(scale=0.5)] if change == "converter" else []))
        if change == "weights":
            other = presets.small("resnet")
            other.save_to_preset(folder)
        assert load_preset(folder).source != before


def edited(folder: str, change: Callable[[dict[str, Any]], None], name: str = "config.json") -> str:
    path = Path(folder) / name
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return folder


def names_module(content: dict[str, Any]) -> None:
    content["module"] = "mischief"


def names_nested_module(content: dict[str, Any]) -> None:
    content["config"]["dtype"] = {"module": "mischief", "class_name": "Policy", "config": {}, "registered_name": None}


def names_other_package(content: dict[str, Any]) -> None:
    content["registered_name"] = "mischief>Network"


def holds_a_function(content: dict[str, Any]) -> None:
    content["config"]["activation"] = {"class_name": "function", "config": "system", "module": "os"}


def holds_a_lambda(content: dict[str, Any]) -> None:
    content["config"]["stem"] = {"module": "keras.layers", "class_name": "Lambda", "config": {"function": "4wEA"}}


class TestPresetsOfOthers:
    """What a preset says is not imported or run."""

    @pytest.fixture(autouse=True)
    def mischief(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        (tmp_path / "mischief.py").write_text("raise SystemExit('code of the preset ran')")
        monkeypatch.syspath_prepend(str(tmp_path))
        yield
        assert "mischief" not in sys.modules

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            (names_module, "mischief.ResNetBackbone"),
            (names_nested_module, "mischief.Policy"),
            (names_other_package, "mischief>Network"),
            (holds_a_function, "os.function"),
            (holds_a_lambda, "keras.layers.Lambda"),
        ],
    )
    def test_a_network_that_names_code_is_refused(
        self, change: Callable[[dict[str, Any]], None], named: str, tmp_path: Path
    ) -> None:
        folder = edited(small(tmp_path), change)
        with pytest.raises(ModelError, match=f"config.json of keras_hub:.* names {named}, which is neither"):
            load_preset(folder)

    def test_an_image_converter_that_names_code_is_refused(self, tmp_path: Path) -> None:
        folder = small(tmp_path, hub.layers.ResNetImageConverter(scale=0.5))
        edited(folder, names_module, "image_converter.json")
        with pytest.raises(ModelError, match="image_converter.json of keras_hub:.* names mischief"):
            load_preset(folder)

    def test_an_image_converter_that_is_something_else_is_refused(self, tmp_path: Path) -> None:
        folder = small(tmp_path, hub.layers.ResNetImageConverter(scale=0.5))
        shutil.copy(tmp_path / "small" / "config.json", tmp_path / "small" / "image_converter.json")
        with pytest.raises(ModelError, match="must be an ImageConverter. Received: ResNetBackbone"):
            load_preset(folder)

    def test_classes_under_the_old_name_of_keras_hub_are_its_own(self, tmp_path: Path) -> None:
        def old(content: dict[str, Any]) -> None:
            content["registered_name"] = "keras_nlp>ResNetBackbone"

        assert load_preset(edited(small(tmp_path), old)).name == "small"

    @pytest.mark.parametrize("content", [[], "text", {"registered_name": 1}, {}])
    def test_what_is_no_preset_is_refused_in_one_line(self, content: Any, tmp_path: Path) -> None:
        folder = small(tmp_path)
        (tmp_path / "small" / "config.json").write_text(json.dumps(content))
        with pytest.raises(ModelError, match="small cannot be loaded: ") as caught:
            load_preset(folder)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("preset", "name"),
    [
        ("resnet_18_imagenet", "resnet_18_imagenet"),
        ("kaggle://keras/resnetv1/keras/resnet_18_imagenet/2", "resnet_18_imagenet"),
        ("kaggle://keras/resnetv1/keras/resnet_18_imagenet", "resnet_18_imagenet"),
        ("hf://timm/resnet18.a1_in1k", "resnet18.a1_in1k"),
        ("presets/mine/", "mine"),
    ],
)
def test_networks_are_called_by_their_presets(preset: str, name: str) -> None:
    assert parse(f"keras_hub:{preset}").name == name


class TestRefused:
    def test_a_name_that_keras_hub_does_not_know(self) -> None:
        message = "keras-hub knows no preset resnet_18_imagent, .* Did you mean resnet_18_imagenet or "
        with pytest.raises(ModelError, match=message):
            load_preset("resnet_18_imagent")

    def test_a_preset_that_cannot_be_had(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def offline(*_: Any) -> Any:
            raise ConnectionError("no route to host")

        monkeypatch.setattr("keras_hub.src.utils.preset_utils.get_preset_loader", offline)
        message = "cannot be loaded: ConnectionError: no route to host; keras-hub takes it from its cache .* folder$"
        with pytest.raises(ModelError, match=message):
            load_preset("resnet_18_imagenet")

    def test_a_folder_without_weights(self, tmp_path: Path) -> None:
        folder = small(tmp_path)
        (tmp_path / "small" / "model.weights.h5").unlink()
        with pytest.raises(ModelError, match="small cannot be loaded: FileNotFoundError: .*weights"):
            load_preset(folder)

    def test_a_folder_without_a_network(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="cannot be loaded: ValueError: Preset .* has no config.json"):
            load_preset(str(tmp_path))

    def test_a_network_for_texts(self, tmp_path: Path) -> None:
        text = hub.models.BertBackbone(
            vocabulary_size=9, num_layers=1, num_heads=1, hidden_dim=4, intermediate_dim=4, max_sequence_length=4
        )
        folder = folder_of(tmp_path / "bert", text)
        (tmp_path / "bert" / "model.weights.h5").unlink()  # it is refused before weights are asked for
        with pytest.raises(ModelError, match="bert is a BertBackbone. Allowed: ResNetBackbone, "):
            load_preset(folder)

    def test_keras_hub_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "keras_hub", None)
        with pytest.raises(ModelError, match=r"needs an extra: pip install 'keras-hpo\[hub\]'"):
            load_preset("resnet_18_imagenet")


def test_pictures_of_other_sides_have_the_same_weights(tmp_path: Path) -> None:
    own: Own = load_preset(small(tmp_path))
    one, other = built(own, 64), built(own, 96)
    for mine, theirs in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert not {id(layer) for layer in one.layers} & {id(layer) for layer in other.layers}


def test_layers_of_one_name_in_two_families_are_kept_apart(tmp_path: Path) -> None:
    """MiT and Swin each have a DropPath: a file of the one is read after the other was opened."""
    models = {name: built(load_preset(folder_of(tmp_path / name, presets.small(name))), 64) for name in ("mit", "swin")}
    for name, model in models.items():
        model.save(tmp_path / f"{name}.keras")
        again = keras.saving.load_model(tmp_path / f"{name}.keras")
        np.testing.assert_array_equal(outputs(again, pictures(64)), outputs(model, pictures(64)))
