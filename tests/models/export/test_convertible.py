"""What converters do not know is replaced by what gives the same."""

import keras
import numpy as np
import pytest

from models.build import Task, build_network
from models.export.convertible import convertible
from models.export.runtimes import export, load
from tests import made

CANDIDATE = made.candidate(unfreeze_depth=1)


def network(height: int, width: int, channels: int) -> keras.Model:
    return build_network(CANDIDATE, Task(height, width, channels, 10, "none"), 3).model


def pictures(model: keras.Model, n: int = 5) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, *model.input_shape[1:]), dtype=np.uint8)


def said(model: keras.Model, batch: np.ndarray) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(batch, training=False))


@pytest.mark.parametrize("shape", [(8, 8, 1), (16, 16, 3), (16, 24, 3)])
def test_what_every_converter_knows_stays(shape):
    model = network(*shape)
    assert convertible(model) is model


@pytest.mark.parametrize("shape", [(32, 32, 3), (31, 45, 3), (64, 17, 1)])
def test_pictures_that_shrink_give_the_same(shape):
    model = network(*shape)
    other = convertible(model)
    batch = pictures(model)
    assert other.input_shape == model.input_shape
    assert np.abs(said(other, batch) - said(model, batch)).max() < 1e-6
    assert all(a is b for a, b in zip(other.weights, model.weights, strict=True))  # shared, not copied


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="exports need the TensorFlow backend")
@pytest.mark.parametrize("name", ["litert", "onnx"])
def test_they_are_exported(tmp_path, name):
    if name == "onnx":
        pytest.importorskip("tf2onnx", reason="the extra onnx is not installed")
        pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    model = network(24, 24, 3)
    export(model, name, tmp_path / "model", pictures(model))
    run, _ = load(name, tmp_path / "model", 1)
    batch = pictures(model, 3)
    assert np.abs(run(batch) - said(model, batch)).max() < 1e-5
