"""Layers of keras-hub: how they are taken apart, and what those cost that have weights of their own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from models.flops import Call, is_registered, register_flops
from models.keras_graph import all_layers, opening, parts, prefix_names
from models.own import hub_pyramids
from models.own.hub_rotary import rotary_attention, rotary_encoder
from models.own.hub_tokens import EMBEDDINGS, embedded

HOME = "keras_hub."  # with which the names of its modules begin


def register(model: Any) -> None:
    """Let the layers of a network of keras-hub, to any depth, be counted and saved."""
    import keras

    for layer in all_layers(model):
        kind = type(layer)
        if kind.__name__ not in FORMULAS or is_registered(kind) or not kind.__module__.startswith(HOME):
            continue
        register_flops(kind, FORMULAS[kind.__name__])
        if ">" not in keras.saving.get_registered_name(kind):
            # By its module: two families may have different layers of one name.
            keras.saving.register_keras_serializable(kind.__module__)(kind)


def name_activations(model: Any) -> None:
    """Put Keras' own GELU where a network of keras-hub has a function without a name, which cannot be saved safely."""
    import keras

    x = keras.ops.linspace(-3.0, 3.0, 13)
    gelu = keras.ops.convert_to_numpy(keras.activations.gelu(x, approximate=False))
    for layer in all_layers(model):
        function: Any = getattr(layer, "activation", None)
        unnamed = getattr(function, "__name__", "") == "<lambda>"
        if unnamed and np.allclose(keras.ops.convert_to_numpy(function(x)), gelu, atol=1e-6):
            layer.activation = keras.activations.gelu


def _each(flops: int) -> Callable[[Call], tuple[int, int]]:
    return lambda call: (0, flops * call.n_out)


FORMULAS: dict[str, Callable[[Call], tuple[int, int]]] = {
    "HGNetV2LearnableAffineBlock": _each(2),  # HGNetV2: a scale and a shift
    "LayerScale2d": _each(1),  # MobileNetV5
    "RmsNorm2d": _each(4),
    "DropPath": _each(0),
    "DINOV2LayerScale": _each(1),
    "DINOV3LayerScale": _each(1),
    "SwinTransformerBlock": hub_pyramids.swin_block,
    "DINOV3RopePositionEmbedding": lambda call: (0, 0),  # of no picture: the same for all
}


def opened(layer: Any) -> Callable[..., Any] | None:
    """What is called in place of a layer of keras-hub that is made of others; None where it stays whole, as any other.

    Layers of users that are made of layers stay whole: what their `call` does with shapes and `training` is not known.
    """
    if not type(layer).__module__.startswith(HOME):
        return None
    instead = INSTEAD.get(type(layer).__name__)
    if instead is not None:
        return functools.partial(instead, layer)
    return opening(layer) if parts(layer) and type(layer).__name__ not in FORMULAS else None


def _drop_path(layer: Any, x: Any, **_: Any) -> Any:
    """Stochastic depth; keras-hub's own does not run on TensorFlow where the size of batches is left open."""
    import keras

    return keras.layers.Dropout(layer.rate, noise_shape=(None, 1, 1))(x)


def _deit_encoder(layer: Any, x: Any, **_: Any) -> Any:
    """Block for block: each also returns attention scores, which are None, and no graph of Keras can hold that."""
    prefix_names(layer)
    for block in layer.encoder_layers:
        x, _scores = opening(block)(x)
    return layer.layer_norm(x)


def _multi_query_attention(layer: Any, x: Any, **_: Any) -> Any:
    """Attention over the pixels of a feature map, all heads with the same keys and values (arXiv 2404.10518).

    As keras-hub's own, whose reshaping a graph of Keras cannot hold, and whose configuration cannot be saved.

    Args:
        layer: a MultiQueryAttention2d.
        x: Keras tensor, (None, h, w, channels).
    """
    from keras import ops
    from keras.layers import Permute, Rescaling, Reshape, Softmax

    prefix_names(layer)
    queries, keys, values = (_through(group, x) for group in (layer.query_layers, layer.key_layers, layer.value_layers))
    height, width = queries.shape[1:3]
    queries = Permute((2, 1, 3))(Reshape((height * width, layer.num_heads, layer.key_dim))(queries))
    keys = Permute((1, 3, 2))(Reshape((1, prod(keys.shape[1:3]), layer.key_dim))(keys))
    values = Reshape((1, prod(values.shape[1:3]), layer.value_dim))(values)
    scores = Softmax()(ops.matmul(Rescaling(layer.scale)(queries), keys))  # (None, heads, queries, keys)
    found = Permute((2, 1, 3))(ops.matmul(layer.attn_drop_layer(scores), values))
    return _through(layer.output_proj_layers, Reshape((height, width, layer.num_heads * layer.value_dim))(found))


def _through(layers: Sequence[Any], x: Any) -> Any:
    for layer in layers:
        x = layer(x)
    return x


# What cannot be taken apart as it is, by its class: what is called with the layer and its input instead.
INSTEAD: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(EMBEDDINGS, embedded),
    "MultiQueryAttention2d": _multi_query_attention,
    "DeiTEncoder": _deit_encoder,
    "DINOV2DropPath": _drop_path,
    "DINOV3DropPath": _drop_path,
    "DINOV3Encoder": rotary_encoder,
    "DINOV3Attention": rotary_attention,
    "OverlappingPatchingAndEmbedding": hub_pyramids.overlapping_patches,
    "SegFormerMultiheadAttention": hub_pyramids.reduced_attention,
    "MixFFN": hub_pyramids.mixed_layers,
    "PatchEmbedding": hub_pyramids.patches,
    "PatchMerging": hub_pyramids.merged,
}
