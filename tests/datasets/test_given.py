"""Data sets that a process was given, in place of a folder that is not on its machine."""

import numpy as np
import pytest

from datasets import DataError, given
from datasets.dataset import Dataset, DatasetFacts
from datasets.registry import check_room, inspect, open_dataset

LOOK = DatasetFacts("photos", ("cat", "dog"), 8, 8, 3, 4, None, None, "pictures in photos", "none", 0)
NAME = "/on/another/machine/photos"


def data(side):
    images = np.full((4, side, side, 3), side, np.uint8)
    return Dataset(LOOK, images, np.array([0, 0, 1, 1]), None, "d" * 64)


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    given.withdraw()


def test_it_is_found_under_its_name_at_its_side():
    for side in (8, 16):
        given.give(given.Given(NAME, LOOK, side, data(side)))
    assert inspect(NAME, None) == LOOK
    for side in (8, 16):
        assert open_dataset(NAME, None, None, side).images.shape == (4, side, side, 3)
    check_room(NAME, None, (8, 16))  # nothing is decoded here, so there is room


def test_what_was_not_given_is_looked_for_as_ever():
    given.give(given.Given(NAME, LOOK, 8, data(8)))
    with pytest.raises(DataError, match="is neither a known name nor a folder"):
        open_dataset(NAME, None, None, 16)
    with pytest.raises(DataError, match="is neither a known name nor a folder"):
        inspect(NAME + "s", None)
    given.withdraw()
    with pytest.raises(DataError, match="is neither a known name nor a folder"):
        open_dataset(NAME, None, None, 8)
