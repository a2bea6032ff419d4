"""Against scikit-learn, which computes the same in another way."""

import warnings

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor

from hpo.search.scales import Likelihood, fitted
from hpo.search.surrogate import kernel_for


def observed(n, d=6):
    rng = np.random.default_rng(n)
    x = rng.random((n, d))
    x[1] = x[0]  # a trial that was repeated
    y = np.sin(4 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.1 * rng.normal(size=n)
    return x, (y - y.mean()) / y.std()


@pytest.mark.parametrize("n", [8, 40])  # one scale for all inputs, one for each
def test_the_likelihood_and_its_gradient_are_scikit_learns(n):
    x, y = observed(n)
    kernel = kernel_for(*x.shape)
    process = GaussianProcessRegressor(kernel, optimizer=None).fit(x, y)
    likelihood = Likelihood(x, y, len(kernel.theta) - 2)
    for theta in (kernel.theta, kernel.theta + np.linspace(-0.3, 0.5, len(kernel.theta))):
        value, gradient = likelihood.negative(theta)
        expected, slope = process.log_marginal_likelihood(theta, eval_gradient=True)
        assert value == pytest.approx(-expected)
        assert gradient == pytest.approx(-slope, abs=1e-9)


@pytest.mark.parametrize("n", [8, 40])
def test_so_are_the_scales(n):
    x, y = observed(n)
    kernel = kernel_for(*x.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = GaussianProcessRegressor(kernel).fit(x, y).kernel_
    assert fitted(kernel, x, y).theta == pytest.approx(expected.theta, abs=1e-4)


def test_scales_that_are_impossible_are_infinitely_unlikely():
    x = np.zeros((3, 2))
    value, gradient = Likelihood(x, np.ones(3), 1).negative(np.array([700.0, 0.0, -700.0]))
    assert value == np.inf and not gradient.any()
