"""How long the antialiased resizing of an exported model takes in LiteRT, by the order of its two products.

    PYTHONPATH=. python benchmarks/resizing.py

For 224 px down to 160, 128 and 32: the products as `models.export.convertible` has them, and as it had them before,
with the matrices on the left, so that there is a small product for each row of a picture.
"""

import tempfile
from pathlib import Path

import keras

from models.export.convertible import MatrixResizing, _matrix
from models.export.runtimes import export_one
from models.latency.deployed import measure_files

OWN, SIDES = 224, (160, 128, 32)


class LeftProducts(MatrixResizing):
    """The same, row by row."""

    def call(self, pictures):
        _, height, width, channels = pictures.shape
        new_height, new_width = self._rows.shape[1], self._columns.shape[1]
        x = keras.ops.matmul(self._rows.T, keras.ops.reshape(pictures, (-1, height, width * channels)))
        x = keras.ops.matmul(self._columns.T, keras.ops.reshape(x, (-1, width, channels)))
        return keras.ops.reshape(x, (-1, new_height, new_width, channels))


def main() -> None:
    """Convert, measure together, print."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for side in SIDES:
            matrix = _matrix(side, OWN)
            for layer in (LeftProducts, MatrixResizing):
                pictures = keras.Input((OWN, OWN, 3), dtype="uint8")
                resized = layer(matrix, matrix)(keras.layers.Rescaling(1.0)(pictures))
                paths[side, layer.__name__] = Path(folder) / f"{side}-{layer.__name__}.tflite"
                export_one(keras.Model(pictures, resized), "litert", paths[side, layer.__name__])
        latencies = dict(zip(paths, measure_files(list(paths.values()), "litert"), strict=True))
    for side in SIDES:
        before, now = (latencies[side, name].ms for name in ("LeftProducts", "MatrixResizing"))
        print(f"{OWN} to {side} px: {before:.3g} ms before, {now:.3g} ms now, {before / now:.1f} times faster")


if __name__ == "__main__":
    main()
