"""Vision transformers of keras-hub: patches, tokens and positions, for pictures of any side.

Position embeddings are learned for the patches of one side; for others they are resampled (bicubic), as DINOv2 and
Hugging Face's transformers do. (DINOv3 has none: `models.own.hub_rotary`.) What lies before the patches (class,
distillation and register tokens) is the same for all pictures, so it is one with its positions: a learned vector for
each token is added, to zeros where there is no patch.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np

from models import ModelError
from models.flops import register_flops
from models.keras_graph import all_layers, prefix_names


@dataclass(frozen=True)
class Embedding:
    """What makes tokens of a picture.

    Attributes:
        patches: the convolution, a step for each patch.
        tokens: (m, channels), which are before those of patches, with their positions added.
        positions: (n, channels), of patches at the side that they were learned at, row by row; None where none are
            added.
        antialias: whether resampling is antialiased.
        dropout: behind them, if there is one.
    """

    patches: Any
    tokens: np.ndarray
    positions: np.ndarray | None
    antialias: bool = False
    dropout: Any = None


def patch_of(model: Any) -> int:
    """Side of a patch in pixels, of a vision transformer; 1 of any other network.

    Raises:
        ModelError: its patches, or the pictures that its positions were learned for, are not square.
    """
    kinds = [layer for layer in all_layers(model) if type(layer).__name__ in EMBEDDINGS]
    if not kinds:
        return 1
    found = EMBEDDINGS[type(kinds[0]).__name__](kinds[0])
    (height, width), n = found.patches.kernel_size, 0 if found.positions is None else len(found.positions)
    if height != width or isqrt(n) ** 2 != n:
        raise ModelError(f"{model.name} must have square patches in square pictures. Received: {height}x{width}, {n}")
    return int(height)


def embedded(layer: Any, x: Any, **_: Any) -> Any:
    """What a layer that makes tokens of pictures makes of a Keras tensor, (None, tokens, channels), layer by layer.

    Args:
        layer: of a class in `EMBEDDINGS`.
        x: (None, height, width, 3), sides being multiples of the patch.
    """
    from keras.layers import Add, Concatenate, Cropping1D, Reshape, ZeroPadding1D
    from keras_hub.layers import PositionEmbedding

    prefix_names(layer)
    register_flops(PositionEmbedding, lambda call: (0, 0))
    found = EMBEDDINGS[type(layer).__name__](layer)
    maps = found.patches(x)
    rows, columns, channels = maps.shape[1:]
    before, n_patches = len(found.tokens), rows * columns
    patches = Reshape((n_patches, channels), name=f"{layer.name}_flat")(maps)
    y = ZeroPadding1D((before, 0), name=f"{layer.name}_before")(patches) if before else patches
    if found.positions is None:
        learned = PositionEmbedding(before, name=f"{layer.name}_learned")
        empty = Cropping1D((0, n_patches), name=f"{layer.name}_empty")(y)
        y = Concatenate(axis=1, name=f"{layer.name}_tokens")([learned(empty), patches])
        learned.set_weights([found.tokens])
    else:
        learned = PositionEmbedding(before + n_patches, name=f"{layer.name}_positions")
        y = Add(name=f"{layer.name}_tokens")([y, learned(y)])
        positions = resampled(found.positions, (rows, columns), found.antialias)
        learned.set_weights([np.concatenate([found.tokens, positions])])
    return found.dropout(y) if found.dropout else y


def resampled(positions: np.ndarray, grid: tuple[int, int], antialias: bool = False) -> np.ndarray:
    """Position embeddings of a square of patches (n, channels) for another grid, (rows * columns, channels).

    Bicubic, as Keras' backends do it, but by NumPy in float64: the same numbers on every machine, since the SHA-256 of
    weights is taken of them, too.
    """
    side, channels = isqrt(len(positions)), positions.shape[-1]
    if (side, side) == tuple(grid):
        return positions
    down, across = (_bicubic(side, n, antialias) for n in grid)
    square = positions.reshape(side, side, channels).astype("float64")
    rows = np.einsum("rh,hwd->rwd", down, square)
    return np.einsum("cw,rwd->rcd", across, rows).astype("float32").reshape(-1, channels)


def _bicubic(n: int, wanted: int, antialias: bool) -> np.ndarray:
    """What each of `wanted` new values takes of each of `n`, (wanted, n): cubic convolution (Keys 1981, a = -0.5)."""
    step = n / wanted
    centres = (np.arange(wanted) + 0.5) * step - 0.5
    x = np.abs(centres[:, None] - np.arange(n)) / (max(step, 1.0) if antialias else 1.0)
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    shares = np.where(x < 1, near, np.where(x < 2, far, 0.0))
    return shares / shares.sum(axis=1, keepdims=True)


def _values(variable: Any) -> np.ndarray:
    """(rows, channels) of (1, rows, channels)."""
    import keras

    values = np.asarray(keras.ops.convert_to_numpy(variable), "float32")
    return values.reshape(-1, values.shape[-1])


def _vit(layer: Any) -> Embedding:
    positions = _values(layer.position_embedding.embeddings)
    if not layer.use_class_token:
        return Embedding(layer.patch_embedding, positions[:0], positions)
    return Embedding(layer.patch_embedding, _values(layer.class_token) + positions[:1], positions[1:])


def _deit(layer: Any) -> Embedding:
    positions = _values(layer.position_embedding)
    tokens = np.concatenate([_values(layer.class_token), _values(layer.distillation_token)])
    return Embedding(layer.patch_embedding, tokens + positions[:2], positions[2:], dropout=layer.dropout)


def _dinov2(layer: Any) -> Embedding:
    positions = _values(layer.position_embeddings)
    tokens = _values(layer.cls_token) + positions[:1]
    if layer.num_register_tokens:  # these have no positions
        tokens = np.concatenate([tokens, _values(layer.register_tokens)])
    patches = layer.patch_embeddings.projection
    return Embedding(patches, tokens, positions[1:], layer.antialias_in_interpolation, layer.dropout)


def _dinov3(layer: Any) -> Embedding:
    tokens = _values(layer.cls_token)
    if layer.num_register_tokens:
        tokens = np.concatenate([tokens, _values(layer.register_tokens)])
    return Embedding(layer.patch_embeddings.projection, tokens, None)


def _siglip(layer: Any) -> Embedding:
    positions = _values(layer.position_embedding.embeddings)
    return Embedding(layer.patch_embedding, positions[:0], positions)


EMBEDDINGS = {
    "ViTPatchingAndEmbedding": _vit,
    "DeiTEmbeddings": _deit,
    "DINOV2Embedding": _dinov2,
    "DINOV3Embedding": _dinov3,
    "SigLIPVisionEmbedding": _siglip,
}
