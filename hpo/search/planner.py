"""A sampler for studies that know all objectives but the first before a trial, and minimise them.

It knows nothing of this project: Optuna, NumPy, SciPy, scikit-learn and moocore are all that it needs.

What a network costs follows from its architecture; how accurate it becomes does not. So the sampler models the first
objective only, by a Gaussian process over the parameters, and proposes, of many random assignments and of neighbours of
the best, the one whose expected hypervolume improvement for each expected second is largest, given its exact costs
(`hpo.search.improvement`). Related: Guinet et al. 2020 (arXiv 2011.11456, cheap objectives beside a costly one),
Buckingham et al. 2023 (arXiv 2302.01310, objectives that are evaluated apart), Daulton et al. 2023 (ICML, hypervolume
knowledge gradient).

What is believed of good parameters weighs less with every trial (Hvarfner et al. 2022, πBO, arXiv 2204.11051). Trials
under way count with what the model expects of them (the Kriging believer, Ginsbourger et al. 2010). Trials that ended
early teach as much as they reached, since how far a trial came is one more input of the model.

    def look(params):
        return View(params, costs=[latency(params), flops(params)])

    optuna.create_study(directions=["maximize", "minimize", "minimize"], sampler=PlannerSampler(space, look, seed=0))
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hpo.search.encoding import share_of, value_at
from hpo.search.improvement import expected_improvement

Params = Mapping[str, Any]
Space = Mapping[str, BaseDistribution]

POOL, NEIGHBOURS = 600, 200  # assignments to choose from
STEP, CHANGED = 0.15, 0.3  # of a neighbour: the standard deviation as a share of the range, and how many change
LEAST_LESSONS, MOST_LESSONS = 4, 300  # the model's effort grows with their cube
PRIOR_WEIGHT = 5.0  # trials, after which what is believed counts once
MARGIN = 0.1  # of the reference point, beyond the largest cost, as a share of the range


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


@dataclass(frozen=True)
class Lesson:
    """What a trial reached: the first objective, after a share of its training in (0, 1]."""

    progress: float
    value: float


def last_value(trial: FrozenTrial) -> list[Lesson]:
    """What a trial teaches that was brought to its end."""
    return [Lesson(1.0, trial.values[0])] if trial.state == TrialState.COMPLETE else []


class PlannerSampler(optuna.samplers.BaseSampler):
    """Proposes by expected hypervolume improvement for each second, given exact costs.

    Args:
        space: every parameter that a trial may suggest.
        look: what is known of an assignment, its costs in the units of the study; None where it is not allowed, or
            where parameters are missing, as those of a trial are that is still being asked for.
        seed: of the random assignments; same seed and trials, same proposal.
        fixed: parameters that are given.
        usual: assignments that are always among those to choose from.
        lessons: what a trial teaches.
        least: by how much the first objective has to be better to count. What was told is the luckiest of its like,
            and where trials are cheap, hoping to be a little luckier would otherwise be worth trial after trial.
    """

    def __init__(
        self,
        space: Space,
        look: Callable[[Params], View | None],
        *,
        seed: int | None = None,
        fixed: Params | None = None,
        usual: Sequence[Params] = (),
        lessons: Callable[[FrozenTrial], Sequence[Lesson]] = last_value,
        least: float = 0.0,
    ):
        self._space, self._look, self._fixed = dict(space), look, dict(fixed or {})
        self._lessons, self._usual, self.least = lessons, usual, least
        self._rng = np.random.default_rng(seed)
        self._random = optuna.samplers.RandomSampler(seed)

    def reseed_rng(self) -> None:
        """For runs beside each other in one process."""
        self._rng = np.random.default_rng()
        self._random.reseed_rng()

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All of it: parameters are proposed together.

        Raises:
            ValueError: the study has no second objective, or one that is maximised.
        """
        behind = study.directions[1:]
        if not behind or StudyDirection.MAXIMIZE in behind:
            raise ValueError(
                "the planner needs a first objective and others behind it that are minimised. "
                f"Received: {', '.join(direction.name.lower() for direction in study.directions)}"
            )
        return self._space

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A parameter that the space does not have, or of which nothing is left that is allowed, at random."""
        if param_name in self._fixed:
            return self._fixed[param_name]
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The best of the pool; nothing, and so random values, if none is allowed."""
        sign = 1.0 if study.directions[0] == StudyDirection.MAXIMIZE else -1.0
        states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)  # those that failed teach nothing
        others = study.get_trials(deepcopy=False, states=states)
        trials = [other for other in others if other.number != trial.number and other.params]
        seen = [(other, view) for other in trials if (view := self._look(other.params)) is not None]
        failed = study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
        again = [view for other in failed if (view := self._look(other.params)) is not None]  # nor are they repeated
        pool = self._pool([*again, *(view for _, view in seen)], _best(trials, sign))
        if not pool:
            return {}
        scores = self._scores(pool, seen, sign)
        return dict(pool[int(np.argmax(scores))].params)

    def _pool(self, tried: Sequence[View], best: Sequence[Params]) -> list[View]:
        """Allowed assignments that were not tried, each once."""
        drawn: list[Params] = [
            {name: value_at(each, self._rng.random()) for name, each in self._space.items()} for _ in range(POOL)
        ]
        drawn += self._usual
        drawn += [self._neighbour(best[number % len(best)]) for number in range(NEIGHBOURS if best else 0)]
        found = {_key(view.params): view for one in drawn if (view := self._look({**one, **self._fixed})) is not None}
        for view in tried:
            found.pop(_key(view.params), None)
        return list(found.values())

    def _neighbour(self, params: Params) -> dict[str, Any]:
        changed = self._rng.random(len(self._space)) < CHANGED
        changed[self._rng.integers(len(changed))] = True
        found = dict(params)
        for (name, distribution), change in zip(self._space.items(), changed, strict=True):
            share, step = self._rng.random(), self._rng.normal(0, STEP)
            if name not in params or (change and isinstance(distribution, CategoricalDistribution)):
                found[name] = value_at(distribution, share)
            elif change:
                found[name] = value_at(distribution, float(np.clip(share_of(distribution, params[name]) + step, 0, 1)))
        return found

    def _scores(self, pool: Sequence[View], seen: Sequence[tuple[FrozenTrial, View]], sign: float) -> np.ndarray:
        """(pool,): the more, the better."""
        lessons = [(view, lesson) for trial, view in seen for lesson in self._lessons(trial)]
        done = [trial.values for trial, _ in seen if trial.state == TrialState.COMPLETE]
        prior, seconds = np.array([view.prior for view in pool]), np.array([view.seconds for view in pool])
        if len(lessons) < LEAST_LESSONS or not done:
            return prior + self._rng.gumbel(size=len(pool))  # a draw from what is believed
        model = _Model.of(self._space, lessons[-MOST_LESSONS:])
        mean, std = model.predict(pool)
        values, costs = [told[0] for told in done], [told[1:] for told in done]
        running = [view for trial, view in seen if trial.state == TrialState.RUNNING]
        if running:
            believed, _ = model.predict(running)
            values, costs = [*values, *believed], [*costs, *(view.costs for view in running)]
            mean, std = model.believing(running, believed).predict(pool)
        scaled = _scaled(np.array([*costs, *(view.costs for view in pool)], float))
        front_values = sign * np.array(values)
        # The worst that is believed of any: by the worst that was told, a cheap end that is open is worth nothing.
        worst = min(float(front_values.min()), float((sign * mean).min()))
        gain = expected_improvement(
            sign * mean,
            std,
            scaled[len(costs) :],
            front_values + self.least,
            scaled[: len(costs)],
            worst,
            np.full(scaled.shape[1], 1 + MARGIN),
        )
        if not gain.any():  # all that is left is worse than the worst: what is believed decides
            return prior - np.log(seconds)
        with np.errstate(divide="ignore"):
            return np.log(gain) - np.log(seconds) + prior * PRIOR_WEIGHT / len(done)


class _Model:
    """A Gaussian process of what lies between the first objective and what was expected of it.

    Args:
        space: of the study.
        x: inputs of what was observed, (n, d).
        y: the first objective less what was expected of it, (n,).
        like: a model that was fitted before, whose kernel and scale are taken; else they are fitted here.
    """

    def __init__(self, space: Space, x: np.ndarray, y: np.ndarray, like: "_Model | None" = None):
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor

        self._space, self._x, self._y = space, x, y
        self.centre: float = like.centre if like else float(y.mean())
        self.scale: float = like.scale if like else float(y.std()) or 1.0
        process = GaussianProcessRegressor(like.kernel, optimizer=None) if like else None
        self._process = process or GaussianProcessRegressor(_kernel(*x.shape))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a scale at its bound is as good as any
            self._process.fit(x, (y - self.centre) / self.scale)
        self.kernel: Any = self._process.kernel_

    @classmethod
    def of(cls, space: Space, lessons: Sequence[tuple[View, Lesson]]) -> "_Model":
        """From what trials taught."""
        x = _inputs(space, [view for view, _ in lessons], [lesson.progress for _, lesson in lessons])
        return cls(space, x, np.array([lesson.value - view.expected for view, lesson in lessons]))

    def believing(self, views: Sequence[View], values: np.ndarray) -> "_Model":
        """The same, as if trials of these had ended with these values."""
        more = values - [view.expected for view in views]
        x = np.vstack([self._x, _inputs(self._space, views)])
        return _Model(self._space, x, np.append(self._y, more), self)

    def predict(self, views: Sequence[View]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the first objective, (n,) each, when a trial comes to its end.

        Without the noise of a single trial, which is luck: what is known is not worth trying again.
        """
        mean, std = self._process.predict(_inputs(self._space, views), return_std=True)
        std = np.sqrt(np.maximum(std**2 - self.kernel.k2.noise_level, 0))
        return mean * self.scale + self.centre + [view.expected for view in views], std * self.scale


def _kernel(n: int, d: int) -> Any:
    """For n observations of d inputs.

    Distances grow with the root of the number of inputs, and so do the scales on which trials are alike (Hvarfner et
    al. 2024, arXiv 2402.02229). Few trials cannot tell one input's scale from another's.
    """
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    scales = math.sqrt(d) * (np.ones(d) if n >= 3 * d else 1.0)
    bounds = (math.sqrt(d) / 2, math.sqrt(d) * 20)
    return ConstantKernel(1.0, (0.05, 20)) * Matern(scales, bounds, nu=2.5) + WhiteKernel(0.05, (1e-3, 1))


def _inputs(space: Space, views: Sequence[View], progress: Sequence[float] | None = None) -> np.ndarray:
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


def _best(trials: Sequence[FrozenTrial], sign: float) -> list[Params]:
    """The parameters of those on the front."""
    import moocore

    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if not done:
        return []
    values = np.array([[-sign * trial.values[0], *trial.values[1:]] for trial in done], float)
    return [trial.params for trial, kept in zip(done, moocore.is_nondominated(values), strict=True) if kept]


def _scaled(costs: np.ndarray) -> np.ndarray:
    """(n, k): each cost from 0 for the least to 1 for the largest, by its square root where none is below 0.

    Between a linear scale, on which all small ones are alike, and a logarithm, on which the smallest matter most.
    """
    columns = [np.sqrt(column) if (column >= 0).all() else column for column in costs.T]
    return np.array([(column - column.min()) / (np.ptp(column) or 1.0) for column in columns]).T


def _key(params: Params) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(params.items()))
