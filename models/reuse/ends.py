"""Pooled activations behind many blocks of a network by one pass over the pictures, into the store of features."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import keras
import numpy as np

from models.build import pool
from models.reuse.activations import ActivationStore, FeatureOverflow, Key
from models.reuse.features import BATCH
from models.reuse.frozen import run_frozen


def pooled_at(
    inputs: keras.KerasTensor, tensors: Sequence[keras.KerasTensor], pooling: str, n: int
) -> Callable[[np.ndarray], list[np.ndarray]]:
    """A function from pictures (m, h, w, c) uint8 to what a head stands on at each tensor, (m, channels).

    It will be run on `n` pictures.
    """
    outputs = [pool(pooling, tensor, f"pool_of_end_{number}") for number, tensor in enumerate(tensors)]
    return run_frozen(keras.Model(inputs, outputs), n, BATCH)


def gather(
    run: Callable[[np.ndarray], list[np.ndarray]], pictures: Iterable[np.ndarray], on_step: Callable[[int], None]
) -> list[np.ndarray]:
    """What `pooled_at` gives for all pictures, (n, channels) float32 each, in batches of one size: one trace.

    Args:
        run: from `pooled_at`.
        pictures: (m, h, w, c) uint8 in batches of any size.
        on_step: called with the number of pictures that are done.
    """
    found: list[list[np.ndarray]] = []
    done = 0
    for batch in pictures:
        for start in range(0, len(batch), BATCH):
            x = batch[start : start + BATCH]
            short = BATCH - len(x)
            padded = np.concatenate([x, np.repeat(x[-1:], short, axis=0)]) if short else x
            found.append([one[: len(x)] for one in run(padded)])
            done += len(x)
            on_step(done)
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]


def keep(store: ActivationStore, features: Mapping[Key, np.ndarray]) -> bool:
    """Put features into the store, for the trials to come; False where it has no room for them."""
    for key, values in features.items():

        def produce(values: np.ndarray = values) -> Iterator[np.ndarray]:
            return iter([values])

        try:
            try:
                store.get(key, values.shape, produce)
            except FeatureOverflow:
                store.get(replace(key, dtype="float32"), values.shape, produce)
        except OSError:  # no room, or a folder that may only be read: they are computed again
            return False
    return True
