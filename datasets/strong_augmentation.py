"""Rotation, zoom, shear, brightness, contrast and saturation by Keras' preprocessing layers.

What happens to a picture is drawn here, by NumPy, and handed to the layers' `transform_images`: the result depends on
the generator alone, and on every backend the same is drawn. The layers are built once in a process.
"""

import functools
from typing import Any

import numpy as np

ROTATION, ZOOM, SHEAR = 15.0, 0.2, 0.15  # degrees, share of the side, pixels to the side for each pixel up
BRIGHTNESS, CONTRAST = 0.2, 0.3  # share of the range 0 to 255, share of the contrast
SATURATION = 2.0  # the most it is multiplied or divided by
_CHUNK = 64  # pictures at a time: bounds the memory, and is faster than many
_IDENTITY = np.eye(3)


def turn_and_tint(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Changed copies of (n, h, w, c) uint8 pictures, c 1 or 3; saturation only where there are colours.

    Rotation, zoom and shear are one matrix, so a picture is interpolated once. RandomRotation, RandomZoom and
    RandomShear one after the other take three times as long and blur it three times: of the squared differences of
    neighbouring pixels on CIFAR-10 they leave 0.42, the one matrix 0.70.
    """
    n, height, width, channels = x.shape
    matrices = _matrices(n, height, width, rng)
    shift = 255 * rng.uniform(-BRIGHTNESS, BRIGHTNESS, (n, 1, 1, 1))
    contrast = rng.uniform(1 - CONTRAST, 1 + CONTRAST, (n, 1, 1, 1))
    saturation = SATURATION ** rng.uniform(-1, 1, n)
    changed = np.empty_like(x)
    for start in range(0, n, _CHUNK):
        part = slice(start, start + _CHUNK)
        layers = _layers()
        steps = [
            (layers["turn"], {"rotation_matrix": matrices[part]}),
            (layers["contrast"], {"contrast_factor": contrast[part]}),
            (layers["saturation"], {"factor": saturation[part]}),
            (layers["brightness"], {"rgb_delta": shift[part]}),
        ]
        changed[part] = _apply(
            [step for step in steps if channels == 3 or step[0] is not layers["saturation"]], x[part]
        )
    return changed


def _apply(steps: list[tuple[Any, dict[str, np.ndarray]]], x: np.ndarray) -> np.ndarray:
    from keras import ops

    images = ops.convert_to_tensor(x, dtype="float32")
    for layer, drawn in steps:
        transformation = {name: ops.convert_to_tensor(values, dtype="float32") for name, values in drawn.items()}
        images = layer.transform_images(images, transformation, training=True)
    return np.rint(np.clip(ops.convert_to_numpy(images), 0, 255)).astype(np.uint8)


def _matrices(n: int, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """(n, 8): the first eight entries of matrices that map a pixel of the result to where it comes from.

    Rotation, shear and zoom about the middle of the picture, in this order.
    """
    angle = np.deg2rad(rng.uniform(-ROTATION, ROTATION, n))
    zoom = 1 + rng.uniform(-ZOOM, ZOOM, n)
    shear = rng.uniform(-SHEAR, SHEAR, n)
    rotate, slant, scale, centre, back = (np.tile(_IDENTITY, (n, 1, 1)) for _ in range(5))
    rotate[:, 0, 0], rotate[:, 0, 1] = np.cos(angle), -np.sin(angle)
    rotate[:, 1, 0], rotate[:, 1, 1] = np.sin(angle), np.cos(angle)
    slant[:, 0, 1] = shear
    scale[:, 0, 0] = scale[:, 1, 1] = zoom
    centre[:, :2, 2] = (width - 1) / 2, (height - 1) / 2
    back[:, :2, 2] = -centre[:, :2, 2]
    return (centre @ rotate @ slant @ scale @ back).reshape(n, 9)[:, :8]


@functools.cache
def _layers() -> dict[str, Any]:
    """The layers whose factors are given for each picture; those given here are never drawn from."""
    from keras import layers

    plain: dict[str, Any] = {"dtype": "float32", "data_format": "channels_last"}
    return {
        "turn": layers.RandomRotation(0.0, fill_mode="nearest", **plain),
        "contrast": layers.RandomContrast(0.0, **plain),
        # hue, saturation and value of a picture in 0..255 lie in 0..1, 0..1 and 0..255; the range is saturation's
        "saturation": layers.RandomSaturation(0.5, value_range=(0, 1), **plain),
        "brightness": layers.RandomBrightness(0.0, **plain),
    }
