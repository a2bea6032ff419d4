"""Examples: their order, views and dropout noise, each from (seed, epoch) alone."""

import numpy as np
import pytest

from models.training.batches import DropoutNoise, Examples, keep_mask, padded, training_batches


def order(examples, seed, epoch):
    return np.concatenate([y for _, y in training_batches(examples, 2, seed, epoch)]).tolist()


def test_each_example_once_an_epoch_in_a_new_seeded_order():
    examples = Examples(np.arange(10)[:, None], np.arange(10), np.array([1, 3, 5, 7, 9]))
    first, second = order(examples, 0, 1), order(examples, 0, 2)
    assert sorted(first) == sorted(second) == [1, 3, 5, 7, 9]
    assert first != second
    assert order(examples, 0, 1) == first
    assert order(examples, 1, 1) != first


def test_the_order_is_by_position_so_features_are_seen_as_their_pictures_were():
    rows = np.array([1, 3, 5, 7, 9])
    pictures = Examples(np.arange(10), np.arange(10), rows)
    features = Examples(np.arange(10)[rows], np.arange(10)[rows], np.arange(5))
    assert order(pictures, 0, 1) == order(features, 0, 1)


def test_a_view_is_drawn_for_each_picture_and_epoch():
    n = 400
    views = tuple(np.stack([np.arange(n), np.full(n, view)], axis=1) for view in range(3))
    examples = Examples(views, np.arange(n), np.arange(n))

    def drawn(epoch):
        batches = list(training_batches(examples, 32, 0, epoch))
        for x, y in batches:
            assert (x[:, 0] == y).all()  # the right picture, in whichever view
        found = np.concatenate([x for x, _ in batches])
        return found[np.argsort(found[:, 0]), 1]

    first, second = drawn(1), drawn(2)
    assert np.bincount(first).min() > n / 5
    assert 0.5 < (first != second).mean() < 0.8  # two thirds expected
    assert (drawn(1) == first).all()
    assert examples.take(np.array([5]))[0].tolist() == [5, 0]  # without a draw the first view


def test_a_transform_gets_batches_and_the_same_randomness_each_time():
    examples = Examples(np.zeros((6, 1)), np.arange(6), np.arange(6))

    def noise(x, rng):
        return x + rng.random(x.shape)

    first, again = ([x for x, _ in training_batches(examples, 4, 0, 1, noise)] for _ in range(2))
    assert [len(x) for x in first] == [4, 2]
    assert all((a == b).all() for a, b in zip(first, again, strict=True))


def test_a_narrow_layer_sees_the_beginning_of_a_wide_ones_noise():
    narrow, wide = (DropoutNoise(3, 1, hidden=True).draw(4, width) for width in (128, 512))
    assert (wide[:, :128] == narrow).all()
    other = DropoutNoise(3, 2, hidden=True).draw(4, 128)
    assert (other != narrow).any()
    assert DropoutNoise(3, 1, hidden=False).draw(4, 1280).shape == (4, 1280)


@pytest.mark.parametrize("dropout", [0.0, 0.25, 0.6])
def test_the_mask_keeps_the_expectation(dropout):
    mask = keep_mask(DropoutNoise(0, 1, hidden=False).draw(200, 1000), dropout)
    assert mask.dtype == np.float32
    assert set(np.unique(mask).tolist()) <= {0.0, float(np.float32(1 / (1 - dropout)))}
    assert mask.mean() == pytest.approx(1, abs=0.01)
    assert (mask == 0).mean() == pytest.approx(dropout, abs=0.01)


def test_a_short_batch_is_filled_up_with_its_own_rows():
    x, y, mask = np.arange(6).reshape(3, 2), np.array([2, 0, 1]), np.array([[0.5], [1.0], [2.0]])
    filled, classes, real, masks = padded(5, x, y, mask)
    assert filled.tolist() == [[0, 1], [2, 3], [4, 5], [0, 1], [2, 3]]
    assert (classes.tolist(), classes.dtype) == ([2, 0, 1, 2, 0], np.int32)
    assert (real.tolist(), real.dtype) == ([1, 1, 1, 0, 0], np.float32)
    assert masks.tolist() == [[0.5], [1.0], [2.0], [0.5], [1.0]]


def test_a_whole_batch_stays_as_it_is():
    x, y = np.arange(6).reshape(3, 2), np.array([2, 0, 1])
    filled, classes, real = padded(3, x, y)
    assert (filled.tolist(), classes.tolist(), real.tolist()) == (x.tolist(), y.tolist(), [1, 1, 1])
