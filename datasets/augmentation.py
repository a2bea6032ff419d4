"""Augmentation of training pictures: changed on the fly for each epoch, or a fixed number of stored views.

The only kind so far is "light": each picture moved by up to an eighth of its side (edges repeated) and, where a mirror
image keeps its meaning, half of them mirrored (the usual one for CIFAR-10, He et al. 2016, section 4.2).
"""

from collections.abc import Callable, Iterator

import numpy as np

NEVER_FLIPPED = ("digits", "mnist")  # a mirrored digit is another sign, or none
VIEW_BATCH = 1000  # pictures changed from one generator

Transform = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def light(dataset: str) -> Transform:
    """The function (n, h, w, c) uint8, generator -> changed copies for a data set by its name."""
    return shift_and_flip(flip=dataset not in NEVER_FLIPPED)


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
