"""Vision transformers of keras-hub: patches, tokens and positions, for pictures of any side.

Position embeddings are learned for the patches of one side; for others they are resampled (bicubic), as DINOv2 and
Hugging Face's transformers do. What lies before the patches (class, distillation and register tokens) is the same for
all pictures, so it is one with its positions: a learned vector for each token is added, to zeros where there is no
patch.
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
        positions: (n, channels), of patches at the side that they were learned at, row by row.
        antialias: whether resampling is antialiased.
        dropout: behind them, if there is one.
    """

    patches: Any
    tokens: np.ndarray
    positions: np.ndarray
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
    (height, width), n = found.patches.kernel_size, len(found.positions)
    if height != width or isqrt(n) ** 2 != n:
        raise ModelError(f"{model.name} must have square patches in square pictures. Received: {height}x{width}, {n}")
    return int(height)


def embedded(layer: Any, x: Any, **_: Any) -> Any:
    """What a layer that makes tokens of pictures makes of a Keras tensor, (None, tokens, channels), layer by layer.

    Args:
        layer: of a class in `EMBEDDINGS`.
        x: (None, height, width, 3), sides being multiples of the patch.
    """
    from keras.layers import Add, Reshape, ZeroPadding1D
    from keras_hub.layers import PositionEmbedding

    prefix_names(layer)
    register_flops(PositionEmbedding, lambda call: (0, 0))
    found = EMBEDDINGS[type(layer).__name__](layer)
    maps = found.patches(x)
    rows, columns, channels = maps.shape[1:]
    before, n_tokens = len(found.tokens), len(found.tokens) + rows * columns
    y = Reshape((rows * columns, channels), name=f"{layer.name}_flat")(maps)
    if before:
        y = ZeroPadding1D((before, 0), name=f"{layer.name}_before")(y)
    learned = PositionEmbedding(n_tokens, name=f"{layer.name}_positions")
    y = Add(name=f"{layer.name}_tokens")([y, learned(y)])
    learned.set_weights([np.concatenate([found.tokens, resampled(found.positions, (rows, columns), found.antialias)])])
    return found.dropout(y) if found.dropout else y


def resampled(positions: np.ndarray, grid: tuple[int, int], antialias: bool = False) -> np.ndarray:
    """Position embeddings of a square of patches (n, channels) for another grid, (rows * columns, channels)."""
    import keras

    side, channels = isqrt(len(positions)), positions.shape[-1]
    if (side, side) == tuple(grid):
        return positions
    square = positions.reshape(1, side, side, channels)
    made = keras.ops.image.resize(
        square, grid, interpolation="bicubic", antialias=antialias, data_format="channels_last"
    )
    return np.asarray(keras.ops.convert_to_numpy(made)).reshape(-1, channels)


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


def _siglip(layer: Any) -> Embedding:
    positions = _values(layer.position_embedding.embeddings)
    return Embedding(layer.patch_embedding, positions[:0], positions)


EMBEDDINGS = {
    "ViTPatchingAndEmbedding": _vit,
    "DeiTEmbeddings": _deit,
    "DINOV2Embedding": _dinov2,
    "SigLIPVisionEmbedding": _siglip,
}
