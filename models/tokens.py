"""Tokens of vision transformers: sequences of vectors, one for each patch of a picture, behind some that are for none.

A head stands on a feature map. So where a network ends with tokens, those of its patches are put where the patches lie,
and those before them (class, distillation and register tokens) are left out: what pooling gives is the mean over
patches. The first of those before is the class token, on which a head may stand instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from models import ModelError
from models.keras_graph import Call, calls, made_by, made_from

WHOLE_BLOCK = "SwinTransformerBlock"  # attention and what is behind it, in one layer
# By what attention is known, and among tokens also where it is made of dense layers.
ATTENTION = ("MultiHeadAttention", "GroupedQueryAttention", "Attention", WHOLE_BLOCK)
OF_DENSE_LAYERS = "Softmax"


def are_tokens(tensor: Any) -> bool:
    """Whether a Keras tensor is (None, tokens, channels)."""
    return len(tensor.shape) == 3


def as_map(tensor: Any, inputs: Any, name: str) -> Any:
    """Tokens as a feature map (None, rows, columns, channels); a feature map itself.

    Args:
        tensor: Keras tensor, (None, tokens, channels) or a feature map.
        inputs: Keras tensor that it is made of; the patches are those of the feature map that was last flattened on the
            way.
        name: of the network.

    Raises:
        ModelError: the tokens are fewer than patches, or there was no feature map.
    """
    if not are_tokens(tensor):
        return tensor
    import keras
    from keras.layers import Cropping1D, Reshape

    n_tokens, channels = tensor.shape[1:]
    grid = _grid(calls(keras.Function(inputs, tensor)), n_tokens)
    if grid is None or n_tokens < prod(grid):
        raise ModelError(
            f"{name} ends in tokens, {tuple(tensor.shape[1:])}, that are not those of the patches of a picture: "
            "one for each, behind a feature map (rows, columns, channels) of patches"
        )
    others = n_tokens - prod(grid)
    patches = Cropping1D((others, 0))(tensor) if others else tensor
    return Reshape((*grid, channels))(patches)


def through_map(tokens: Any, inputs: Any, name: str) -> tuple[Any, Any]:
    """Tokens taken apart and put together again: nothing is changed, but those of patches are a feature map on the way.

    Args:
        tokens: Keras tensor, (None, tokens, channels).
        inputs: Keras tensor that they are made of.
        name: of the network.

    Returns:
        The feature map (None, rows, columns, channels), and the tokens that are made of it.

    Raises:
        ModelError: as `as_map`.
    """
    from keras.layers import Concatenate, Cropping1D, Reshape

    patches = as_map(tokens, inputs, name)
    n_patches, channels = prod(patches.shape[1:3]), patches.shape[-1]
    flat = Reshape((n_patches, channels))(patches)
    if tokens.shape[1] == n_patches:
        return patches, flat
    return patches, Concatenate(axis=1)([Cropping1D((0, n_patches))(tokens), flat])


def tokens_of(patches: Any) -> Any | None:
    """The tokens that `as_map` made a feature map of; None where another layer made it."""
    from keras.layers import Cropping1D, Reshape

    if not isinstance(made_by(patches), Reshape):
        return None
    (tokens,) = made_from(patches)
    if isinstance(made_by(tokens), Cropping1D):
        (tokens,) = made_from(tokens)
    return tokens if are_tokens(tokens) else None


def class_token(patches: Any) -> Any | None:
    """The first of the tokens before those of patches, as a feature map of one cell, (None, 1, 1, channels).

    Args:
        patches: Keras tensor, what `as_map` made.

    Returns:
        None where there is none before them, and of a feature map that was not made of tokens.
    """
    from keras.layers import Cropping1D, Reshape

    tokens = tokens_of(patches)
    if tokens is None or not isinstance(made_by(made_from(patches)[0]), Cropping1D):
        return None
    n_tokens, channels = tokens.shape[1:]
    return Reshape((1, 1, channels))(Cropping1D((0, n_tokens - 1))(tokens))


def _grid(graph: Sequence[Call], n_tokens: int) -> tuple[int, ...] | None:
    """Rows and columns of patches; behind attention to a smaller map that is not the one that was flattened last."""
    found = [
        tuple(tensor.shape[1:3])
        for call in reversed(graph)
        for tensor in call.inputs
        if len(tensor.shape) == 4 and tuple(call.outputs[0].shape[1:]) == (prod(tensor.shape[1:3]), tensor.shape[3])
    ]
    return next((grid for grid in found if prod(grid) == n_tokens), found[0] if found else None)
