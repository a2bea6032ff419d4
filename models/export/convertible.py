"""The same network made of what every converter knows.

Pictures that shrink are resized with antialiasing, which LiteRT and ONNX do not know (`ScaleAndTranslate`). Bilinear
resizing is linear and separable, so two products with constant matrices do the same. What is mixed stands last in each:
then a runtime has a dense layer to do, in a quarter of the time of a product for each row (`benchmarks/resizing.py`).
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np


class MatrixResizing(keras.layers.Layer):
    """(n, h, w, c) float32 to (n, rows, columns, c): rows and columns mixed by the two matrices.

    Args:
        rows: (new height, h).
        columns: (new width, w).
    """

    def __init__(self, rows: np.ndarray, columns: np.ndarray, **settings: Any):
        super().__init__(**settings)
        self._rows, self._columns = np.ascontiguousarray(rows.T), np.ascontiguousarray(columns.T)

    def call(self, pictures: Any) -> Any:
        """Resize a batch."""
        x = keras.ops.transpose(pictures, (0, 3, 2, 1))  # (n, c, w, h)
        x = keras.ops.matmul(x, self._rows)  # (n, c, w, new_height)
        x = keras.ops.transpose(x, (0, 1, 3, 2))  # (n, c, new_height, w)
        x = keras.ops.matmul(x, self._columns)  # (n, c, new_height, new_width)
        return keras.ops.transpose(x, (0, 2, 3, 1))

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """(n, rows, columns, c)."""
        return shape[0], self._rows.shape[1], self._columns.shape[1], shape[-1]


def convertible(model: keras.Model) -> keras.Model:
    """The model itself, or one that shares its weights and gives the same for pictures that shrink."""
    shrinking = (layer for layer in model.layers if isinstance(layer, keras.layers.Resizing) and layer.antialias)
    resize = next(shrinking, None)
    if resize is None:
        return model
    height, width = resize.input.shape[1:3]
    rows, columns = _matrix(resize.height, height), _matrix(resize.width, width)
    behind = keras.Model(resize.output, model.output)
    before = keras.Model(model.input, resize.input)
    inputs = keras.Input(model.input_shape[1:], dtype=model.inputs[0].dtype, name=model.inputs[0].name)
    return keras.Model(inputs, behind(MatrixResizing(rows, columns, name=resize.name)(before(inputs))), name=model.name)


def _matrix(new: int, old: int) -> np.ndarray:
    """(new, old) float32: what antialiased bilinear resizing of a line of pixels is multiplied with."""
    lines = np.eye(old, dtype="float32")[:, :, None, None]  # (old, old, 1, 1): a line of pixels each, one of them set
    resized = keras.layers.Resizing(new, 1, antialias=True)(lines, training=False)
    return np.ascontiguousarray(keras.ops.convert_to_numpy(resized)[:, :, 0, 0].T)
