"""Frozen networks on many pictures, against the backend's own inference."""

import math

import keras
import numpy as np
import pytest

import models.export.runtimes
import models.reuse.frozen
from models.export.runtimes import converted
from models.reuse.frozen import MUCH, conversion_pays, run_frozen
from models.training.backend import forward_all

MANY = 10**9


@pytest.fixture(scope="module")
def network():
    """Two outputs behind convolutions, of pictures that shrink."""
    pictures = keras.Input((12, 12, 3), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(pictures)
    x = keras.layers.Resizing(8, 8, antialias=True)(x, training=False)
    x = keras.layers.DepthwiseConv2D(3)(x)
    x = keras.layers.Conv2D(4, 1, activation="relu")(x)
    y = keras.layers.BatchNormalization()(keras.layers.Conv2D(6, 3, strides=2)(x))
    return keras.Model(pictures, [keras.layers.GlobalAveragePooling2D()(x), y])


def pictures(n):
    return np.random.default_rng(0).integers(0, 256, (n, 12, 12, 3), dtype="uint8")


@pytest.mark.parametrize("n", [1, 16, 37])
def test_all_outputs_are_those_of_the_backend(network, n):
    run = run_frozen(network, MANY, batch=64)
    for ours, theirs in zip(run(pictures(n)), forward_all(network)(pictures(n)), strict=True):
        assert ours.shape == theirs.shape and ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_stored_features_are_taken_as_they_are(network):
    """From a cut that is stored in half precision."""
    behind = keras.Model(network.layers[4].output, [network.outputs[1]])
    half = np.random.default_rng(0).random((20, 6, 6, 4)).astype("float16")
    (ours,) = converted(behind, 16, 1)(half)
    (theirs,) = forward_all(behind)(half)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("pays", "backend", "gpus", "by"), [
    (True, "tensorflow", [], "litert"),
    (False, "tensorflow", [], "backend"),
    (True, "jax", [], "backend"),
    (True, "tensorflow", ["gpu:0"], "backend"),
])  # fmt: skip
def test_it_is_converted_where_that_pays_on_the_cpu_of_tensorflow(monkeypatch, pays, backend, gpus, by):
    monkeypatch.setattr("keras.backend.backend", lambda: backend)
    monkeypatch.setattr("keras.distribution.list_devices", lambda kind: gpus)
    monkeypatch.setattr(models.reuse.frozen, "conversion_pays", lambda *_: pays)
    monkeypatch.setattr(models.export.runtimes, "converted", lambda *_: "litert")
    monkeypatch.setattr(models.reuse.frozen, "forward_all", lambda *_: "backend")
    assert run_frozen(None, 1, 64) == by


def test_it_pays_for_much_work_of_depthwise_convolutions(network):
    """Depthwise 6x6x3x9, 1x1 6x6x3x4 and 3x3 2x2x6x36 multiply-accumulates for each picture."""
    one = 2 * (6 * 6 * 3 * 9 + 6 * 6 * 3 * 4 + 2 * 2 * 6 * 36)
    enough = math.ceil(MUCH * len(network.layers) / one)
    assert [conversion_pays(network, n) for n in (enough, enough - 1)] == [True, False]
    pictures = keras.Input((32, 32, 3))
    assert not conversion_pays(keras.Model(pictures, keras.layers.Conv2D(64, 3)(pictures)), MANY)


def test_what_cannot_be_converted_is_run_by_the_backend(monkeypatch):
    monkeypatch.setattr(models.reuse.frozen, "conversion_pays", lambda *_: True)

    class Odd(keras.layers.Layer):
        def call(self, x):
            import tensorflow as tf

            return tf.reshape(tf.strings.to_number(tf.strings.as_string(x)), tf.shape(x))

    inputs = keras.Input((3,))
    model = keras.Model(inputs, [Odd()(inputs)])
    x = np.ones((2, 3), "float32")
    np.testing.assert_array_equal(run_frozen(model, MANY, 64)(x)[0], x)
