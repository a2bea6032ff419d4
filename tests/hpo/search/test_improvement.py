"""Expected hypervolume improvement, against the hypervolume itself and against sampling."""

import math

import moocore
import numpy as np
import pytest

from hpo.search.improvement import expected_improvement

WORST = np.array([1.0, 1.0])


def volume(values, costs, worst_value=0.0, worst=WORST):
    return float(moocore.hypervolume(np.column_stack([-np.asarray(values), costs]), ref=[-worst_value, *worst]))


def random_front(seed, m=6, k=2):
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 1, m), rng.uniform(0, 1, (m, k))


def known(values, costs, front, worst_value=0.0, worst=WORST):
    values = np.asarray(values, float)
    return expected_improvement(values, np.zeros_like(values), np.asarray(costs, float), *front, worst_value, worst)


def test_the_first_point_adds_its_box():
    nothing = np.empty(0), np.empty((0, 2))
    assert known([0.5], [[0.2, 0.6]], nothing) == pytest.approx([0.5 * 0.8 * 0.4])
    assert known([0.5], [[0.2, 0.6]], nothing, worst_value=0.3) == pytest.approx([0.2 * 0.8 * 0.4])


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_a_known_value_adds_what_the_hypervolume_grows_by(seed, k):
    values, costs = random_front(seed, k=k)
    news, new_costs = random_front(seed + 100, 40, k)
    worst = np.ones(k)
    before = volume(values, costs, worst=worst)
    grown = [
        volume([*values, value], np.vstack([costs, cost]), worst=worst) - before
        for value, cost in zip(news, new_costs, strict=True)
    ]
    assert any(grown) and not all(grown)
    np.testing.assert_allclose(known(news, new_costs, (values, costs), worst=worst), grown, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_an_unsure_value_adds_the_mean_over_its_distribution(seed):
    """Over 20,001 equally likely values; the tails outside change the fifth digit."""
    values, costs = random_front(seed)
    quantiles = (np.arange(20_001) + 0.5) / 20_001
    from scipy.stats import norm

    mean, std, cost = 0.6, 0.2, np.array([[0.3, 0.4]])
    drawn = norm.ppf(quantiles, mean, std)
    expected = known(drawn, np.repeat(cost, len(drawn), axis=0), (values, costs)).mean()
    found = expected_improvement(np.array([mean]), np.array([std]), cost, values, costs, 0.0, WORST)
    assert expected > 0
    assert found == pytest.approx([expected], rel=1e-4)


def test_what_is_worse_than_the_reference_point_adds_nothing():
    front = random_front(0)
    assert known([0.9, 0.9, -0.1], [[1.0, 0.1], [0.1, 1.2], [0.1, 0.1]], front).tolist() == [0, 0, 0]


def test_points_that_are_dominated_change_nothing():
    values, costs = np.array([0.5, 0.8]), np.array([[0.2, 0.2], [0.6, 0.6]])
    more = np.array([0.5, 0.8, 0.4]), np.vstack([costs, [0.3, 0.3]])
    news = np.linspace(0, 1, 30), np.random.default_rng(0).uniform(0, 1, (30, 2))
    np.testing.assert_allclose(known(*news, (values, costs)), known(*news, more))


def test_of_one_normal_value_and_no_front_it_is_the_expected_excess():
    """E[(v - r)+] of a standard normal at 0 is 1 / sqrt(2 pi)."""
    found = expected_improvement(
        np.array([0.0]), np.array([1.0]), np.array([[0.0]]), np.empty(0), np.empty((0, 1)), 0.0, np.array([1.0])
    )
    assert found == pytest.approx([1 / math.sqrt(2 * math.pi)])
