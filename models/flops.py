"""Multiply-accumulates and FLOPs of a network, in closed form, from the shapes in its Keras graph.

1 MAC = 2 FLOPs, everywhere in this project. The headline number is the MACs of convolutions, dense layers and
attention, for one picture at inference, which is the convention of the papers (VGG16 15.5 G, ResNet50 3.86 G). All
else (bias, normalisation, activation, pooling, resizing) is counted in FLOPs and reported beside it: one per addition,
multiplication, comparison, and also per exp, erf, tanh, division or root.

Formulas are in one table from the class of a layer to a function, like fvcore's `flop_count.py`. What costs nothing
is listed too. A layer in neither is an error that names it, never zero, until its class is registered
(`register_flops`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

from models import ModelError
from models.keras_graph import calls, functional

FLOPS_PER_MAC = 2

Shape = tuple[int, ...]  # without the batch
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


@dataclass(frozen=True)
class Call:
    """One call of a layer."""

    layer: Any
    inputs: tuple[Shape, ...]
    output: Shape

    @property
    def n_out(self) -> int:
        """Number of output values for one picture."""
        return prod(self.output)


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
        return costs | {"activation": (0, _activation(call))}
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


# Multiply-accumulates. Kernels are (spatial..., channels in per group, channels out).
def _conv(call: Call) -> int:
    return call.n_out * prod(call.layer.kernel.shape[:-1])


def _depthwise_conv(call: Call) -> int:
    return call.n_out * prod(call.layer.kernel.shape[:-2])  # one filter for each channel out


def _separable_conv(call: Call) -> int:
    *window, channels_in, multiplier = call.layer.depthwise_kernel.shape
    positions = call.n_out // call.layer.filters
    between = channels_in * multiplier
    return positions * between * (prod(window) + call.layer.filters)


def _conv_transpose(call: Call) -> int:
    *window, channels_out, _ = call.layer.kernel.shape
    return prod(call.inputs[0]) * prod(window) * channels_out  # every number in goes through the window


def _dense(call: Call) -> int:
    return prod(call.output[:-1]) * prod(call.layer.kernel.shape)


def _einsum_dense(call: Call) -> int:
    terms = call.layer.equation.replace(" ", "").split("->")[0].split(",")
    if "..." in call.layer.equation:
        raise ModelError(f"no FLOPs formula for an ellipsis in {call.layer.name!r}: {call.layer.equation}")
    sizes = dict(zip(terms[0][1:], call.inputs[0], strict=True))  # the first letter is the batch
    sizes |= dict(zip(terms[1], call.layer.kernel.shape, strict=True))
    return prod(sizes.values())


def _attention(call: Call) -> int:
    (queries, _), (keys, depth) = call.inputs[0], call.inputs[-1]  # query, value, optional key: (length, depth)
    return queries * keys * (depth + call.inputs[1][1])


def _multi_head_attention(call: Call) -> int:
    layer, query, value = call.layer, call.inputs[0], call.inputs[1]
    key = call.inputs[2] if len(call.inputs) > 2 else value
    heads, key_dim, value_dim = layer.num_heads, layer.key_dim, layer.value_dim
    (n_query, n_key), width = (prod(query[:-1]), prod(key[:-1])), call.output[-1]
    projections = n_query * query[-1] * key_dim + n_key * (key[-1] * key_dim + value[-1] * value_dim)
    scores = n_query * n_key * (key_dim + value_dim)
    return heads * (projections + scores + n_query * value_dim * width)


def _matmul(call: Call) -> int:
    return call.n_out * call.inputs[0][-1]


MAC_FORMULAS: dict[str, Callable[[Call], int]] = {
    **{f"Conv{n}D": _conv for n in (1, 2, 3)},
    **{f"Conv{n}DTranspose": _conv_transpose for n in (1, 2, 3)},
    **{f"DepthwiseConv{n}D": _depthwise_conv for n in (1, 2)},
    **{f"SeparableConv{n}D": _separable_conv for n in (1, 2)},
    "Dense": _dense,
    "EinsumDense": _einsum_dense,
    "Attention": _attention,
    "MultiHeadAttention": _multi_head_attention,
    "Matmul": _matmul,
}


ACTIVATIONS: dict[str, int] = {  # FLOPs for each number
    "linear": 0, "relu": 1, "relu6": 2, "leaky_relu": 2, "elu": 3, "selu": 4, "softplus": 2, "softsign": 3, "tanh": 1,
    "exponential": 1, "sigmoid": 4, "hard_sigmoid": 4, "silu": 5, "swish": 5, "hard_silu": 5, "hard_swish": 5,
    "gelu": 5, "gelu_approximate": 8, "softmax": 5, "log_softmax": 5, "mish": 4,
}  # fmt: skip


def _activation(call: Call) -> int:
    function = getattr(call.layer, "activation", None)
    if function is None:
        return 0
    name = getattr(function, "__name__", type(function).__name__)
    if name not in ACTIVATIONS:
        raise ModelError(f"no FLOPs formula for activation {name} of layer {call.layer.name!r}")
    return ACTIVATIONS[name] * call.n_out


def _each(flops: int) -> Callable[[Call], int]:
    return lambda call: flops * call.n_out  # so many FLOPs for each number that comes out


def _merge(call: Call) -> int:
    return max(len(call.inputs) - 1, 1) * call.n_out  # with one tensor, the other operand is a constant


def _pool(call: Call) -> int:
    window = call.layer.pool_size
    return call.n_out * (window ** (len(call.output) - 1) if isinstance(window, int) else prod(window))


def _adaptive_pool(call: Call) -> int:
    sides = zip(call.inputs[0][:2], call.output[:2], strict=True)  # (h, w, c); output i reads from i * n // m on
    read = [sum(-(-(i + 1) * n // m) - i * n // m for i in range(m)) for n, m in sides]
    return prod(read) * call.output[2]


def _read_all(call: Call) -> int:
    return prod(call.inputs[0])


def _resize(call: Call) -> int:
    neighbours = {"nearest": 0, "bilinear": 4, "bicubic": 16, "lanczos3": 36, "lanczos5": 100}[call.layer.interpolation]
    if call.inputs[0] == call.output or not neighbours:
        return 0
    return (2 * neighbours - 1) * call.n_out  # a weighted sum


OTHER_FORMULAS: dict[str, Callable[[Call], int]] = {
    "BatchNormalization": _each(2),  # at inference a scale and a shift
    "Normalization": _each(2),
    "Rescaling": _each(2),
    "CustomScaleLayer": _each(2),  # InceptionResNetV2: x + scale * y
    "LayerScale": _each(1),
    "LayerNormalization": _each(7),  # sum, centre, square, sum, divide, scale, shift
    "GroupNormalization": _each(7),
    "RMSNormalization": _each(4),
    "UnitNormalization": _each(3),
    **dict.fromkeys(("Activation", "activation"), _activation),
    **{
        name.title().replace("_", ""): _each(flops) for name, flops in ACTIVATIONS.items()
    },  # as operations, keras.ops.*
    "ReLU": lambda call: (1 if call.layer.max_value is None else 2) * call.n_out,
    "LeakyReLU": _each(2),
    "PReLU": _each(2),
    "ELU": _each(3),
    "Softmax": _each(5),
    **dict.fromkeys(("Add", "Subtract", "Multiply", "Maximum", "Minimum", "Average"), _merge),
    **dict.fromkeys(("Divide", "TrueDivide", "NotEqual", "Power", "Square", "Sqrt", "Negative", "Absolute"), _each(1)),
    "Clip": _each(2),
    "Mean": _read_all,
    **{f"{kind}Pooling{n}D": _pool for kind in ("Max", "Average") for n in (1, 2, 3)},
    **{f"Global{kind}Pooling{n}D": _read_all for kind in ("Max", "Average") for n in (1, 2, 3)},
    "AdaptiveAveragePooling2D": _adaptive_pool,
    **dict.fromkeys(("AveragePool", "MaxPool"), _pool),
    **dict.fromkeys(("Resizing", "Resize"), _resize),
    "UpSampling2D": _resize,
}

FREE = frozenset(
    (
        # nothing at inference
        "InputLayer", "Identity", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout",
        "GaussianDropout", "GaussianNoise", "StochasticDepth", "ActivityRegularization", "RandomFlip", "RandomCrop",
        "RandomRotation", "RandomTranslation", "RandomZoom", "RandomContrast", "RandomBrightness",
        # moves numbers
        "Flatten", "Reshape", "Permute", "RepeatVector", "Concatenate", "Flip", "GetItem", "Transpose", "Squeeze",
        "ExpandDims", "Stack", "Split", "Repeat", "BroadcastTo", "Pad", "Cast", "UpSampling1D", "UpSampling3D",
        *(f"{kind}{n}D" for kind in ("ZeroPadding", "Cropping") for n in (1, 2, 3)),
    )
)  # fmt: skip
