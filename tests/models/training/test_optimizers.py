"""Optimizers on a flat vector: equal to Keras' own, and nothing moves where the rate is 0."""

import keras
import numpy as np
import pytest

from models.training.optimizers import MOMENTS, STEPS, correction

OURS = {"adam": lambda **o: keras.optimizers.Adam(**o), "sgd": lambda **o: keras.optimizers.SGD(momentum=0.9, **o)}


def steps(optimizer, weights, gradients, rates, decay):
    moments = tuple(np.zeros_like(weights) for _ in range(MOMENTS[optimizer]))
    for count, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
        rate = np.asarray(rate, "float32")
        scaled = (rate * correction(optimizer, count)).astype("float32")
        weights, moments = STEPS[optimizer](weights, moments, gradient, scaled, 1 - rate * np.float32(decay))
    return keras.ops.convert_to_numpy(weights), [keras.ops.convert_to_numpy(one) for one in moments]


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_it_is_what_keras_does(optimizer, decay):
    rng = np.random.default_rng(0)
    begun, gradients = rng.normal(size=50).astype("float32"), rng.normal(size=(4, 50)).astype("float32")
    variable = keras.Variable(begun)
    theirs = OURS[optimizer](learning_rate=0.05, weight_decay=decay or None)
    for gradient in gradients:
        theirs.apply([keras.ops.convert_to_tensor(gradient)], [variable])
    ours, _ = steps(optimizer, begun, gradients, [0.05] * 4, decay)
    np.testing.assert_allclose(ours, keras.ops.convert_to_numpy(variable), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_where_the_rate_is_zero_nothing_changes(optimizer):
    rng = np.random.default_rng(0)
    begun, gradients = rng.normal(size=6).astype("float32"), rng.normal(size=(3, 6)).astype("float32")
    rate = np.array([0, 0.1, 0, 0.1, 0, 0], "float32")
    ours, moments = steps(optimizer, begun, gradients, [rate] * 3, 0.5)
    still = rate == 0
    assert (ours[still] == begun[still]).all()
    assert (ours[~still] != begun[~still]).all()
    assert all((moment[still] == 0).all() for moment in moments)
    alone, _ = steps(optimizer, begun[~still], gradients[:, ~still], [0.1] * 3, 0.5)
    np.testing.assert_allclose(ours[~still], alone, rtol=1e-6)


def test_the_first_step_of_adam_is_the_rate():
    assert 0.1 * correction("adam", 1) == pytest.approx(0.1 * np.sqrt(0.001) / 0.1)
    assert correction("sgd", 1) == 1.0
    assert correction("adam", 10**6) == pytest.approx(1.0)
