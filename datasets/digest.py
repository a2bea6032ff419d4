"""One number for a data set: equal digests mean equal pictures, labels and class names."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

_BLOCK_BYTES = 1 << 24


def finish_digest(hasher: Any, shape: tuple[int, ...], labels: np.ndarray, class_names: Sequence[str]) -> str:
    """Close a SHA-256 that has been fed all pictures in order; returns hex.

    Pictures come first so that they can be hashed as they are decoded, before it is known how many can be read.
    """
    hasher.update(json.dumps([list(shape), list(class_names)]).encode("ascii"))
    hasher.update(labels.astype("<i8").tobytes())
    return str(hasher.hexdigest())


def digest(images: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> str:
    """SHA-256 in hex over pictures (n, h, w, c) uint8, shape, class names and labels (n,)."""
    hasher = hashlib.sha256()
    rows = max(1, _BLOCK_BYTES // max(1, images[:1].nbytes))
    for start in range(0, len(images), rows):
        hasher.update(np.ascontiguousarray(images[start : start + rows]).data)
    return finish_digest(hasher, images.shape, labels, class_names)
