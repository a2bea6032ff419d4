"""What each class of layer costs for one picture at inference, from its weights and the shapes in and out.

For `models.flops`, which says what is counted as what.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

from models import ModelError

Shape = tuple[int, ...]  # without the batch


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


def activation_flops(call: Call) -> int:
    """Of the activation that a layer ends with, if it has one.

    Raises:
        ModelError: nothing is known of that function.
    """
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
    **dict.fromkeys(("Activation", "activation"), activation_flops),
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
