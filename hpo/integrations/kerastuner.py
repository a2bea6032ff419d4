"""An oracle for KerasTuner that asks Optuna: its samplers, several objectives, and a study that outlives the process.

    from hpo.integrations.kerastuner import OptunaOracle

    tuner = keras_tuner.Tuner(oracle=OptunaOracle("val_accuracy", max_trials=50), hypermodel=build, directory="tuned")
    tuner.search(x, y, validation_data=(x_val, y_val))

What KerasTuner's users ask for: Optuna's samplers (https://github.com/keras-team/keras-tuner/issues/555), several
objectives (556), to go on after an interruption (439).
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras_tuner
import optuna
from keras_tuner.engine.trial import Trial, TrialStatus
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import BaseStorage
from optuna.study import StudyDirection, StudySummary
from optuna.trial import TrialState

from hpo.integrations.hyperparameters import described, ensure_active_values, parameter_of, params_of
from studies.storage import open_storage
from studies.url import address

_log = logging.getLogger("hpo")
PROPOSALS = 5  # asked of the sampler before values that were not tried yet are drawn at random
MOST_DRAWS = 1000  # of those, before a space counts as tried out
VALUES, TRIAL_ID, DUPLICATE_OF = "hyperparameters", "trial_id", "duplicate_of"  # attributes of a trial in the study
PROJECT = "project"  # attribute of a study: the folder of the project that it is of


class OptunaOracle(keras_tuner.Oracle):
    """Values for KerasTuner's trials from a sampler of Optuna, each trial kept in an Optuna study.

    The study is the project's own, `optuna.db` in its folder, unless a storage is given. It can be read at any time, by
    `optuna.load_study`, `optuna-dashboard sqlite:///tuned/project/optuna.db` or `oracle.study`. With several objectives
    it has one direction for each, and `get_best_trials` begins with its Pareto front.

    A search that was killed goes on with the same code: KerasTuner runs the trial that was lost again. Trials of a
    project that another oracle began are put into the study, which learns from them. A hyperparameter that a model asks
    for in a trial for the first time has its default there, and is searched from the next trial on.

    Args:
        objective: as `keras_tuner.Oracle` has it: a name, a `keras_tuner.Objective`, or a list of them.
        max_trials: that are run in all; None for no limit.
        storage: URL of a database, or an Optuna storage; default optuna.db in the folder of the project.
        study_name: in the storage; default the project's. With a number behind it where there is one of this name that
            is not this project's.
        sampler: default TPE; one made by you is used as it is. The search ends where a grid is tried out.
        seed: of the default sampler and of values drawn at random; default a random one.
        **settings: of `keras_tuner.Oracle`: hyperparameters, allow_new_entries, tune_new_entries,
            max_retries_per_trial, max_consecutive_failed_trials.
    """

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = 10,
        storage: str | BaseStorage | None = None,
        study_name: str | None = None,
        sampler: BaseSampler | None = None,
        seed: int | None = None,
        **settings: Any,
    ):
        super().__init__(objective=objective, max_trials=max_trials, seed=seed, **settings)
        if seed is not None:  # KerasTuner takes 0 for none
            self.seed = self._seed_state = seed
        self._storage, self._wanted_name, self._sampler = storage, study_name, sampler
        self._study: optuna.Study | None = None
        self._begun: str | None = None  # the name of the project's study, once there is one
        self._numbers: dict[str, int] = {}  # from KerasTuner's trial to the number of Optuna's
        self._asked: dict[str, optuna.Trial] = {}  # in this process
        self._told: set[str] = set()
        self._searching = self._exhausted = False
        self._max_collisions = MOST_DRAWS

    @property
    def study(self) -> optuna.Study:
        """The Optuna study; made when it is first asked for, which needs a tuner."""
        if self._study is None:
            self._study = self._open()
        return self._study

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Values of a new trial, see `keras_tuner.Oracle.populate_space`."""
        if not self._searching:  # whoever only looks at the study leaves its trials alone
            self._searching = True
            self._let_go(self.study)
        self._tell_all()
        for _ in range(0 if self._exhausted else PROPOSALS):
            trial, values = self._ask()
            if not self._duplicate(values):
                return self._begin(trial, trial_id, values)
            trial.set_user_attr(DUPLICATE_OF, self._tried(values))
            self._finish(self.study, trial.number, TrialState.FAIL, None)
        drawn = None if self._exhausted else self._random_values()
        if drawn is None:  # all of a small space is tried
            return {"status": TrialStatus.STOPPED, "values": None}
        params, _ = params_of(self.hyperparameters, drawn)
        self.study.enqueue_trial(params)
        trial, values = self._ask()
        return self._begin(trial, trial_id, values)

    @keras_tuner.synchronized
    def end_trial(self, trial: Trial) -> None:
        """As `keras_tuner.Oracle.end_trial`, and the study is told."""
        try:
            super().end_trial(trial)
        finally:  # it raises where too many trials fail in a row
            self._tell_all()
        self.save()  # what it saved has the trial as one that runs, which would be run again after a kill

    def get_best_trials(self, num_trials: int = 1) -> list[Trial]:
        """The best first; with several objectives those that no other one dominates, then the rest.

        In both parts by KerasTuner's score, which with several objectives is their sum.
        """
        ranked: list[Trial] = super().get_best_trials(max(num_trials, len(self.trials)))
        if len(self._objectives) > 1 and self._begun is not None:
            best = {trial.number for trial in self.study.best_trials}
            ranked.sort(key=lambda trial: self._numbers.get(trial.trial_id) not in best)
        return ranked[:num_trials]

    def get_state(self) -> dict[str, Any]:
        """What is needed to go on."""
        return {**super().get_state(), "optuna_study": self._begun, "optuna_numbers": self._numbers}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from there; a state that another oracle left has no study yet."""
        super().set_state(state)
        self._study, self._told, self._searching = None, set(), False
        self._begun = state.get("optuna_study")
        self._numbers = dict(state.get("optuna_numbers", {}))

    def _record_values(self, trial: Trial) -> None:
        own = trial.hyperparameters
        own.ensure_active_values = lambda: ensure_active_values(own)
        try:
            super()._record_values(trial)
        finally:
            del own.ensure_active_values

    @property
    def _objectives(self) -> Sequence[keras_tuner.Objective]:
        return getattr(self.objective, "objectives", None) or [self.objective]

    def _open(self) -> optuna.Study:
        folder = Path(self._project_dir).resolve()
        storage: Any = self._storage or open_storage(address(folder / "optuna.db"), write=True)
        # A sampler that is made anew draws anew, or the trials before it would be proposed again.
        sampler = self._sampler or TPESampler(seed=self.seed + len(self.trials))
        known = {each.study_name: each for each in optuna.get_all_study_summaries(storage, include_best_trial=False)}
        wanted = self._begun or self._wanted_name or self._project_name
        if self._begun is None and wanted in known and self._is_ours(known[wanted], folder):
            self._begun = wanted
        if self._begun in known:
            study = optuna.load_study(study_name=self._begun, storage=storage, sampler=sampler)
            self._check_objectives(study)
            return study
        if self._begun is not None:
            _log.warning("study %s is not there any more: it is made anew of this project's trials", self._begun)
            self._numbers, self._told = {}, set()
        name, number = wanted, 1
        while name in known:
            number += 1
            name = f"{wanted}-{number}"
        if name != wanted:
            _log.warning("study %s is another project's: this one is %s", wanted, name)
        study = optuna.create_study(study_name=name, storage=storage, sampler=sampler, directions=self._directions)
        study.set_user_attr(PROJECT, str(folder))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names([each.name for each in self._objectives])
        self._begun = name
        return study

    def _is_ours(self, known: StudySummary, folder: Path) -> bool:
        """Whether a study is that of a search in this folder which was killed before KerasTuner kept anything of it."""
        return known.user_attrs.get(PROJECT) == str(folder) and known.n_trials <= len(self.trials) + 1

    @property
    def _directions(self) -> list[StudyDirection]:
        maximise, minimise = StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE
        return [maximise if each.direction == "max" else minimise for each in self._objectives]

    def _check_objectives(self, study: optuna.Study) -> None:
        names = [each.name for each in self._objectives]
        if (study.metric_names or names) != names or study.directions != self._directions:
            raise ValueError(
                f"the objectives must be those that project {self._project_name} was begun with, "
                f"{', '.join(study.metric_names or [])}. Received: {', '.join(names)}. Another project_name, or "
                "overwrite=True, begins anew"
            )

    def _let_go(self, study: optuna.Study) -> None:
        """End trials that were asked for by a process that was killed before it could say for what."""
        known = set(self._numbers.values())
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if trial.number not in known:
                study.tell(trial.number, state=TrialState.FAIL)

    def _ask(self) -> tuple[optuna.Trial, dict[str, Any]]:
        """A new trial of the study, and its values as KerasTuner has them."""
        trial, space = self.study.ask(), keras_tuner.HyperParameters()
        for each in self.hyperparameters.space:
            space.merge([each])
            if space.is_active(each):
                parameter = parameter_of(described(each))
                space.values[each.name] = each.value if parameter is None else parameter.suggest(trial)
        return trial, space.values

    def _begin(self, trial: optuna.Trial, trial_id: str, values: dict[str, Any]) -> dict[str, Any]:
        trial.set_user_attr(VALUES, values)
        trial.set_user_attr(TRIAL_ID, trial_id)
        self._numbers[trial_id], self._asked[trial_id] = trial.number, trial
        return {"status": TrialStatus.RUNNING, "values": values}

    def _tried(self, values: dict[str, Any]) -> str:
        """The trial that had these values."""
        wanted = self._compute_values_hash(values)
        return next((trial_id for trial_id, known in self._id_to_hash.items() if known == wanted), "")

    def _tell_all(self) -> None:
        """Bring the study to what KerasTuner knows: what ended since, and what ended before there was a study."""
        study, ended = self.study, (TrialStatus.COMPLETED, TrialStatus.FAILED)
        for trial_id in dict.fromkeys((*self.start_order, *self.trials)):
            trial = self.trials.get(trial_id)  # whose file may have been deleted
            if trial is not None and trial.status in ended and trial_id not in self._told:
                self._tell(study, trial)
                self._told.add(trial_id)

    def _tell(self, study: optuna.Study, trial: Trial) -> None:
        found = [self._value(trial, each.name) for each in self._objectives]
        known = [value for value in found if value is not None and math.isfinite(value)]
        complete = trial.status == TrialStatus.COMPLETED and len(known) == len(found)
        state, values = (TrialState.COMPLETE, known) if complete else (TrialState.FAIL, None)
        number = self._numbers.get(trial.trial_id)
        kept = None if number is None else study.get_trials(deepcopy=False)[number].state
        if number is not None and kept == TrialState.RUNNING:
            asked = self._asked.pop(trial.trial_id, None)
            if asked is not None:  # with values of hyperparameters that the model asked for first
                asked.set_user_attr(VALUES, trial.hyperparameters.values)
            self._finish(study, number, state, values)
        elif kept is None or (kept == TrialState.FAIL and complete):  # of another oracle, or tried again
            self._numbers[trial.trial_id] = self._add(study, trial, state, values)

    def _finish(self, study: optuna.Study, number: int, state: TrialState, values: list[float] | None) -> None:
        try:
            study.tell(number, values, state)
        except RuntimeError:
            # Samplers that try out a grid end `Study.optimize` with its last value; outside of it that is an error,
            # when the trial is told already.
            if not study.get_trials(deepcopy=False)[number].state.is_finished():
                raise
            self._exhausted = True

    def _add(self, study: optuna.Study, trial: Trial, state: TrialState, values: list[float] | None) -> int:
        """Put a trial that the study did not ask for into it; returns its number."""
        params, distributions = params_of(trial.hyperparameters, trial.hyperparameters.values)
        attributes = {VALUES: trial.hyperparameters.values, TRIAL_ID: trial.trial_id}
        study.add_trial(
            optuna.trial.create_trial(
                state=state, values=values, params=params, distributions=distributions, user_attrs=attributes
            )
        )
        return len(study.get_trials(deepcopy=False)) - 1

    def _value(self, trial: Trial, name: str) -> float | None:
        """Of an objective, at the step that the trial is scored by."""
        if not trial.metrics.exists(name):
            return trial.score if len(self._objectives) == 1 else None
        for observation in trial.metrics.get_history(name):
            if observation.step == trial.best_step:
                return float(observation.mean())
        return trial.metrics.get_best_value(name)
