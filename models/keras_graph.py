"""The graph behind a Keras model. Keras has no public way to it: all that is private in Keras is touched here alone.

`tests/models/test_keras_graph.py` fails first, and says so, when another version of Keras has it otherwise.
"""

import inspect
from collections.abc import Callable
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


def made_from(tensor: Any) -> tuple[Any, ...]:
    """The Keras tensors that went into the call whose output a Keras tensor is."""
    history = tensor._keras_history
    return tuple(history.operation._inbound_nodes[history.node_index].input_tensors)


def parts(layer: Any) -> tuple[Any, ...]:
    """The layers that a layer calls, if it is made of nothing else: no weights and no random numbers of its own."""
    if not hasattr(layer, "_flatten_layers") or layer._trainable_variables or layer._non_trainable_variables:
        return ()
    return () if layer._seed_generators else tuple(layer._flatten_layers(include_self=False, recursive=False))


def draws(layer: Any) -> bool:
    """Whether a layer has random numbers of its own."""
    return bool(getattr(layer, "_seed_generators", ()))


def all_layers(model: Any) -> list[Any]:
    """The layers of a model or layer and those that they are made of, to any depth; none of an operation."""
    return list(model._flatten_layers(include_self=False)) if hasattr(model, "_flatten_layers") else []


def opening(layer: Any) -> Callable[..., Any]:
    """The calls of the layers that a layer is made of, in place of its own; their names begin with its from then on."""

    def call(*args: Any, **kwargs: Any) -> Any:
        prefix_names(layer)
        others = {name: value for name, value in kwargs.items() if name != "training"}
        asks = "training" in inspect.signature(layer.call).parameters
        # None: it is decided when the network runs; the layer's own default may be False
        return layer.call(*args, **others, **({"training": None} if asks else {}))

    return call


def prefix_names(layer: Any) -> None:
    """The names of the layers that a layer is made of begin with its own: there may be others of the same name."""
    for part in layer._flatten_layers(include_self=False, recursive=False):
        if not part.name.startswith(f"{layer.name}_"):
            part.name = f"{layer.name}_{part.name}"


def continued(model: Any, x: Any, opened: Callable[[Any], Callable[..., Any] | None] = lambda layer: None) -> Any:
    """What a functional model with one input makes of a Keras tensor, its layers called one by one: no nested model.

    Models inside it that have one input are taken apart, too, and Identity layers, which do nothing, left out.

    Args:
        model: with one input and one output.
        x: Keras tensor that takes the place of its input.
        opened: of a layer that is made of others, what is called in its place, see `opening`; None where it stays. What
            that calls may be opened in turn.
    """
    import keras

    def instead(operation: Any) -> Callable[..., Any] | None:
        inner = functional(operation)
        if hasattr(inner, "_nodes_by_depth") and len(inner.inputs) == 1:
            return lambda x, **_: continued(inner, x, opened)
        return (lambda x, **_: x) if type(operation) is keras.layers.Identity else opened(operation)

    graph = functional(model)
    while True:
        y = graph._run_through_graph(x, operation_fn=lambda operation: instead(operation) or operation)
        if not any(opened(call.operation) for call in calls(graph)):
            return y
        graph = keras.Function(x, y)  # what was opened may call what can be opened in turn
