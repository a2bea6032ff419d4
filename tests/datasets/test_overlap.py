"""Pictures that are in two parts."""

import numpy as np

from datasets.overlap import shared

RNG = np.random.default_rng(0)


def test_test_pictures_are_counted_that_are_among_the_others():
    images = RNG.integers(0, 256, (50, 8, 8, 3), dtype=np.uint8)
    test = RNG.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    assert shared(images, test) == 0
    test[[3, 7, 8]] = images[[5, 5, 49]]
    assert shared(images, test) == 3
    test[3, 0, 0, 0] ^= 1  # one value makes another picture
    assert shared(images, test) == 2
    assert shared(images[:, ::-1], images) == 0
    assert shared(images[:, ::-1], np.ascontiguousarray(images[:, ::-1])) == 50  # however they lie in memory
