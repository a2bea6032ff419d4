"""What a planner believes of the first objective: a Gaussian process over the parameters of trials.

Plain arrays and Optuna's distributions; see `hpo.search.planner`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution

from hpo.search.encoding import share_of
from hpo.search.scales import fitted

Params = Mapping[str, Any]
Space = Mapping[str, BaseDistribution]


@dataclass(frozen=True)
class View:
    """What is known of an assignment before a trial.

    Attributes:
        params: it as it will be suggested, what does not apply left out.
        costs: the objectives behind the first, less is better.
        extra: further numbers that the model of the first objective sees, of a size of about 1.
        expected: what the first objective is expected to be; the model learns the rest.
        prior: logarithm of how much is believed in it, 0 for the most.
        seconds: that a trial is expected to take, in any unit; not measured ones, by which no run would repeat another.
    """

    params: Params
    costs: Sequence[float]
    extra: Sequence[float] = ()
    expected: float = 0.0
    prior: float = 0.0
    seconds: float = 1.0

    @cached_property
    def key(self) -> tuple[tuple[str, Any], ...]:
        """By which assignments are told apart."""
        return tuple(sorted(self.params.items()))


@dataclass(frozen=True)
class Lesson:
    """What a trial reached: the first objective, after a share of its training in (0, 1]."""

    progress: float
    value: float


@dataclass(frozen=True)
class Fit:
    """The kernel of a Gaussian process, and the mean and the standard deviation of what it was fitted to."""

    kernel: Any
    centre: float
    scale: float


@cache
def _threads() -> Any:
    import sklearn.gaussian_process  # noqa: F401 - whose libraries are to be found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def one_thread() -> Any:
    """A context without threads for linear algebra.

    Matrices are small here, and where others use the cores, too, threads wait for each other: a fit that takes 0.3 s
    took 25 s on two busy cores.
    """
    return _threads().limit(limits=1, user_api="blas")


class Model:
    """A Gaussian process of what lies between the first objective and what was expected of it.

    Args:
        space: of the study.
        x: inputs of what was observed, (n, d).
        y: the first objective less what was expected of it, (n,).
        like: what was fitted before, whose kernel and scale are taken; else they are fitted here.
    """

    def __init__(self, space: Space, x: np.ndarray, y: np.ndarray, like: Fit | None = None):
        from sklearn.gaussian_process import GaussianProcessRegressor

        self._space, self._x, self._y = space, x, y
        if like is None:
            centre, scale = float(y.mean()), float(y.std()) or 1.0
            like = Fit(fitted(kernel_for(*x.shape), x, (y - centre) / scale), centre, scale)
        self.fit = like
        self._process = GaussianProcessRegressor(like.kernel, optimizer=None)
        self._process.fit(x, (y - like.centre) / like.scale)

    @classmethod
    def of(cls, space: Space, lessons: Sequence[tuple[View, Lesson]], like: Fit | None = None) -> "Model":
        """From what trials taught."""
        x = inputs(space, [view for view, _ in lessons], [lesson.progress for _, lesson in lessons])
        return cls(space, x, np.array([lesson.value - view.expected for view, lesson in lessons]), like)

    def believing(self, views: Sequence[View], values: np.ndarray) -> "Model":
        """The same, as if trials of these had ended with these values."""
        more = values - [view.expected for view in views]
        x = np.vstack([self._x, inputs(self._space, views)])
        return Model(self._space, x, np.append(self._y, more), self.fit)

    def expect(self, views: Sequence[View]) -> np.ndarray:
        """The mean of the first objective, (n,), when a trial comes to its end."""
        mean = self._process.predict(inputs(self._space, views))
        return mean * self.fit.scale + self.fit.centre + [view.expected for view in views]

    def predict(self, views: Sequence[View]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the first objective, (n,) each, when a trial comes to its end.

        Without the noise of a single trial, which is luck: what is known is not worth trying again.
        """
        mean, std = self._process.predict(inputs(self._space, views), return_std=True)
        std = np.sqrt(np.maximum(std**2 - self.fit.kernel.k2.noise_level, 0))
        return mean * self.fit.scale + self.fit.centre + [view.expected for view in views], std * self.fit.scale


def kernel_for(n: int, d: int) -> Any:
    """For n observations of d inputs.

    Distances grow with the root of the number of inputs, and so do the scales on which trials are alike (Hvarfner et
    al. 2024, arXiv 2402.02229). Few trials cannot tell one input's scale from another's.
    """
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    scales = math.sqrt(d) * (np.ones(d) if n >= 3 * d else 1.0)
    bounds = (math.sqrt(d) / 2, math.sqrt(d) * 20)
    return ConstantKernel(1.0, (0.05, 20)) * Matern(scales, bounds, nu=2.5) + WhiteKernel(0.05, (1e-3, 1))


def inputs(space: Space, views: Sequence[View], progress: Sequence[float] | None = None) -> np.ndarray:
    """(n, d): parameters as shares of their ranges, choices by one column each, what else is known, and progress."""
    columns = []
    for name, distribution in space.items():
        given = [view.params.get(name) for view in views]
        if isinstance(distribution, CategoricalDistribution):
            columns += [[float(value == choice) for value in given] for choice in distribution.choices]
        else:
            columns.append([0.5 if value is None else share_of(distribution, value) for value in given])
    columns += np.array([view.extra for view in views], float).reshape(len(views), -1).T.tolist()
    columns.append(np.log2(np.ones(len(views)) if progress is None else progress).tolist())
    return np.array(columns, float).T
