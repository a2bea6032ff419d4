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

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hpo.search.encoding import share_of, value_at
from hpo.search.improvement import expected_improvement
from hpo.search.surrogate import Fit, Lesson, Model, Params, Space, View, one_thread

__all__ = ["Lesson", "Memory", "Params", "PlannerSampler", "Space", "View", "last_value"]

POOL, NEIGHBOURS = 600, 200  # assignments to choose from
# Of a study that has so many trials, where a proposal must not take long: many run beside each other.
LARGE, LARGE_POOL, LARGE_NEIGHBOURS, LARGE_USUAL = 100, 100, 100, 100
STEP, CHANGED = 0.15, 0.3  # of a neighbour: the standard deviation as a share of the range, and how many change
LEAST_LESSONS, MOST_LESSONS = 4, 200  # the model's effort grows with their cube
# Up to so many lessons the kernel's scales are fitted anew for every proposal, and then whenever there are a tenth
# more, to no more than so many of them.
FITTED_ANEW, GROWTH, MOST_FITTED = 100, 1.1, 150
PRIOR_WEIGHT = 5.0  # trials, after which what is believed counts once
MARGIN = 0.1  # of the reference point, beyond the largest cost, as a share of the range


def last_value(trial: FrozenTrial) -> list[Lesson]:
    """What a trial teaches that was brought to its end."""
    return [Lesson(1.0, trial.values[0])] if trial.state == TrialState.COMPLETE else []


@dataclass
class Memory:
    """What samplers of one study that follow each other need not find out again; without it they propose the same.

    Attributes:
        lessons: of trials that have ended, by their numbers.
        fits: what was fitted last, by the number of lessons of trials that had ended then.
    """

    lessons: dict[int, Sequence[Lesson]] = field(default_factory=dict)
    fits: dict[int, Fit] = field(default_factory=dict)


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
        memory: that a sampler of the same study left, where each trial has a sampler of its own.
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
        memory: Memory | None = None,
    ):
        self._memory = memory or Memory()
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
        with one_thread():
            scores = self._scores(pool, seen, sign)
        return dict(pool[int(np.argmax(scores))].params)

    def _pool(self, tried: Sequence[View], best: Sequence[Params]) -> list[View]:
        """Allowed assignments that were not tried, each once."""
        # Each once: one that was interrupted and tried again is no more than if it had not been interrupted.
        is_large = len({view.key for view in tried}) >= LARGE
        at_random, near, usual = POOL, NEIGHBOURS, len(self._usual)
        if is_large:
            at_random, near, usual = LARGE_POOL, LARGE_NEIGHBOURS, min(LARGE_USUAL, usual)
        drawn: list[Params] = [
            {name: value_at(each, self._rng.random()) for name, each in self._space.items()} for _ in range(at_random)
        ]
        drawn += self._row_of(self._usual, usual, is_large)
        drawn += [self._neighbour(each) for each in self._row_of(best, near, is_large)]
        found = {view.key: view for one in drawn if (view := self._look({**one, **self._fixed})) is not None}
        for view in tried:
            found.pop(view.key, None)
        return list(found.values())

    def _row_of(self, values: Sequence[Params], n: int, is_large: bool) -> list[Params]:
        """n of them in a row; of a large study from anywhere: they and its front are more than a proposal looks at."""
        if not values:
            return []
        first = int(self._rng.integers(len(values))) if is_large else 0
        return [values[(first + number) % len(values)] for number in range(n)]

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
        known = self._memory.lessons  # looked up here: there are thousands
        taught = [
            (trial, [(view, lesson) for lesson in known.get(trial.number) or self._lessons_of(trial)])
            for trial, view in seen
        ]
        lessons = [lesson for _, each in taught for lesson in each]
        done = [trial.values for trial, _ in seen if trial.state == TrialState.COMPLETE]
        prior, seconds = np.array([view.prior for view in pool]), np.array([view.seconds for view in pool])
        if len(lessons) < LEAST_LESSONS or not done:
            return prior + self._rng.gumbel(size=len(pool))  # a draw from what is believed
        model = Model.of(self._space, lessons[-MOST_LESSONS:], self._fit(taught, len(lessons)))
        values, costs = [told[0] for told in done], [told[1:] for told in done]
        running = [view for trial, view in seen if trial.state == TrialState.RUNNING]
        if running:
            believed = model.expect(running)
            values, costs = [*values, *believed], [*costs, *(view.costs for view in running)]
            model = model.believing(running, believed)
        mean, std = model.predict(pool)
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

    def _lessons_of(self, trial: FrozenTrial) -> Sequence[Lesson]:
        if trial.state == TrialState.RUNNING:
            return self._lessons(trial)
        if trial.number not in self._memory.lessons:
            self._memory.lessons[trial.number] = self._lessons(trial)
        return self._memory.lessons[trial.number]

    def _fit(self, taught: Sequence[tuple[FrozenTrial, Sequence[tuple[View, Lesson]]]], n: int) -> Fit | None:
        """The kernel for n lessons; None where it is to be fitted to all of them.

        It is fitted to as many of the first lessons as `fitted_to` says, in the order in which trials have ended: what
        those taught who are under way changes, and a study that goes on after a kill is to find the same.
        """
        if n < FITTED_ANEW:
            return None
        ended = [each for each in taught if each[0].state.is_finished()]
        many, fits = fitted_to(sum(len(each) for _, each in ended)), self._memory.fits
        if many < LEAST_LESSONS:
            return Model.of(self._space, [lesson for _, each in taught for lesson in each][:MOST_FITTED]).fit
        if many not in fits:
            ended.sort(key=lambda each: _end(each[0]))
            lessons = [lesson for _, each in ended for lesson in each][:many]
            fits = self._memory.fits = {many: Model.of(self._space, lessons[-MOST_FITTED:]).fit}
        return fits[many]


def fitted_to(n: int) -> int:
    """With how many of n lessons the kernel's scales were to be fitted the last time.

    >>> [fitted_to(n) for n in (4, 100, 109, 110, 120, 121)]
    [4, 100, 100, 110, 110, 121]
    """
    many = min(n, FITTED_ANEW)
    while many >= FITTED_ANEW and (more := round(many * GROWTH)) <= n:
        many = more
    return many


def _end(trial: FrozenTrial) -> tuple[float, int]:
    """When a trial has ended; of two that did so at once the one with the smaller number first."""
    return trial.datetime_complete.timestamp() if trial.datetime_complete else 0.0, trial.number


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
