"""datasets/splits.py: sizes, shares, nesting and the words of each refusal."""

import itertools

import numpy as np
import pytest

from datasets import DataError
from datasets.splits import held_out_fifth, split, stratified_subset

BALANCED = np.repeat(np.arange(10), 50)
SKEWED = np.repeat([0, 1, 2, 3], [600, 300, 98, 2])


def test_subset_has_exact_size_and_each_class_by_its_share():
    chosen = stratified_subset(BALANCED, 100, seed=3)
    assert chosen.dtype == np.int64 and (np.diff(chosen) > 0).all()
    assert np.bincount(BALANCED[chosen]).tolist() == [10] * 10
    assert np.bincount(SKEWED[stratified_subset(SKEWED, 100, seed=0)]).tolist() == [59, 30, 10, 1]


@pytest.mark.parametrize("labels", [BALANCED, SKEWED], ids=["balanced", "skewed"])
def test_every_size_is_exact_holds_every_class_and_lies_in_the_next(labels):
    smaller: set[int] = set()
    for size in range(len(np.unique(labels)), len(labels) + 1, 7):
        chosen = stratified_subset(labels, size, seed=1)
        assert len(chosen) == size
        assert set(labels[chosen]) == set(labels)
        assert smaller <= set(chosen.tolist())
        shares = size * np.bincount(labels) / len(labels)
        assert (np.abs(np.bincount(labels[chosen]) - shares) <= 2).all()
        smaller = set(chosen.tolist())


def test_subset_depends_on_the_seed_alone():
    assert np.array_equal(stratified_subset(BALANCED, 60, seed=5), stratified_subset(BALANCED, 60, seed=5))
    assert not np.array_equal(stratified_subset(BALANCED, 60, seed=5), stratified_subset(BALANCED, 60, seed=6))


def test_subset_of_shuffled_labels_is_still_by_share():
    labels = np.random.default_rng(0).permutation(BALANCED)
    assert np.bincount(labels[stratified_subset(labels, 250, seed=0)]).tolist() == [25] * 10


@pytest.mark.parametrize(("size", "words"), [(501, "at most 500. Received: 501"), (9, "at least 10")])
def test_subset_refuses_sizes_that_cannot_be(size, words):
    with pytest.raises(DataError, match=words):
        stratified_subset(BALANCED, size, seed=0)


def test_default_split_is_a_fifth_and_the_rest():
    cut = split(BALANCED, train_size=None, val_size=None, seed=0)
    assert np.bincount(BALANCED[cut.val]).tolist() == [10] * 10
    assert np.array_equal(np.sort(np.concatenate([cut.train, cut.val])), np.arange(500))
    assert cut.train.dtype == cut.val.dtype == np.int64
    assert (np.diff(cut.train) > 0).all() and (np.diff(cut.val) > 0).all()


def test_default_validation_split_has_at_most_10000():
    cut = split(np.arange(60_000) % 10, train_size=None, val_size=None, seed=0)
    assert (len(cut.train), len(cut.val)) == (50_000, 10_000)


def test_validation_split_does_not_depend_on_train_size_and_training_sets_are_nested():
    cuts = [split(SKEWED, train_size=size, val_size=100, seed=7) for size in (50, 51, 333, 900)]
    for smaller, larger in itertools.pairwise(cuts):
        assert np.array_equal(smaller.val, larger.val)
        assert set(smaller.train) < set(larger.train)
    assert [len(cut.train) for cut in cuts] == [50, 51, 333, 900]


def test_validation_never_uses_a_class_up():
    labels = np.array([0] * 8 + [1, 1])
    cut = split(labels, train_size=None, val_size=8, seed=0)
    assert np.bincount(labels[cut.train]).tolist() == [1, 1]


def test_fixed_validation_split_is_used_whole_or_as_a_pool():
    fixed = np.arange(0, 500, 5)
    cut = split(BALANCED, train_size=40, val_size=None, seed=0, fixed_val=fixed)
    assert np.array_equal(cut.val, fixed)
    assert not set(cut.train) & set(fixed)
    part = split(BALANCED, train_size=40, val_size=20, seed=0, fixed_val=fixed)
    assert set(part.val) <= set(fixed) and len(part.val) == 20
    assert np.array_equal(part.train, cut.train)


@pytest.mark.parametrize(
    ("train", "val", "words"),
    [
        (401, 100, "--train-size must be at most 400 .* Received: 401"),
        (9, 100, "--train-size must be at least 10, one picture for each class. Received: 9"),
        (None, 491, "--val-size must be at most 490 .* Received: 491"),
        (None, 9, "--val-size must be at least 10"),
        (0, None, "--train-size must be at least 10"),
    ],
)
def test_split_refusals_name_the_field_and_what_there_is(train, val, words):
    with pytest.raises(DataError, match=words) as caught:
        split(BALANCED, train_size=train, val_size=val, seed=0)
    assert "\n" not in str(caught.value)


def test_fixed_validation_split_refuses_more_than_it_has():
    with pytest.raises(DataError, match=r"--val-size must be at most 100 .*brings"):
        split(BALANCED, train_size=None, val_size=101, seed=0, fixed_val=np.arange(0, 500, 5))


def test_a_class_of_one_picture_cannot_be_split():
    with pytest.raises(DataError, match="at least 2 pictures of each class"):
        split(np.array([0, 0, 0, 1]), train_size=None, val_size=None, seed=0)


def test_held_out_fifth_is_stratified_and_always_the_same():
    test = held_out_fifth(BALANCED)
    assert np.bincount(BALANCED[test]).tolist() == [10] * 10
    assert np.array_equal(test, held_out_fifth(BALANCED))
