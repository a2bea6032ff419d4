"""models/keras_graph.py: what it takes from Keras is there in this version. If not, that module is the one to adapt."""

import keras
import pytest

from models import ModelError
from models.keras_graph import calls, continued, functional, made_by

ADAPT = f"Keras {keras.__version__} has its graph otherwise than 3.15: adapt models/keras_graph.py. Missing: "


@pytest.fixture(scope="module")
def model():
    x = keras.Input((8, 8, 3), name="picture")
    first = keras.layers.Conv2D(4, 1, name="first")(x)
    second = keras.layers.ReLU(name="second")(first)
    return keras.Model(x, keras.layers.Add(name="sum")([first, second]))


def test_keras_still_has_what_is_private(model):
    assert isinstance(getattr(model, "_nodes_by_depth", None), dict), ADAPT + "Functional._nodes_by_depth"
    node = next(iter(model._nodes_by_depth.values()))[0]
    for name in ("operation", "input_tensors", "output_tensors", "is_input"):
        assert hasattr(node, name), ADAPT + f"Node.{name}"
    assert hasattr(model.output, "_keras_history"), ADAPT + "KerasTensor._keras_history"
    assert hasattr(model.output._keras_history, "operation"), ADAPT + "KerasHistory.operation"
    sequential = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    assert hasattr(getattr(sequential, "_functional", None), "_nodes_by_depth"), ADAPT + "Sequential._functional"


def test_calls_come_after_those_they_depend_on(model):
    found = calls(model)
    assert [call.operation.name for call in found] == ["picture", "first", "second", "sum"]
    assert [call.is_input for call in found] == [True, False, False, False]
    assert found[0].outputs[0] is model.input
    assert found[1].inputs[0] is model.input
    assert [id(tensor) for tensor in found[3].inputs] == [id(found[1].outputs[0]), id(found[2].outputs[0])]
    assert found[3].outputs[0] is model.output


def test_the_operation_behind_a_tensor(model):
    assert made_by(model.output) is model.get_layer("sum")
    assert made_by(model.input).name == "picture"


def test_a_sequential_model_has_a_functional_one_inside(model):
    sequential = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="dense")])
    assert [call.operation.name for call in calls(functional(sequential))][-1] == "dense"
    assert functional(model) is model


def test_a_model_without_a_graph_is_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ModelError, match="only functional Keras models can be cut. Received: Own"):
        calls(Own(name="mine"))


def test_a_model_goes_on_from_a_tensor_with_its_own_layers(model):
    x = keras.Input(model.input.shape[1:], name="other")
    whole = keras.Model(x, continued(model, keras.layers.Rescaling(2.0, name="twice")(x)))
    assert [layer.name for layer in whole.layers] == ["other", "twice", "first", "second", "sum"]
    assert whole.get_layer("first") is model.get_layer("first")
