"""Multiply-accumulates and FLOPs of a network, in closed form, from the shapes in its Keras graph.

1 MAC = 2 FLOPs, everywhere in this project. The headline number is the MACs of convolutions, dense layers and
attention, for one picture at inference, which is the convention of the papers (VGG16 15.5 G, ResNet50 3.86 G). All
else (bias, normalisation, activation, pooling, resizing) is counted in FLOPs and reported beside it: one per addition,
multiplication, comparison, and also per exp, erf, tanh, division or root.

Formulas are in one table from the class of a layer to a function (`models.formulas`), like fvcore's `flop_count.py`.
What costs nothing is listed too. A layer in neither is an error that names it, never zero, until its class is
registered (`register_flops`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from models import ModelError
from models.formulas import FREE, MAC_FORMULAS, OTHER_FORMULAS, Call, Shape, activation_flops
from models.keras_graph import calls, functional

FLOPS_PER_MAC = 2

Costs = dict[str, tuple[int, int]]  # kind -> (MACs, other FLOPs)
_registered: dict[type, Callable[[Call], tuple[int, int]]] = {}  # classes of users


@dataclass(frozen=True)
class Flops:
    """The cost of one picture at inference."""

    macs: int  # convolution, dense, attention
    other_flops: int  # all the rest
    by_kind: dict[str, dict[str, int]]  # layer kind -> {"macs", "flops"}; all kinds, so the sum of flops is everything

    @property
    def flops(self) -> int:
        """The headline number in FLOPs."""
        return FLOPS_PER_MAC * self.macs


def count(model: Any) -> Flops:
    """Counts every call in a functional or sequential model, nested models and layers called several times included.

    Raises:
        ModelError: a layer has no formula, or a size is not fixed.
    """
    kinds: dict[str, list[int]] = {}
    for call in _calls(model):
        for kind, (macs, other) in _cost(call).items():
            total = kinds.setdefault(kind, [0, 0])
            total[0] += macs
            total[1] += other
    by_kind = {
        kind: {"macs": macs, "flops": FLOPS_PER_MAC * macs + other}
        for kind, (macs, other) in sorted(kinds.items())
        if macs or other
    }
    return Flops(sum(macs for macs, _ in kinds.values()), sum(other for _, other in kinds.values()), by_kind)


def register_flops(kind: type, formula: Callable[[Call], tuple[int, int]]) -> None:
    """Let a layer class of your own be counted.

    Args:
        kind: the class; of a layer that Keras has, too, yours comes first.
        formula: from a call (its layer, the shapes in and out without the batch) to what one picture costs there:
            multiply-accumulates, which make the headline number, and other FLOPs.

    Raises:
        ModelError: `kind` is no class, or `formula` no function.
    """
    if not isinstance(kind, type) or not callable(formula):
        raise ModelError(f"register_flops takes a layer class and a function. Received: {kind!r}, {formula!r}")
    _registered[kind] = formula


def is_registered(kind: type) -> bool:
    """Whether a layer class has a formula of its own, by `register_flops`."""
    return kind in _registered


def without_formula(model: Any) -> list[tuple[str, str]]:
    """The first layer of each class that cannot be counted, and the name of its class."""
    found: dict[str, str] = {}
    for call in _calls(model):
        kind = type(call.layer)
        if kind not in _registered and kind.__name__ not in {*FREE, *MAC_FORMULAS, *OTHER_FORMULAS}:
            found.setdefault(kind.__name__, call.layer.name)
    return [(name, kind) for kind, name in found.items()]


def _calls(model: Any, entered: tuple[Shape, ...] | None = None) -> Iterator[Call]:
    """All calls of layers; `entered` are the shapes with which a nested model is called."""
    graph = functional(model)
    built = tuple(_shape(tensor, model) for tensor in graph.inputs)
    if entered not in (None, built):
        raise ModelError(f"nested model {model.name!r} was built for {built} but is called with {entered}")
    for call in calls(graph):
        if call.is_input:
            continue
        inputs = tuple(_shape(tensor, call.operation) for tensor in call.inputs)
        if getattr(call.operation, "layers", None):
            yield from _calls(call.operation, inputs)
        else:
            yield Call(call.operation, inputs, _shape(call.outputs[0], call.operation))


def _shape(tensor: Any, layer: Any) -> Shape:
    shape = tuple(tensor.shape[1:])
    if None in shape:
        raise ModelError(f"FLOPs need a fixed input size. Received: shape {shape} at {layer.name!r}")
    return shape


def _cost(call: Call) -> Costs:
    kind = type(call.layer).__name__
    if type(call.layer) in _registered:
        return {kind: _own_cost(call)}
    if kind in FREE:
        return {}
    if kind in MAC_FORMULAS:
        costs = {kind: (MAC_FORMULAS[kind](call), 0)}
        if getattr(call.layer, "use_bias", False):
            costs["bias"] = (0, call.n_out)
        return costs | {"activation": (0, activation_flops(call))}
    if kind in OTHER_FORMULAS:
        return {kind: (0, OTHER_FORMULAS[kind](call))}
    raise ModelError(f"no FLOPs formula for layer {call.layer.name!r} of class {kind}; see models.flops.register_flops")


def _own_cost(call: Call) -> tuple[int, int]:
    kind = type(call.layer)
    try:
        macs, other = _registered[kind](call)
        return int(macs), int(other)
    except Exception as error:  # whatever the user's code raises is the user's
        raise ModelError(
            f"the FLOPs formula of {kind.__name__} must give two numbers, multiply-accumulates and other FLOPs. "
            f"Received: {type(error).__name__}: {error}"
        ) from error
