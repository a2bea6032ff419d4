"""Vision transformers of keras-hub whose maps shrink from stage to stage: MiT and Swin.

MiT (Xie et al. 2021, arXiv 2105.15203) has attention whose keys and values are those of a smaller map; Swin (Liu et al.
2021, arXiv 2103.14030) attention within windows, every other time shifted, with a learned bias for each distance. None
adds positions to patches, so pictures of any side are taken whose maps come out even.

Blocks of Swin stay whole: the windows of all pictures of a batch are one dimension inside, which no graph of Keras with
one entry for each picture can hold.
"""

from __future__ import annotations

from itertools import accumulate
from math import isqrt, prod
from operator import mul
from typing import Any

from models.flops import Call
from models.formulas import ACTIVATIONS, OTHER_FORMULAS
from models.keras_graph import prefix_names


def sides_of_pyramid(model: Any) -> tuple[int, int] | None:
    """What the sides of pictures are multiples of, and the least of them, in pixels; None of any other network."""
    kind = type(model).__name__
    if kind == "SwinTransformerBackbone":
        step = model.patch_size * 2 ** (len(model.depths) - 1)
        return step, step * model.window_size  # a map smaller than its windows has no biases of that size
    if kind == "MiTBackbone":
        shrunk = list(accumulate(model.layerwise_strides, mul))
        reduced = max(by * ratio for by, ratio in zip(shrunk, model.layerwise_sr_ratios, strict=True))
        return shrunk[-1], -(-reduced // shrunk[-1]) * shrunk[-1]
    return None


def overlapping_patches(layer: Any, x: Any, **_: Any) -> Any:
    """Tokens (None, rows * columns, channels) of a map, by a convolution whose windows overlap.

    Args:
        layer: an OverlappingPatchingAndEmbedding of MiT.
        x: Keras tensor, (None, height, width, channels).
    """
    prefix_names(layer)
    return layer.norm(_flat(layer.proj(layer.padding(x))))


def patches(layer: Any, x: Any, **_: Any) -> Any:
    """Tokens (None, rows * columns, channels) of a picture.

    Args:
        layer: a PatchEmbedding of Swin, channels last.
        x: Keras tensor, (None, height, width, 3).
    """
    prefix_names(layer)
    tokens = _flat(layer.proj(x))
    return layer.norm(tokens) if layer.norm else tokens


def merged(layer: Any, x: Any, **size: Any) -> Any:
    """Tokens of patches twice as large, (None, H / 2 * W / 2, 2 channels).

    Args:
        layer: a PatchMerging of Swin.
        x: Keras tensor, (None, H * W, channels).
        size: H and W, rows and columns, both even.
    """
    from keras.layers import Permute, Reshape

    prefix_names(layer)
    rows, columns, channels = size["H"] // 2, size["W"] // 2, x.shape[-1]
    fours = Permute((1, 3, 4, 2, 5))(Reshape((rows, 2, columns, 2, channels))(x))  # each column from top to bottom
    return _flat(layer.reduction(layer.norm(Reshape((rows, columns, 4 * channels))(fours))))


def reduced_attention(layer: Any, x: Any, **_: Any) -> Any:
    """Attention among tokens, with the keys and values of a map that is smaller by `sr_ratio`.

    Args:
        layer: a SegFormerMultiheadAttention of MiT.
        x: Keras tensor, (None, tokens, channels), the tokens being those of a square.
    """
    from keras import ops
    from keras.layers import Permute, Rescaling, Reshape, Softmax

    prefix_names(layer)
    n_tokens, width = x.shape[1:]
    split = (layer.num_heads, width // layer.num_heads)
    queries = Permute((2, 1, 3))(Reshape((n_tokens, *split))(layer.q(x)))
    if layer.sr_ratio > 1:
        x = layer.norm(_flat(layer.sr(_square(x))))
    n_keys = x.shape[1]
    keys = Permute((2, 3, 1))(Reshape((n_keys, *split))(layer.k(x)))
    values = Permute((2, 1, 3))(Reshape((n_keys, *split))(layer.v(x)))
    scores = Softmax()(Rescaling(layer.scale)(ops.matmul(queries, keys)))  # (None, heads, tokens, keys)
    found = Permute((2, 1, 3))(ops.matmul(layer.dropout(scores), values))
    return layer.proj_drop(layer.proj(Reshape((n_tokens, width))(found)))


def mixed_layers(layer: Any, x: Any, **_: Any) -> Any:
    """Two dense layers with a depthwise convolution between them, by which tokens know where they are.

    Args:
        layer: a MixFFN of MiT.
        x: Keras tensor, (None, tokens, channels), the tokens being those of a square.
    """
    from keras import ops

    prefix_names(layer)
    return layer.fc2(ops.gelu(_flat(layer.dwconv(_square(layer.fc1(x)))), approximate=True))


def swin_block(call: Call) -> tuple[int, int]:
    """What a SwinTransformerBlock costs: multiply-accumulates of its dense layers and scores, and other FLOPs."""
    layer, (n_tokens, width) = call.layer, call.output
    hidden, heads, window = layer.mlp.hidden_features, layer.num_heads, layer.window_size
    asked = prod(-(-side // window) * window for side in layer.input_resolution)  # with what fills up the last windows
    scores = heads * asked * window**2
    macs = 4 * asked * width**2 + 2 * scores * width // heads + 2 * n_tokens * width * hidden
    norm, softmax = (OTHER_FORMULAS[kind](Call(layer, (), (1,))) for kind in ("LayerNormalization", "Softmax"))
    others = 2 * norm * n_tokens * width + 2 * n_tokens * width  # two normalisations and two sums
    others += asked * width + (1 + softmax + (layer.shift_size > 0)) * scores  # scaled; biases, softmax and mask
    others += ((3 * layer.attn.qkv_bias + 1) * asked + n_tokens) * width  # biases of dense layers
    return macs, others + (1 + ACTIVATIONS["gelu"]) * n_tokens * hidden


def _flat(maps: Any) -> Any:
    from keras.layers import Reshape

    rows, columns, channels = maps.shape[1:]
    return Reshape((rows * columns, channels))(maps)


def _square(tokens: Any) -> Any:
    from keras.layers import Reshape

    n_tokens, channels = tokens.shape[1:]
    return Reshape((isqrt(n_tokens), isqrt(n_tokens), channels))(tokens)
