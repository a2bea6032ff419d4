"""The training adapter: compiled functions and gradients are those of plain arithmetic."""

from contextlib import nullcontext

import keras
import numpy as np
import pytest
from keras import ops

from models.training.backend import compiled, forward, fused, pointwise_products, value_and_gradient


def test_a_gradient_by_hand():
    def loss(w, x):
        return ops.sum(w * w * x), ops.sum(x)

    w, x = np.array([1.0, 2.0, 3.0], "float32"), np.array([1.0, 10.0, 100.0], "float32")
    (value, more), gradient = compiled(value_and_gradient(loss))(w, x)
    assert float(value) == 941.0
    assert float(more) == 111.0
    assert ops.convert_to_numpy(gradient).tolist() == [2.0, 40.0, 600.0]


def test_fused_is_the_same_function():
    def change(w, g):
        return w - 0.5 * g / (ops.sqrt(g * g) + 1.0), g * g

    w, g = np.arange(4, dtype="float32"), np.array([1.0, -1.0, 3.0, 0.0], "float32")
    inside = fused(change)
    moved, squared = compiled(lambda w, g: inside(w, g))(w, g)
    assert ops.convert_to_numpy(moved).tolist() == pytest.approx([-0.25, 1.25, 2 - 0.375, 3.0])
    assert ops.convert_to_numpy(squared).tolist() == [1.0, 1.0, 9.0, 0.0]


def test_forward_is_inference():
    inputs = keras.Input((3,))
    x = keras.layers.Dropout(0.9)(keras.layers.BatchNormalization()(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    batch = np.random.default_rng(0).normal(size=(5, 3)).astype("float16")  # as stored; cast inside
    expected = ops.convert_to_numpy(model(batch.astype("float32"), training=False))
    np.testing.assert_allclose(forward(model)(batch), expected, rtol=1e-5)


def test_pointwise_convolutions_are_products_while_a_step_is_traced():
    """And only then; what they compute and their gradients are the same."""
    pictures = keras.Input((6, 5, 3))
    x = keras.layers.Conv2D(4, 1, name="pointwise")(pictures)
    x = keras.layers.Conv2D(4, 1, strides=2, name="strided")(x)
    x = keras.layers.Conv2D(4, 3, name="wide")(keras.layers.ZeroPadding2D(1)(x))
    inner = keras.Model(pictures, x)
    outer = keras.Model(again := keras.Input((6, 5, 3)), inner(again))
    values = np.random.default_rng(0).normal(size=(2, 6, 5, 3)).astype("float32")

    def gradient(use):
        def loss(kernel, images):
            weights = [kernel, *(variable.value for variable in outer.trainable_variables[1:])]
            with pointwise_products(outer) if use else nullcontext():
                y, _ = outer.stateless_call(weights, [], images)
            return keras.ops.sum(y**2), ()

        kernel = outer.trainable_variables[0].value
        (value, _), found = compiled(value_and_gradient(loss))(kernel, values)
        return keras.ops.convert_to_numpy(value), keras.ops.convert_to_numpy(found)

    for mine, theirs in zip(gradient(True), gradient(False), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5)
    replaced = keras.backend.backend() == "tensorflow"
    with pointwise_products(outer):
        assert [layer.name for layer in inner.layers if "convolution_op" in vars(layer)] == ["pointwise"] * replaced
    assert not any("convolution_op" in vars(layer) for layer in inner.layers)
