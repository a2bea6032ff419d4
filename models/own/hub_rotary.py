"""DINOv3 of keras-hub: attention whose queries and keys are turned by the positions of their patches.

Rotary embeddings (Su et al. 2021, arXiv 2104.09864) in two dimensions (Siméoni et al. 2025, arXiv 2508.10104): nothing
is learned of a position, so pictures of any side are taken as they are.
"""

from __future__ import annotations

from math import isqrt
from typing import Any

from models.keras_graph import made_by, opening, prefix_names


def rotary_encoder(
    layer: Any, x: Any, position_embeddings: tuple[Any, Any], num_prefix_tokens: int, **_: Any
) -> tuple[Any, dict[str, Any]]:
    """What an encoder makes of tokens, and what comes out of each block, block for block.

    keras-hub makes cosines and sines once, of the picture: they would be alive beside the tokens all the way, and the
    network could be cut nowhere. They depend on the number of patches alone, so each block makes its own.

    Args:
        layer: a DINOV3Encoder.
        x: Keras tensor, (None, tokens, channels), the patches being those of a square.
        position_embeddings: cosines and sines, as made by the layer of which each block gets a copy.
        num_prefix_tokens: those before the patches.
    """
    from keras.layers import Cropping1D, Reshape

    prefix_names(layer)
    rope, stages = made_by(position_embeddings[0]), {}
    side = isqrt(x.shape[1] - num_prefix_tokens)
    for number, block in enumerate(layer.layers, start=1):
        own = type(rope)(rope.hidden_dim, rope.num_heads, rope.rope_theta, patch_size=1, name=f"{block.name}_rotation")
        patches = Reshape((side, side, x.shape[-1]))(Cropping1D((num_prefix_tokens, 0))(x))
        x = opening(block)(x, position_embeddings=own(patches), num_prefix_tokens=num_prefix_tokens)
        stages[f"stage{number}"] = x
    return x, stages


def rotary_attention(layer: Any, x: Any, position_embeddings: tuple[Any, Any], num_prefix_tokens: int, **_: Any) -> Any:
    """Attention among tokens, the queries and keys of patches being turned.

    As keras-hub's own, whose reshaping a graph of Keras cannot hold, and whose configuration cannot be read again.

    Args:
        layer: a DINOV3Attention.
        x: Keras tensor, (None, tokens, channels).
        position_embeddings: cosines and sines, (patches, channels of a head) each.
        num_prefix_tokens: those before the patches, which are not turned.
    """
    from keras import ops
    from keras.layers import Permute, Rescaling, Reshape, Softmax

    prefix_names(layer)
    n_tokens, width = x.shape[1:]
    heads = Reshape((n_tokens, layer.num_heads, layer.head_dim))
    queries, keys = (
        _turned(heads(dense(x)), position_embeddings, num_prefix_tokens)
        for dense in (layer.query_dense, layer.key_dense)
    )
    queries, values = Permute((2, 1, 3))(queries), Permute((2, 1, 3))(heads(layer.value_dense(x)))
    scores = Softmax()(ops.matmul(Rescaling(layer.scale)(queries), Permute((2, 3, 1))(keys)))
    found = Reshape((n_tokens, width))(Permute((2, 1, 3))(ops.matmul(scores, values)))  # of (None, heads, tokens, _)
    return layer.output_dense(layer.dropout(found))


def _turned(x: Any, position_embeddings: tuple[Any, Any], before: int) -> Any:
    """(None, tokens, heads, channels), with each pair of channels of a patch turned by the angle of its position."""
    from keras import ops

    cosines, sines = (ops.expand_dims(ops.expand_dims(each, 0), 2) for each in position_embeddings)
    others, patches = ops.split(x, [before], axis=1)
    first, second = ops.split(patches, 2, axis=-1)
    quarter = ops.concatenate([ops.negative(second), first], axis=-1)
    turned = ops.add(ops.multiply(patches, cosines), ops.multiply(quarter, sines))
    return ops.concatenate([others, turned], axis=1)
