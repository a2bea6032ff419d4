"""Loading weights: the right ones exactly, anything else refused in one line."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from models import ModelError
from models.backbones import application, features
from models.catalogue import BACKBONES
from models.weights import loading
from models.weights.loading import load_backbone_weights, save_backbone_weights
from models.weights.values import weights_digest
from tests.models.families import FAMILIES

CUSTOM = BACKBONES["custom_cnn"]
MOBILENET = BACKBONES["mobilenet_0.25"]


@pytest.fixture(autouse=True)
def empty_cache() -> Iterator[None]:
    loading._application_weights.cache_clear()
    yield
    loading._application_weights.cache_clear()


@pytest.fixture
def saved(tmp_path: Path, build: Callable[..., Any]) -> Path:
    """Weights of a custom_cnn, with their card."""
    path = tmp_path / "own.weights.h5"
    save_backbone_weights(build("custom_cnn"), CUSTOM, path, {"data": "CIFAR-10"})
    return path


def test_saved_weights_come_back(saved: Path, build: Callable[..., Any]) -> None:
    base = build("custom_cnn", 32)
    before = weights_digest(base)
    load_backbone_weights(base, CUSTOM, str(saved))
    other = build("custom_cnn", 48)  # a second load into another resolution
    load_backbone_weights(other, CUSTOM, str(saved))
    assert weights_digest(base) == weights_digest(other) != before
    assert len(before) == 64


def test_card_lies_beside_the_file(saved: Path) -> None:
    card = json.loads((saved.parent / "own.json").read_text())
    assert card["data"] == "CIFAR-10"
    assert card["backbone"] == "custom_cnn"
    assert len(card["sha256"]) == 64
    assert sorted(path.name for path in saved.parent.iterdir()) == ["own.json", "own.weights.h5"]


def test_none_leaves_the_weights(build: Callable[..., Any]) -> None:
    base = build("custom_cnn")
    before = weights_digest(base)
    load_backbone_weights(base, CUSTOM, "none")
    assert weights_digest(base) == before


def test_digest_sees_one_value(build: Callable[..., Any]) -> None:
    base = build("custom_cnn")
    before = weights_digest(base)
    values = base.get_weights()
    values[-1].flat[0] += 1
    base.set_weights(values)
    assert weights_digest(base) != before


def test_packaged_weights(saved: Path, build: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "PACKAGED_WEIGHTS", saved.parent)
    base = build("custom_cnn")
    with pytest.raises(ModelError, match=r"no such weights file.*custom_cnn.weights.h5"):
        load_backbone_weights(base, CUSTOM, "pretrained")
    saved.rename(saved.parent / "custom_cnn.weights.h5")
    load_backbone_weights(base, CUSTOM, "pretrained")


def _refused(base: Any, backbone: Any, path: Path, match: str) -> None:
    with pytest.raises(ModelError, match=match) as caught:
        load_backbone_weights(base, backbone, str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bad_files_are_refused(saved: Path, build: Callable[..., Any]) -> None:
    base, folder = build("custom_cnn"), saved.parent
    truncated, text, pickled = folder / "cut.weights.h5", folder / "text.h5", folder / "x.pkl"
    truncated.write_bytes(saved.read_bytes()[:5000])
    text.write_text("no HDF5")
    pickled.write_bytes(b"")
    _refused(base, CUSTOM, truncated, "damaged")
    _refused(base, CUSTOM, text, "damaged or not an HDF5")
    _refused(base, CUSTOM, pickled, r"\.h5 or \.weights\.h5")
    _refused(base, CUSTOM, folder / "absent.h5", "no such weights file")
    _refused(base, CUSTOM, saved.rename(folder / "own.h5"), "must end in .weights.h5")


def test_another_backbone_is_refused(saved: Path, build: Callable[..., Any]) -> None:
    base = build("mobilenet_0.25")
    _refused(base, MOBILENET, saved, "weights of custom_cnn, not of mobilenet_0.25")
    with h5py.File(saved, "a") as file:
        del file.attrs["backbone"]
    _refused(base, MOBILENET, saved, "does not hold the weights of mobilenet_0.25 without top: tensor layers/")


def test_a_changed_file_is_refused(saved: Path, build: Callable[..., Any]) -> None:
    with h5py.File(saved, "a") as file:
        file["layers/conv2d/vars/0"][0, 0, 0, 0] += 1
    _refused(build("custom_cnn"), CUSTOM, saved, "SHA-256 differ")


def test_values_that_are_not_finite_are_refused(saved: Path, build: Callable[..., Any]) -> None:
    with h5py.File(saved, "a") as file:
        file["layers/conv2d_1/vars/0"][0, 0, 0, 0] = np.nan
    _refused(build("custom_cnn"), CUSTOM, saved, "layers/conv2d_1/vars/0 has values that are not finite")


def test_links_out_of_the_file_are_refused(saved: Path, build: Callable[..., Any]) -> None:
    other = saved.parent / "other.weights.h5"
    other.write_bytes(saved.read_bytes())
    with h5py.File(other, "a") as file:
        del file["layers/conv2d/vars/0"]
        file["layers/conv2d/vars/0"] = h5py.ExternalLink(str(saved), "layers/conv2d/vars/0")
    _refused(build("custom_cnn"), CUSTOM, other, "layers/conv2d/vars/0 .* is missing")


def test_a_file_with_top_is_refused(tmp_path: Path, build: Callable[..., Any]) -> None:
    model = application(MOBILENET, include_top=True, weights=None)
    new, old = tmp_path / "top.weights.h5", tmp_path / "top.h5"
    model.save_weights(new)
    _save_legacy(model, old)
    base = build("mobilenet_0.25")
    _refused(base, MOBILENET, new, "weights of a classifier too")
    _refused(base, MOBILENET, old, "weights of a classifier too")


@pytest.mark.slow
def test_older_files_load(tmp_path: Path, build: Callable[..., Any]) -> None:
    model = application(MOBILENET, include_top=False, weights=None, input_shape=(64, 64, 3))
    path = tmp_path / "old.h5"
    _save_legacy(model, path)
    base = build("mobilenet_0.25")
    load_backbone_weights(base, MOBILENET, str(path))
    for ours, theirs in zip(base.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    _refused(build("mobilenet_v2_0.35"), BACKBONES["mobilenet_v2_0.35"], path, "no. 1 has shape")


def _save_legacy(model: Any, path: Path) -> None:
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)


def _publish(monkeypatch: pytest.MonkeyPatch, answer: Callable[..., str]) -> None:
    """Lets Keras get published files from `answer` instead of the network."""
    from keras.src.utils import file_utils

    monkeypatch.setattr(file_utils, "get_file", answer)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet_0.25", pytest.param("efficientnet_b0", marks=pytest.mark.slow)])
def test_pretrained_is_the_network_of_keras(
    name: str, tmp_path: Path, build: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same features as keras.applications with the same published file: preprocessing included."""
    import keras

    path = tmp_path / "published.weights.h5"
    published = build(name, BACKBONES[name].native_resolution)
    for layer in published.layers:
        if isinstance(layer, keras.layers.Normalization):  # as in the file of EfficientNet
            layer.set_weights([np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]) ** 2, np.array(0)])
    published.save_weights(path)
    _publish(monkeypatch, lambda *_, **__: str(path))
    theirs = application(BACKBONES[name], include_top=False, weights="imagenet", input_shape=(128, 128, 3))
    ours = build(name, 128)
    load_backbone_weights(ours, BACKBONES[name], "pretrained")
    pictures = np.random.default_rng(0).uniform(0, 255, (2, 128, 128, 3)).astype("float32")
    given = pictures / 127.5 - 1 if BACKBONES[name].preprocessing == "tf" else pictures
    expected = keras.ops.convert_to_numpy(theirs(given, training=False))
    found = keras.ops.convert_to_numpy(ours(pictures, training=False))
    np.testing.assert_allclose(found, expected, atol=2e-4 * np.abs(expected).max())


def test_without_network_the_message_tells_what_to_do(
    tmp_path: Path, build: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(name: str, origin: str, **_: Any) -> str:
        raise Exception(f"URL fetch failure on {origin}: None -- Name or service not known")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    _publish(monkeypatch, offline)
    with pytest.raises(ModelError) as caught:
        load_backbone_weights(build("mobilenet_0.25"), MOBILENET, "pretrained")
    message = str(caught.value)
    expected = tmp_path / "models" / "mobilenet_2_5_224_tf_no_top.h5"
    for part in ("https://", str(expected), "KERAS_HOME", "--weights none"):
        assert part in message
    assert "\n" not in message


def test_a_damaged_file_of_keras_is_named(
    tmp_path: Path, build: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    path = tmp_path / "models" / "mobilenet_2_5_224_tf_no_top.h5"
    path.parent.mkdir()
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    _publish(monkeypatch, lambda *_, **__: str(path))
    with pytest.raises(ModelError, match=r"damaged file .*mobilenet_2_5_224_tf_no_top.h5: remove it"):
        load_backbone_weights(build("mobilenet_0.25"), MOBILENET, "pretrained")


@pytest.mark.slow
@pytest.mark.parametrize("name", [*(name for name in FAMILIES if BACKBONES[name].application), "nasnet_large"])
def test_file_names_and_order_of_weights(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The name that the message gives is the one Keras looks for, and our weights are in the order of Keras."""
    import keras

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    backbone = BACKBONES[name]
    asked: list[tuple[str, str]] = []

    def offline(file_name: str, origin: str, **_: Any) -> str:
        asked.append((file_name, origin))
        raise Exception(f"URL fetch failure on {origin}: None -- offline")

    _publish(monkeypatch, offline)
    keras.backend.clear_session()
    with pytest.raises(ModelError, match=r"Expected file: \S*/(\S+\.h5)") as caught:
        loading._application_weights(name)
    assert f"/models/{asked[0][0]}. Ways out" in str(caught.value)
    side = backbone.min_resolution
    theirs = application(backbone, include_top=False, weights=None, input_shape=(side, side, 3))
    inputs = keras.Input((side, side, 3))
    ours = keras.Model(inputs, features(backbone, inputs))
    assert [_signature(weight) for weight in ours.weights] == [_signature(weight) for weight in theirs.weights]


def _signature(weight: Any) -> tuple[str, tuple[int, ...]]:
    name = "" if weight.name.startswith("variable") else weight.name  # numbered by Keras (LayerScale of ConvNeXt)
    return name, tuple(weight.shape)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["zfnet", "lenet5"])
def test_what_nobody_published_says_so(name: str, build: Callable[..., Any]) -> None:
    with pytest.raises(ModelError, match=f"no pretrained weights of {name} are published: choose --weights none"):
        load_backbone_weights(build(name), BACKBONES[name], "pretrained")


def test_no_room_for_temporary_files_is_no_damage(
    saved: Path, build: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(saved.parent / "gone"))
    with pytest.raises(ModelError, match="weights cannot be checked.*set TMPDIR to another folder") as caught:
        load_backbone_weights(build("custom_cnn"), CUSTOM, str(saved))
    assert "damaged" not in str(caught.value) and "\n" not in str(caught.value)
