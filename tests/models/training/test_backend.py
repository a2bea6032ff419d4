"""The training adapter: compiled functions and gradients are those of plain arithmetic."""

import keras
import numpy as np
import pytest
from keras import ops

from models.training.backend import compiled, forward, fused, value_and_gradient


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
