"""Changed pictures: as a whole, mirrored only where that keeps their meaning, and the same from the same seed."""

import numpy as np
import pytest

from datasets import DataError
from datasets.augmentation import (
    AUGMENTATIONS,
    NEVER_FLIPPED,
    VIEW_BATCH,
    augmentation,
    keeps_meaning_mirrored,
    light,
    shift_and_flip,
    strong,
    view,
)


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


def flipped_by(transform) -> bool:
    x = np.zeros((300, 16, 16, 1), "uint8")
    x[:, :, 2:4] = 255  # a bar left of the middle, too far to be moved across
    seen = all_of(view(x, np.arange(300), transform, 0, 0))[..., 0].astype(int)
    bright = seen > (seen.max((1, 2), keepdims=True) + seen.min((1, 2), keepdims=True)) / 2
    return bool((np.nonzero(bright)[2] > 10).any())


@pytest.mark.parametrize("kind", [light, strong])
@pytest.mark.parametrize(
    ("name", "class_names", "flipped"),
    [
        *((name, (), False) for name in NEVER_FLIPPED),
        ("mnist:3,5", (), False),
        ("mnist_3_5", (), False),
        ("letters", ("A", "b", "Ж"), False),
        ("cifar10", (), True),
        ("cifar10:cat,dog", ("cat", "dog"), True),
    ],
)
def test_signs_are_never_mirrored(kind, name, class_names, flipped):
    assert keeps_meaning_mirrored(name, class_names) == flipped
    assert flipped_by(kind(name, class_names)) == flipped


def test_data_sets_of_signs_are_known():
    assert {"digits", "mnist"} == set(NEVER_FLIPPED)
    assert keeps_meaning_mirrored("fashion_mnist") and keeps_meaning_mirrored("fake")
    assert keeps_meaning_mirrored("flowers", ("1", "2", "102"))


def test_kinds_by_their_names():
    assert AUGMENTATIONS == ("none", "light", "strong")
    assert augmentation("none", "cifar10") is None
    x = pictures()
    for name, same in (("light", light("cifar10")), ("strong", strong("cifar10"))):
        transform = augmentation(name, "cifar10")
        assert transform is not None
        np.testing.assert_array_equal(transform(x, np.random.default_rng(3)), same(x, np.random.default_rng(3)))
    with pytest.raises(DataError, match="must be one of none, light, strong. Received: weak"):
        augmentation("weak", "cifar10")


def test_strong_is_light_and_more():
    x = np.repeat(pictures(), 3, axis=3)
    seen = [all_of(view(x, np.arange(60), transform, 0, 0)) for transform in (light("cifar10"), strong("cifar10"))]
    assert (seen[0] != seen[1]).any((1, 2, 3)).all()
    np.testing.assert_array_equal(seen[1], all_of(view(x, np.arange(60), strong("cifar10"), 0, 0)))
    assert set(np.unique(seen[0])) <= set(np.unique(x))  # light moves pixels and makes no new values
