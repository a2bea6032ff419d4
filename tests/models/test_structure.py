"""Which networks are equal at inference."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import pytest
from keras import layers

from models.structure import structure_of


def network(
    units: int = 8,
    activation: str = "relu",
    dropout: float | None = 0.2,
    name: str | None = None,
    side: int = 8,
    kernel_initializer: str = "glorot_uniform",
    kernel_regularizer: str | None = None,
    nested: bool = False,
    twice: bool = False,
) -> keras.Model:
    inputs = keras.Input((side, side, 1), dtype="uint8")
    x = layers.Flatten()(layers.Rescaling(1 / 255)(inputs))
    dense = layers.Dense(
        units, activation, name=name, kernel_initializer=kernel_initializer, kernel_regularizer=kernel_regularizer
    )
    inner = layers.Dense(units)
    if nested:
        dense = keras.Sequential([dense])
    x = inner(inner(dense(x)) if twice else layers.Dense(units)(dense(x)))
    if dropout is not None:
        x = layers.Dropout(dropout)(x)
    return keras.Model(inputs, layers.Dense(3, "softmax")(x))


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"dropout": 0.5},
        {"dropout": None},
        {"name": "of_another_name"},
        {"name": "dense_1"},
        {"kernel_initializer": "he_normal", "kernel_regularizer": "l2"},
        {"nested": True},
    ],
    ids=str,
)
def test_equal_whatever_acts_in_training_alone(other: dict[str, Any]) -> None:
    assert structure_of(network(**other)) == structure_of(network()) is not None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"units": 16}),
        ({}, {"activation": "tanh"}),
        ({"activation": "relu", "name": "relu"}, {"activation": "tanh", "name": "tanh"}),
        ({}, {"side": 9}),
        ({}, {"twice": True}),  # as many layers, but with the weights of one
    ],
    ids=str,
)
def test_another_network_is_another(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert structure_of(network(**first)) != structure_of(network(**second))


def test_which_tensors_meet_matters() -> None:
    def crossed(join: Callable[[Any, Any], Any]) -> keras.Model:
        inputs = keras.Input((4,))
        a = layers.Dense(4)(inputs)
        b = layers.Dense(4)(a)
        return keras.Model(inputs, layers.Add()([b, join(inputs, a)]))

    assert structure_of(crossed(lambda inputs, a: a)) != structure_of(crossed(lambda inputs, a: inputs))
    assert structure_of(crossed(lambda inputs, a: a)) == structure_of(crossed(lambda inputs, a: a))


def test_arguments_of_calls_and_operations_matter() -> None:
    def clipped(most: float) -> keras.Model:
        inputs = keras.Input((4,))
        return keras.Model(inputs, keras.ops.clip(layers.Dense(4)(inputs) * 2.0, 0.0, most))

    assert structure_of(clipped(1.0)) != structure_of(clipped(6.0))
    assert structure_of(clipped(1.0)) == structure_of(clipped(1.0)) is not None


class Silent(layers.Layer):
    """Its configuration does not say what it computes."""

    def __init__(self, function: Callable[[Any], Any]):
        super().__init__()
        self.function = function

    def call(self, x: Any) -> Any:
        return self.function(x)


@keras.saving.register_keras_serializable("tests")
class Forgetful(layers.Layer):
    """Its configuration leaves out how often it does so."""

    def __init__(self, times: int = 1, **kwargs: Any):
        super().__init__(**kwargs)
        self.times = times

    def call(self, x: Any) -> Any:
        for _ in range(self.times):
            x = keras.ops.sin(x)
        return x

    def get_config(self) -> dict[str, Any]:
        return layers.Layer.get_config(self)


def twice(x: Any) -> Any:
    return 2 * x


@pytest.mark.parametrize(
    "layer",
    [
        lambda: Silent(lambda x: x + 1),
        lambda: Forgetful(9),
        lambda: layers.Activation(twice),
        lambda: layers.Dense(4, activation=twice),
        lambda: functools.partial(layers.Dropout(0.5), training=True),
    ],
    ids=["silent", "forgetful", "function", "activation", "dropout at inference"],
)
def test_nothing_is_known_where_a_configuration_may_not_say_all(layer: Callable[[], Any]) -> None:
    inputs = keras.Input((4,))
    assert structure_of(keras.Model(inputs, layer()(inputs))) is None


@pytest.mark.parametrize(
    ("first", "second"), [("float32", "float16"), ("float16", "mixed_float16"), ("float32", "float64")]
)
def test_the_kind_of_numbers_matters(first: str, second: str) -> None:
    def of(kind: str) -> str | None:
        inputs = keras.Input((4,))
        return structure_of(keras.Model(inputs, layers.Dense(4, dtype=kind)(layers.Dense(4)(inputs))))

    assert of(first) != of(second)
    assert of(first) == of(first) is not None


def test_the_model_stays_as_it_is() -> None:
    model = network()
    before = model.get_config()
    structure_of(model)
    assert model.get_config() == before
