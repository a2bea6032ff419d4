"""Schedules against their closed forms and against Keras' own."""

import keras
import pytest

from models.training.schedules import LR_SCHEDULES, plateau_scale, scale, step_scales


@pytest.mark.parametrize(
    ("name", "progress", "expected"),
    [
        ("constant", 0.7, 1.0),
        ("reduce_on_plateau", 0.7, 1.0),
        ("cosine", 0.0, 1.0),
        ("cosine", 0.5, 0.5),
        ("cosine", 1.0, 0.0),
        ("warmup_cosine", 0.05, 0.5),
        ("warmup_cosine", 0.1, 1.0),
        ("warmup_cosine", 0.55, 0.5),
        ("warmup_cosine", 1, 0.0),
        ("exponential", 0.0, 1.0),
        ("exponential", 0.5, 0.1),
        ("exponential", 1.0, 0.01),
        ("step", 0.49, 1.0),
        ("step", 0.5, 0.1),
        ("step", 0.75, 0.01),
        ("one_cycle", 0.0, 1 / 25),
        ("one_cycle", 0.3, 1.0),
        ("one_cycle", 1.0, 1 / 250_000),
    ],
)
def test_closed_forms(name, progress, expected):
    assert scale(name, progress) == pytest.approx(expected, abs=1e-12)


def test_cosine_is_that_of_keras():
    keras_schedule = keras.optimizers.schedules.CosineDecay(1.0, decay_steps=1000)
    for step in (0, 137, 500, 999):
        assert scale("cosine", step / 1000) == pytest.approx(float(keras_schedule(step)), abs=1e-6)


@pytest.mark.parametrize("name", LR_SCHEDULES)
def test_every_step_has_a_rate(name):
    scales = step_scales(name, 37)
    assert len(scales) == 37
    assert all(0 < value <= 1 for value in scales)


def test_unknown_name_lists_the_choices():
    with pytest.raises(ValueError, match=r"one of constant, cosine, .*Received: 'linear'"):
        scale("linear", 0.5)


@pytest.mark.parametrize(
    ("losses", "factor"),
    [
        ([], 1),
        ([1.0], 1),
        ([1.0, 0.9, 0.8], 1),
        ([1.0, 1.1], 1),
        ([1.0, 1.1, 1.2], 0.5),
        ([1.0, 1.1, 1.2, 1.3], 0.5),
        ([1.0, 1.1, 1.2, 1.3, 1.4], 0.25),
        ([1.0, 1.1, 0.9, 1.0, 0.95], 0.5),
    ],
)
def test_plateau(losses, factor):
    assert plateau_scale(losses) == factor


def test_plateau_is_that_of_keras():
    losses = [1.0, 0.8, 0.9, 0.85, 0.7, 0.7, 0.71, 0.72, 0.6, 0.61]
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(1.0))
    callback = keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=2, min_delta=0)
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, loss in enumerate(losses):
        callback.on_epoch_end(epoch, {"val_loss": loss})
        assert plateau_scale(losses[: epoch + 1]) == float(model.optimizer.learning_rate)
