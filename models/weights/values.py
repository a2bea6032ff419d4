"""Weights of a model that is there: setting them, and a digest."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from models.cuts import leaves


def set_weights(model: Any, values: Sequence[np.ndarray]) -> None:
    """`model.set_weights` that also reaches Normalization layers (EfficientNet).

    They compute with constants taken from their weights, which Keras renews after loading a file but not in
    `set_weights`: without this the network would normalise with mean 0 and variance 1.
    """
    model.set_weights(list(values))
    for layer in model.layers:
        for leaf in leaves(layer):
            if hasattr(leaf, "finalize_state"):
                leaf.finalize_state()


def weights_digest(base: Any) -> str:
    """SHA-256 over all weights, their shapes and values, in order: 64 hex digits."""
    digest = hashlib.sha256()
    for weight in base.weights:
        value = np.ascontiguousarray(weight.numpy())
        digest.update(f"{value.dtype.str}{value.shape}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
