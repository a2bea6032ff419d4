"""Augmentation of training pictures: changed on the fly for each epoch, or a fixed number of stored views.

`light` moves each picture by up to an eighth of its side (edges repeated) and, where a mirror image keeps its meaning,
mirrors half of them (the usual one for CIFAR-10, He et al. 2016, section 4.2). `strong` also turns, zooms, shears and
changes colours, see `datasets.strong_augmentation`. All of it happens to uint8 pictures before a network sees them:
there is none at inference, and nothing of it in FLOPs, latency or an exported model.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from datasets import DataError
from datasets.strong_augmentation import turn_and_tint
from datasets.subset import base_name

AUGMENTATIONS = ("none", "light", "strong")
NEVER_FLIPPED = ("digits", "mnist")  # a mirrored digit is another sign, or none
VIEW_BATCH = 1000  # pictures changed from one generator

Transform = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def augmentation(name: str, dataset: str, class_names: Sequence[str] = ()) -> Transform | None:
    """The function (n, h, w, c) uint8, generator -> changed copies of that name; None for none. Raises DataError.

    `dataset` is its name, with or without chosen classes; for `class_names` see `keeps_meaning_mirrored`.
    """
    if name not in AUGMENTATIONS:
        raise DataError(f"--augment must be one of {', '.join(AUGMENTATIONS)}. Received: {name}")
    if name == "none":
        return None
    return light(dataset, class_names) if name == "light" else strong(dataset, class_names)


def keeps_meaning_mirrored(dataset: str, class_names: Sequence[str] = ()) -> bool:
    """False for digits and letters: the data sets `NEVER_FLIPPED`, and classes whose names are all one character long.

    `dataset` may be `mnist:3,5`, or the `mnist_3_5` by which `DatasetFacts` name it.
    """
    base = base_name(dataset)
    if any(base == name or base.startswith(f"{name}_") for name in NEVER_FLIPPED):
        return False
    return not class_names or not all(len(name) == 1 and name.isalnum() for name in class_names)


def light(dataset: str, class_names: Sequence[str] = ()) -> Transform:
    """Shifts and, where `keeps_meaning_mirrored`, mirror images: exact copies of pixels, in NumPy.

    Keras' RandomTranslation and RandomFlip would take 17 times as long at 32 px and 16 times at 96 px: 1,000 pictures
    in batches of 32 took 0.010 and 0.051 s here, 0.167 and 0.819 s there (two busy cores, TensorFlow;
    `PYTHONPATH=. python benchmarks/augmentation_time.py`).
    """
    return shift_and_flip(flip=keeps_meaning_mirrored(dataset, class_names))


def strong(dataset: str, class_names: Sequence[str] = ()) -> Transform:
    """`light`, then `turn_and_tint`. It needs Keras, which is imported when the function is first called.

    1,000 pictures in batches of 32 took 0.23 s at 32 px and 1.4 s at 96 px (`light`: 0.010 and 0.051 s), on JAX 0.33
    and 1.9 s; on the machine and by the command that `light` names.
    """
    move = light(dataset, class_names)

    def transform(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # (n, h, w, c) uint8
        return turn_and_tint(move(x, rng), rng)

    return transform


def shift_and_flip(flip: bool) -> Transform:
    """Each picture moved by up to an eighth of its side, edges repeated, half of them mirrored if `flip`."""

    def transform(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # (n, h, w, c) uint8
        n, height, width, _ = x.shape
        pad = max(1, height // 8)
        padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode="edge")
        moved = np.empty_like(x)
        for i, (dy, dx) in enumerate(rng.integers(0, 2 * pad + 1, (n, 2))):
            moved[i] = padded[i, dy : dy + height, dx : dx + width]
        mirrored = (rng.random(n) < 0.5) & flip
        moved[mirrored] = moved[mirrored, :, ::-1]
        return moved

    return transform


def view(images: np.ndarray, rows: np.ndarray, transform: Transform, number: int, seed: int) -> Iterator[np.ndarray]:
    """Batches of the pictures `rows`, in their order, changed once and for all: view `number` of them from the seed."""
    for start in range(0, len(rows), VIEW_BATCH):
        yield transform(images[rows[start : start + VIEW_BATCH]], np.random.default_rng([seed, number, start]))
