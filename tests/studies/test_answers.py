"""Which pictures are right, and what that says of a difference."""

import dataclasses
import math

import numpy as np
import pytest

from models.training.recipe import pack
from studies.answers import right_of, standard_error


def answering(record, right):
    right = np.array(right, bool)
    return dataclasses.replace(record, val_right=pack(right), val_accuracy=float(right.mean()))


@pytest.fixture
def pair(make_record):
    """Of ten pictures the first has eight right, the second six; five both."""
    first, second = make_record(0, 0.0, 1.0, 10), make_record(1, 0.0, 2.0, 20)
    return answering(first, [1] * 8 + [0] * 2), answering(second, [1] * 5 + [0] * 4 + [1])


def test_packed_and_unpacked(pair):
    assert right_of(pair[0], 10).tolist() == [True] * 8 + [False] * 2


@pytest.mark.parametrize("text", ["", "no base64!", "AAAA", pack(np.ones(10, bool))])
def test_what_does_not_fit_is_not_believed(pair, text):
    """Not kept, not ours, of another number of pictures, of another accuracy."""
    assert right_of(dataclasses.replace(pair[0], val_right=text), 10) is None


def test_the_pictures_are_paired(pair):
    """Differences: three of 1, one of -1, six of 0; their mean is 0.2, their mean square 0.4."""
    assert standard_error(*pair, 10) == (pytest.approx(math.sqrt((0.4 - 0.04) / 10)), True)
    assert standard_error(pair[0], pair[0], 10) == (0.0, True)


def test_without_answers_accuracies_count_as_independent(pair):
    unknown = dataclasses.replace(pair[1], val_right="")
    assert standard_error(pair[0], unknown, 10) == (pytest.approx(math.sqrt((0.16 + 0.24 - 0.05 * 0) / 10)), False)
