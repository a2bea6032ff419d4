"""A data set as it is opened, and what a look at it tells."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class DatasetFacts:
    """What a look tells, before pictures are decoded.

    `name` is safe in file and study names (letters, digits, `.`, `_`, `-`). For a folder `height` and `width` are the
    median of its pictures' shorter sides until it is opened, then the size it was decoded to. `n_train` counts what
    training is cut from, and validation too where the data set brings no validation split of its own (`n_val` is
    None). `n_test` is None where there is no test split. `test_split` says in one sentence where it comes from.
    `skipped` counts the files left out: those that are no pictures and, once opened, the unreadable ones.
    """

    name: str
    class_names: tuple[str, ...]
    height: int
    width: int
    channels: int
    n_train: int
    n_val: int | None
    n_test: int | None
    source: str
    test_split: str
    skipped: int


@dataclass(frozen=True)
class Dataset:
    """The development part: all that a search may read."""

    facts: DatasetFacts
    images: np.ndarray  # (n, h, w, c) uint8, in memory or a read-only np.memmap; c is 1 or 3
    labels: np.ndarray  # (n,) int64
    fixed_val: np.ndarray | None  # sorted int64 indices of the validation split that the data set brings
    digest: str  # SHA-256 in hex over pictures, shape, class names and labels
    files: str = ""  # of a folder SHA-256 over the names, sizes and times of its files, whatever the side
