"""Changed pictures: as a whole, mirrored only where that keeps their meaning, and the same from the same seed."""

import numpy as np
import pytest

from datasets.augmentation import NEVER_FLIPPED, VIEW_BATCH, light, shift_and_flip, view


def test_pictures_are_moved_as_a_whole_and_mirrored_only_when_asked():
    rng = np.random.default_rng(0)
    x = np.zeros((200, 16, 16, 1), "uint8")
    x[:, 8, 5] = 255  # one white pixel, left of the middle
    moved = shift_and_flip(flip=False)(x, rng)
    rows, columns = np.nonzero(moved[..., 0])[1:]
    assert len(rows) == 200
    assert (rows.min(), rows.max()) == (6, 10)  # an eighth of 16 pixels either way
    assert (columns.min(), columns.max()) == (3, 7)
    mirrored = shift_and_flip(flip=True)(x, rng)
    right = np.nonzero(mirrored[..., 0])[2] > 7
    assert 0.3 < right.mean() < 0.7
    assert (x[:, 8, 5] == 255).all()  # the data itself is left alone


def test_a_shifted_border_repeats_its_edge():
    x = np.full((50, 8, 8, 3), 77, "uint8")
    assert (shift_and_flip(flip=True)(x, np.random.default_rng(0)) == 77).all()


def pictures(n=60, side=16):
    return np.random.default_rng(0).integers(0, 256, (n, side, side, 1)).astype("uint8")


def all_of(batches):
    return np.concatenate(list(batches))


def test_a_view_is_the_same_from_the_same_seed():
    x, rows = pictures(), np.arange(60)

    def seen(number=0, seed=0, rows=rows):
        return all_of(view(x, rows, light("cifar10"), number, seed))

    np.testing.assert_array_equal(seen(), seen())
    assert (seen() != seen(number=1)).any()
    assert (seen() != seen(seed=1)).any()
    assert (seen() != x).any()
    assert seen().dtype == np.uint8


def test_a_view_keeps_the_order_of_its_rows():
    n = VIEW_BATCH + 500
    x = np.repeat(np.arange(n) % 251, 8 * 8).reshape(n, 8, 8, 1).astype("uint8")  # a picture of one colour stays it
    rows = np.random.default_rng(1).permutation(n)[: n - 7]
    batches = list(view(x, rows, light("cifar10"), 0, 0))
    assert [len(batch) for batch in batches] == [VIEW_BATCH, 493]
    np.testing.assert_array_equal(all_of(batches), x[rows])


def test_parts_of_a_view_are_not_changed_alike():
    x = np.repeat(pictures(1), 2 * VIEW_BATCH, axis=0)
    first, second = view(x, np.arange(2 * VIEW_BATCH), light("cifar10"), 0, 0)
    assert (first != second).any()


@pytest.mark.parametrize(("name", "flipped"), [*((name, False) for name in NEVER_FLIPPED), ("cifar10", True)])
def test_signs_are_never_mirrored(name, flipped):
    x = np.zeros((300, 16, 16, 1), "uint8")
    x[:, :, 3] = 255  # a line left of the middle, too far to be moved across
    columns = np.nonzero(all_of(view(x, np.arange(300), light(name), 0, 0))[..., 0])[2]
    assert (columns > 7).any() == flipped
    assert "digits" in NEVER_FLIPPED
