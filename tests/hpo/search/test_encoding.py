"""Parameters as shares of their ranges, and back."""

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from hpo.search.encoding import share_of, value_at

RATE = FloatDistribution(1e-5, 1e-1, log=True)
WIDTH = IntDistribution(0, 1024, step=128)


@pytest.mark.parametrize(
    ("distribution", "value", "share"),
    [
        (FloatDistribution(0.0, 0.6), 0.15, 0.25),
        (RATE, 1e-3, 0.5),
        (IntDistribution(1, 11), 6, 0.5),
        (WIDTH, 256, 0.25),
        (IntDistribution(3, 3), 3, 0.5),
    ],
)
def test_a_number_lies_in_its_range(distribution, value, share):
    assert share_of(distribution, value) == pytest.approx(share)


@pytest.mark.parametrize("distribution", [FloatDistribution(0.0, 0.6), RATE])
def test_there_and_back(distribution):
    for share in (0.0, 0.3, 1.0):
        value = value_at(distribution, share)
        assert distribution.low <= value <= distribution.high
        assert share_of(distribution, value) == pytest.approx(share)


@pytest.mark.parametrize(
    ("distribution", "values"),
    [
        (WIDTH, range(0, 1025, 128)),
        (IntDistribution(1, 4), range(1, 5)),
        (CategoricalDistribution(("a", "b", "c")), ("a", "b", "c")),
    ],
)
def test_every_value_has_the_same_part_of_the_shares(distribution, values):
    drawn = [value_at(distribution, share) for share in (np.arange(9000) + 0.5) / 9000]
    assert {value: drawn.count(value) for value in values} == dict.fromkeys(values, 9000 // len(values))
    assert value_at(distribution, 1.0) == values[-1]
    assert all(type(value) in (int, str) for value in drawn)
