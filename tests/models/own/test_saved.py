"""Networks of the user's own in `.keras` files."""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from models import ModelError
from models.own.contract import examine
from models.own.network import built
from models.own.saved import load_saved

SIDE = 32


def convolutions(inputs: Any) -> Any:
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="first")(inputs)
    pooled = keras.layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
    x = keras.layers.Multiply(name="excite")([x, keras.layers.Conv2D(4, 1, name="gate")(pooled)])
    x = keras.layers.BatchNormalization(name="norm")(x)
    return keras.layers.Conv2D(8, 3, padding="same", name="last")(x)


def classes(x: Any) -> Any:
    x = keras.layers.GlobalAveragePooling2D(name="average")(x)
    return keras.layers.Dense(10, activation="softmax", name="classes")(keras.layers.Dropout(0.2)(x))


def flattened(x: Any) -> Any:
    return keras.layers.Dense(10, name="classes")(keras.layers.Flatten(name="flatten")(x))


def averaged(x: Any) -> Any:
    return keras.layers.Dense(10, name="classes")(keras.ops.mean(x, axis=(1, 2)))


def nothing(x: Any) -> Any:
    return x


def saved(folder: Path, model: keras.Model, name: str = "mine.keras") -> Path:
    model.save(folder / name)
    return folder / name


def network(top: Callable[[Any], Any] = classes, side: int | None = SIDE) -> keras.Model:
    inputs = keras.Input((side, side, 3), name="input")
    return keras.Model(inputs, top(convolutions(inputs)), name="whole")


@pytest.mark.parametrize("top", [classes, flattened, averaged, nothing])
def test_it_is_what_it_was_without_its_top(top: Callable[[Any], Any], tmp_path: Path) -> None:
    model = network(top)
    model.get_layer("norm").set_weights([np.arange(4.0) + 1 for _ in range(4)])
    own = load_saved(saved(tmp_path, model))
    assert (own.name, own.min_resolution, own.native_resolution) == ("mine", SIDE, SIDE)
    assert own.source.startswith("mine.keras ")
    base = built(own, SIDE)
    assert [layer.name for layer in base.layers[1:]] == ["first", "squeeze", "gate", "excite", "norm", "last"]
    pictures = np.random.default_rng(0).uniform(0, 255, (2, SIDE, SIDE, 3)).astype("float32")
    below = keras.Model(model.input, model.get_layer("last").output)
    np.testing.assert_array_equal(base(pictures), below(pictures))


def test_at_other_sides_it_has_the_same_weights_and_layers_of_its_own(tmp_path: Path) -> None:
    own = load_saved(saved(tmp_path, network(side=64)))
    assert (own.min_resolution, own.native_resolution) == (32, 64)
    small, large = built(own, 32), built(own, 96)
    assert (small.output.shape, large.output.shape) == ((None, 16, 16, 8), (None, 48, 48, 8))
    for one, other in zip(small.get_weights(), large.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    small.get_layer("first").set_weights([np.zeros((3, 3, 3, 4)), np.zeros(4)])
    assert np.any(large.get_layer("first").get_weights()[0])


def test_one_for_pictures_of_any_side(tmp_path: Path) -> None:
    own = load_saved(saved(tmp_path, network(side=None)))
    assert (own.min_resolution, own.native_resolution) == (32, 224)


def test_one_for_a_single_side(tmp_path: Path) -> None:
    def stiff(x: Any) -> Any:
        return keras.layers.Reshape((32, 32, 8), name="stiff")(x)

    own = load_saved(saved(tmp_path, network(stiff, side=64)))
    assert (own.min_resolution, own.native_resolution) == (64, 64)


def test_models_inside_are_taken_apart(tmp_path: Path) -> None:
    inner = keras.Model(inputs := keras.Input((SIDE, SIDE, 3)), convolutions(inputs), name="inner")
    layers = [keras.Input((SIDE, SIDE, 3)), keras.layers.Rescaling(1 / 255), inner]
    model = keras.Sequential([*layers, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)])
    own = load_saved(saved(tmp_path, model))
    base = built(own, SIDE)
    assert [layer.name for layer in base.layers[2:]] == ["first", "squeeze", "gate", "excite", "norm", "last"]
    assert [block.layer for block in examine(own, (SIDE,)).blocks] == ["first", "norm", "last"]
    pictures = np.random.default_rng(0).uniform(0, 255, (2, SIDE, SIDE, 3)).astype("float32")
    np.testing.assert_allclose(base(pictures), inner(pictures / 255), rtol=1e-5, atol=1e-6)


@keras.saving.register_keras_serializable("tests_saved")
class Known(keras.layers.Layer):
    def call(self, x: Any) -> Any:
        return x


class Unknown(keras.layers.Layer):
    def call(self, x: Any) -> Any:
        return x


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: network(lambda x: keras.layers.Lambda(lambda y: y)(x)), "mine.keras cannot be loaded: .*lambda"),
        (lambda: network(Unknown()), "mine.keras cannot be loaded: .*Unknown.*path/file.py:build"),
        (lambda: keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)]), r"three channels.* Received: \(8,\)"),
        (
            lambda: keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 1)]),
            r"three channels.* Received: \(8, 8, 1\)",
        ),
        (
            lambda: keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]),
            "must have a feature map .* before its first pooling to a vector",
        ),
    ],
)
def test_what_cannot_be_used_is_one_line(model: Callable[[], Any], message: str, tmp_path: Path) -> None:
    path = saved(tmp_path, model())
    with pytest.raises(ModelError, match=message) as caught:
        load_saved(path)
    assert "\n" not in str(caught.value)


def test_a_layer_that_is_registered_is_found(tmp_path: Path) -> None:
    assert load_saved(saved(tmp_path, network(Known(name="known")))).name == "mine"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nothing", b"\x89HDF\r\n"])
def test_damaged_files(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "mine.keras"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="mine.keras cannot be loaded: "):
        load_saved(path)
    with pytest.raises(ModelError, match="there is no file"):
        load_saved(tmp_path / "nothing.keras")


def test_nothing_in_a_file_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of another person that names a module that lies about: it is not imported."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "lies_about.py").write_text("import pathlib\npathlib.Path('was_here').touch()\nclass Unknown: pass\n")
    monkeypatch.chdir(tmp_path)
    path = saved(tmp_path, network(Unknown()))
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    config = files["config.json"].decode().replace(json.dumps(Unknown.__module__), '"lies_about"')
    assert "lies_about" in config
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (files | {"config.json": config.encode()}).items():
            archive.writestr(name, content)
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_saved(path)
    assert "lies_about" not in sys.modules and not (tmp_path / "was_here").exists()
