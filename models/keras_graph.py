"""The graph behind a Keras model. Keras has no public way to it: all that is private in Keras is touched here alone.

`tests/models/test_keras_graph.py` fails first, and says so, when another version of Keras has it otherwise.
"""

from dataclasses import dataclass
from typing import Any

from models import ModelError


@dataclass(frozen=True)
class Call:
    """One call of a layer or operation, or an input of the model."""

    operation: Any  # keras.Operation
    inputs: tuple[Any, ...]  # Keras tensors
    outputs: tuple[Any, ...]  # Keras tensors
    is_input: bool


def calls(model: Any) -> list[Call]:
    """All calls in the graph of a functional model, each after those it depends on.

    Raises:
        ModelError: the model has no graph.
    """
    if not hasattr(model, "_nodes_by_depth"):
        raise ModelError(f"only functional Keras models can be cut. Received: {type(model).__name__} {model.name!r}")
    depths = model._nodes_by_depth
    nodes = [node for depth in sorted(depths, reverse=True) for node in depths[depth]]
    return [
        Call(node.operation, tuple(node.input_tensors), tuple(node.output_tensors), node.is_input) for node in nodes
    ]


def functional(model: Any) -> Any:
    """The functional model that a built sequential model keeps inside; any other model itself."""
    return getattr(model, "_functional", None) or model


def made_by(tensor: Any) -> Any:
    """The layer or operation whose output a Keras tensor is."""
    return tensor._keras_history.operation


def continued(model: Any, x: Any) -> Any:
    """What a functional model with one input makes of a Keras tensor, its layers called one by one: no nested model.

    Models inside it that have one input are taken apart, too.
    """
    return functional(model)._run_through_graph(x, operation_fn=_taken_apart)


def _taken_apart(operation: Any) -> Any:
    inner = functional(operation)
    if not hasattr(inner, "_nodes_by_depth") or len(inner.inputs) != 1:
        return operation
    return lambda x, **_: continued(inner, x)
