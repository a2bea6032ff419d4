"""Seconds that augmentation takes for 1,000 pictures: ours, and what `light` would take by Keras' layers.

    PYTHONPATH=. python benchmarks/augmentation_time.py

Prints a row for each side and kind: all at once as stored views are made, and in batches of 32 as training asks.
"""

import functools
import time
from collections.abc import Callable

import numpy as np

from datasets.augmentation import Transform, light, strong


def keras_light() -> Transform:
    """Keras' own shifts and mirror images."""
    import keras

    generator = keras.random.SeedGenerator(0)
    layers = [keras.layers.RandomTranslation(1 / 8, 1 / 8, fill_mode="nearest"), keras.layers.RandomFlip("horizontal")]

    def transform(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        generator.state.assign(np.array([rng.integers(2**31), 0]))
        images = keras.ops.convert_to_tensor(x, dtype="float32")
        for layer in layers:
            drawn = layer.get_random_transformation(images, training=True, seed=generator)
            images = layer.transform_images(images, drawn, training=True)
        return np.rint(keras.ops.convert_to_numpy(images)).astype("uint8")

    return transform


def seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """The least of some runs, after one to warm up."""
    work()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return min(taken)


def in_parts(transform: Transform, x: np.ndarray, rng: np.random.Generator) -> None:
    for start in range(0, len(x), 32):
        transform(x[start : start + 32], rng)


def main() -> None:
    rng = np.random.default_rng(0)
    kinds = {"light": light("cifar10"), "Keras light": keras_light(), "strong": strong("cifar10")}
    print("side  kind         at once  by 32")
    for side in (32, 96):
        x = rng.integers(0, 256, (1000, side, side, 3), dtype=np.uint8)
        for name, transform in kinds.items():
            whole = seconds(functools.partial(transform, x, rng))
            parts = seconds(functools.partial(in_parts, transform, x, rng))
            print(f"{side:4}  {name:11} {whole:8.3f} {parts:6.3f}", flush=True)


if __name__ == "__main__":
    main()
