"""What `strong` does to a picture beyond shifts: turned, zoomed and sheared about its middle, and tinted."""

import numpy as np
import pytest

from datasets.strong_augmentation import BRIGHTNESS, ROTATION, SHEAR, ZOOM, turn_and_tint

RNG = np.random.default_rng(0)


def changed(x: np.ndarray, seed: int = 0) -> np.ndarray:
    return turn_and_tint(x, np.random.default_rng(seed))


@pytest.mark.parametrize("shape", [(5, 8, 8, 1), (5, 8, 8, 3), (70, 12, 20, 3), (1, 33, 17, 1), (0, 8, 8, 3)])
def test_from_the_generator_alone_and_in_the_same_form(shape):
    x = RNG.integers(0, 256, shape, dtype=np.uint8)
    before = x.copy()
    seen = changed(x)
    assert seen.shape == shape and seen.dtype == np.uint8
    assert np.array_equal(x, before)
    assert np.array_equal(seen, changed(x))
    assert not len(x) or (seen != changed(x, seed=1)).any()


def test_pictures_are_changed_each_in_its_own_way():
    x = np.repeat(RNG.integers(0, 256, (1, 16, 16, 3), dtype=np.uint8), 100, axis=0)
    assert len({picture.tobytes() for picture in changed(x)}) == 100


def test_a_longer_batch_is_not_changed_in_repeating_parts():
    x = np.repeat(RNG.integers(0, 256, (1, 16, 16, 1), dtype=np.uint8), 130, axis=0)
    seen = changed(x)
    assert (seen[:64] != seen[64:128]).any((1, 2, 3)).all()


def test_the_middle_stays_and_the_rest_turns_zooms_and_shears():
    n, side = 400, 41
    x = np.zeros((n, side, side, 1), "uint8")
    x[:, 18:23, 10:31] = 255  # a bar across the middle, 21 pixels long
    seen = changed(x)[..., 0].astype(float)
    low, high = seen.min((1, 2), keepdims=True), seen.max((1, 2), keepdims=True)
    weights = (seen - low) / (high - low)
    total = weights.sum((1, 2))
    rows, columns = np.mgrid[:side, :side] - 20.0
    for offsets in (rows, columns):
        assert np.abs((weights * offsets).sum((1, 2)) / total).max() < 0.7
    spread = [(weights * a * b).sum((1, 2)) / total for a, b in ((columns, columns), (columns, rows))]
    angles = np.rad2deg(np.arctan2(spread[1], spread[0]))
    assert 10 < np.abs(angles).max() < ROTATION + np.rad2deg(SHEAR)
    assert abs(angles.mean()) < 2
    lengths = np.sqrt(12 * spread[0]) / 21
    assert 0.6 < lengths.min() < 1 - ZOOM / 2 and 1 + ZOOM / 2 < lengths.max() < 1.5


def test_edges_are_repeated():
    x = np.full((100, 16, 16, 3), 77, "uint8")
    flat = changed(x)
    assert (flat == flat[:, :1, :1]).all()


def test_brightness_and_contrast():
    flat = changed(np.full((500, 4, 4, 1), 128, "uint8"))[:, 0, 0, 0].astype(int) - 128
    assert -255 * BRIGHTNESS - 1 < flat.min() < -40 and 40 < flat.max() < 255 * BRIGHTNESS + 1
    halves = np.full((500, 40, 40, 1), 100, "uint8")
    halves[:, :, 20:] = 150
    seen = changed(halves)[:, 20, :, 0].astype(int)
    steps = seen[:, 35] - seen[:, 5]
    assert 35 <= steps.min() < 40 and 60 < steps.max() <= 65


def test_colours_are_changed_and_grey_stays_grey():
    grey = changed(np.repeat(RNG.integers(0, 256, (50, 16, 16, 1), dtype=np.uint8), 3, axis=3)).astype(int)
    assert np.abs(grey - grey[..., :1]).max() <= 1
    flat = np.broadcast_to(np.array([120, 140, 160], "uint8"), (500, 4, 4, 3))
    spread = np.ptp(changed(flat)[:, 0, 0].astype(int), axis=1)
    assert 18 <= spread.min() < 25 and 60 < spread.max() <= 82


def test_black_and_white_do_not_wrap_round():
    x = np.zeros((200, 8, 8, 3), "uint8")
    x[:, 4:] = 255
    seen = changed(x)
    assert seen[:, 0].max() < 95 and seen[:, -1].min() > 160
