"""models/training/loss.py: the cross-entropy of Keras, with and without smoothing, for one logit and for more."""

import keras
import numpy as np
import pytest

from models.training.loss import cross_entropy


def test_cross_entropy_is_that_of_keras():
    rng = np.random.default_rng(0)
    logits, y = rng.normal(size=(20, 4)).astype("float32"), rng.integers(0, 4, 20)
    smoothed = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    losses, hits = cross_entropy(keras.ops.convert_to_tensor(logits), y, 0.1)
    assert float(keras.ops.mean(losses)) == pytest.approx(float(smoothed(np.eye(4)[y], logits)), rel=1e-5)
    assert keras.ops.convert_to_numpy(hits).tolist() == (logits.argmax(1) == y).astype(float).tolist()
    binary = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1)
    losses, hits = cross_entropy(keras.ops.convert_to_tensor(logits[:, :1]), y % 2, 0.1)
    expected = float(binary((y % 2).astype("float32")[:, None], logits[:, :1]))
    assert float(keras.ops.mean(losses)) == pytest.approx(expected, rel=1e-5)
    assert keras.ops.convert_to_numpy(hits).tolist() == ((logits[:, 0] > 0) == (y % 2 > 0)).astype(float).tolist()
