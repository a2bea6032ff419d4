"""Random pictures for smoke tests: `fake`, or `fake:shape=64x64x3,classes=10,size=500` with any of the three options.

    shape=HEIGHTxWIDTHxCHANNELS    1 or 3 channels; default 32x32x3
    classes=N                      default 10
    size=N                         pictures in all, a fifth of them is the test split; default 500

A picture is noise plus a tint that belongs to its class, a weak signal: a network that learns at all learns more than
chance here, and nothing else can be concluded from its numbers. All is drawn from a fixed seed: the same name is the
same data set everywhere.
"""

import re
from dataclasses import replace

import numpy as np

from datasets import DataError
from datasets.catalogue import DATASETS, DatasetInfo
from datasets.wording import printable

MAX_SIDE, MAX_CLASSES, MAX_BYTES = 4096, 1000, 1 << 32
PER_CLASS = 3  # one each to train, to validate and to test
_TINT = 64  # grey levels from the darkest class to the brightest; the noise takes the rest of 256
_STREAM = {"train": 0, "test": 1, "tint": 2}  # drawn from one seed, kept apart


def fake_info(options: str | None) -> DatasetInfo:
    """The data set that `options`, the text after the colon, describe. Raises DataError in one line."""
    default = DATASETS["fake"]
    if options is None:
        return default
    given = _options(options)
    height, width, channels = _shape(given.get("shape", f"{default.height}x{default.width}x{default.channels}"))
    classes = _number("classes", given.get("classes", str(len(default.class_names))), 2, MAX_CLASSES)
    most = MAX_BYTES // (height * width * channels)
    size = _number("size", given.get("size", str(default.n_train + default.n_test)), PER_CLASS * classes, most)
    n_test = max(size // 5, classes)
    return replace(
        default,
        class_names=tuple(f"class_{number}" for number in range(classes)),
        height=height,
        width=width,
        channels=channels,
        n_train=size - n_test,
        n_test=n_test,
    )


def fake_name(info: DatasetInfo) -> str:
    """`fake`, or `fake_64x64x3_10_500`: shape, classes and size."""
    if info == DATASETS["fake"]:
        return info.name
    shape = f"{info.height}x{info.width}x{info.channels}"
    return f"{info.name}_{shape}_{len(info.class_names)}_{info.n_train + info.n_test}"


def draw(info: DatasetInfo, part: str) -> tuple[np.ndarray, np.ndarray]:
    """(n, h, w, c) uint8 and (n,) int64 of `part`, train or test; classes take turns."""
    n, classes = (info.n_train if part == "train" else info.n_test), len(info.class_names)
    labels = np.arange(n, dtype=np.int64) % classes
    levels = np.linspace(0, _TINT, classes).astype(np.uint8)
    rng = np.random.default_rng([0, _STREAM["tint"]])
    tints = np.stack([rng.permutation(levels) for _ in range(info.channels)], axis=-1)  # (classes, c)
    noise = np.random.default_rng([0, _STREAM[part]])
    images = noise.integers(0, 256 - _TINT, (n, info.height, info.width, info.channels), dtype=np.uint8)
    images += tints[labels][:, None, None]
    return images, labels


def _options(text: str) -> dict[str, str]:
    given: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or key not in ("shape", "classes", "size"):
            raise DataError(
                "fake: options are shape=HxWxC, classes=N and size=N, separated by commas. "
                f"Received: {printable(text)!r}"
            )
        if key in given:
            raise DataError(f"fake: {key} is given twice. Received: {printable(text)!r}")
        given[key] = value
    return given


def _shape(text: str) -> tuple[int, int, int]:
    match = re.fullmatch(r"([0-9]{1,4})x([0-9]{1,4})x([13])", text)
    sides = (int(match[1]), int(match[2])) if match else (0, 0)
    if match is None or not all(1 <= side <= MAX_SIDE for side in sides):
        raise DataError(
            f"fake: shape must be HEIGHTxWIDTHxCHANNELS, sides from 1 to {MAX_SIDE} and 1 or 3 channels, such as "
            f"64x64x3. Received: {printable(text)!r}"
        )
    return sides[0], sides[1], int(match[3])


def _number(key: str, text: str, least: int, most: int) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text) or not least <= int(text) <= most:
        why = f" ({PER_CLASS} for each class, at most 4 GiB of pictures)" if key == "size" else ""
        raise DataError(f"fake: {key} must be an integer from {least} to {most}{why}. Received: {printable(text)!r}")
    return int(text)
