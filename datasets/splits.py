"""Which pictures train and which validate: stratified, seeded, and the same for every study that asks alike.

Everything rests on one order of the pictures in which every beginning is stratified. A subset of any size is
a beginning of that order, so smaller subsets lie inside larger ones. Rounding each class's share by itself
(largest remainder) would not give that: there, a class can lose a seat when the total grows.
"""

from dataclasses import dataclass

import numpy as np

from datasets import DataError

MAX_DEFAULT_VAL = 10_000
_TEST_SEED = 0
# Streams drawn from one seed, kept apart so that the draw of one never shifts another's.
_SUBSET_STREAM, _VAL_STREAM, _TRAIN_STREAM = 0, 1, 2


@dataclass(frozen=True)
class Split:
    """Sorted int64 indices into the development part; disjoint."""

    train: np.ndarray
    val: np.ndarray


def _stratified_order(labels: np.ndarray, seed: int, stream: int, keep_one: bool = False) -> np.ndarray:
    """A permutation of range(len(labels)) of which every beginning is stratified.

    First comes one picture of each class; then the class furthest behind its share is always next (Webster's
    method of apportionment: picture j of a class of n stands at (j + 1/2) / n). With `keep_one` one picture of
    each class comes last, so that no beginning that leaves them can use a class up.
    """
    rng = np.random.default_rng([seed, stream])
    shuffled = rng.permutation(len(labels))
    classes, inverse, counts = np.unique(labels[shuffled], return_inverse=True, return_counts=True)
    by_class = np.argsort(inverse, kind="stable")
    starts = np.cumsum(counts) - counts
    rank = np.empty(len(labels), np.int64)  # place of a picture among those of its class
    rank[by_class] = np.arange(len(labels)) - np.repeat(starts, counts)
    size = counts[inverse]
    tier = np.where(rank == 0, 0, 1)
    if keep_one:
        tier = np.where((rank == size - 1) & (size > 1), 2, tier)
    turn = rng.permutation(len(classes))[inverse]  # who goes first among equals
    return shuffled[np.lexsort((turn, (rank + 0.5) / size, tier))]


def stratified_subset(labels: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Sorted int64 indices of exactly `size` pictures: each class by its share, at least one of each.

    With one seed a smaller subset lies inside a larger one. Raises DataError when `size` is larger than the
    number of pictures or smaller than the number of classes.
    """
    _check_size("the size of a subset", size, len(labels), len(np.unique(labels)), "")
    return np.sort(_stratified_order(labels, seed, _SUBSET_STREAM)[:size]).astype(np.int64)


def held_out_fifth(labels: np.ndarray) -> np.ndarray:
    """Sorted indices of the test split of a data set that brings none: a stratified fifth, always the same."""
    size = max(len(labels) // 5, len(np.unique(labels)))
    return stratified_subset(labels, size, _TEST_SEED)


def split(
    labels: np.ndarray, *, train_size: int | None, val_size: int | None, seed: int, fixed_val: np.ndarray | None = None
) -> Split:
    """Cut the development part into training and validation pictures.

    Args:
        labels: (n,) the development part's labels.
        train_size: pictures to train on; None for all that validation leaves.
        val_size: pictures to validate on; None for a fifth of all, at most 10,000, or all of `fixed_val`.
        seed: with one seed the validation split is the same whatever `train_size` is, and a smaller training
            set lies inside a larger one.
        fixed_val: indices of the validation split that the data set brings; validation is drawn from these
            alone, and training from the others alone.

    Raises:
        DataError: a size larger than what there is, or smaller than the number of classes.
    """
    labels = np.asarray(labels)
    n_classes = len(np.unique(labels))
    everything = np.arange(len(labels), dtype=np.int64)
    if fixed_val is None:
        _check_classes(labels)
        default = max(min(len(labels) // 5, MAX_DEFAULT_VAL), n_classes)
        size = default if val_size is None else val_size
        why = f" ({len(labels):,} pictures, of which at least one of each class must train)"
        _check_size("--val-size", size, len(labels) - n_classes, n_classes, why)
        val = _stratified_order(labels, seed, _VAL_STREAM, keep_one=True)[:size]
        rest = np.setdiff1d(everything, val)
    else:
        pool = np.unique(np.asarray(fixed_val, dtype=np.int64))
        size = len(pool) if val_size is None else val_size
        why = " (the validation pictures that the data set brings)"
        _check_size("--val-size", size, len(pool), len(np.unique(labels[pool])), why)
        val = pool[_stratified_order(labels[pool], seed, _VAL_STREAM)[:size]]
        rest = np.setdiff1d(everything, pool)
    size = len(rest) if train_size is None else train_size
    why = f" (of {len(labels):,} pictures, {len(labels) - len(rest):,} are for validation)"
    _check_size("--train-size", size, len(rest), len(np.unique(labels[rest])), why)
    train = rest[_stratified_order(labels[rest], seed, _TRAIN_STREAM)[:size]]
    return Split(train=np.sort(train).astype(np.int64), val=np.sort(val).astype(np.int64))


def _check_classes(labels: np.ndarray) -> None:
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) == 0 or counts.min() < 2:
        what = f"class {classes[counts.argmin()]} has one" if len(classes) else "there are none"
        raise DataError(f"at least 2 pictures of each class are needed, one to train and one to validate; {what}")


def _check_size(field: str, size: int, available: int, n_classes: int, why: str) -> None:
    if size > available:
        raise DataError(f"{field} must be at most {available:,}{why}. Received: {size}")
    n_classes = max(n_classes, 1)
    if size < n_classes:
        raise DataError(f"{field} must be at least {n_classes:,}, one picture for each class. Received: {size}")
