"""Optuna's view of a database that this process alone writes to, which need not read again what it has just written.

Optuna asks its database for every trial under way each time that it is asked for trials, since other processes might
have changed them: a dozen times for each trial of ours, and with 64 under way for 30 ms each. A study has one writer
here (`studies.storage`), so what this process wrote is what stands there. Trials that others add, which
`Study.enqueue_trial` can do at any time, are still seen, within a second; what others change in trials under way is
not.

What is written of one trial at once is one transaction: each is waited for until it is on the disk. Parameters wait for
what is written next, and are lost with a process that is killed before, as is then the trial: it is found under way and
without parameters, which is what a process that is killed while it asks leaves anyway. A write that is interrupted, by
Ctrl-C or by an error, may have come to the disk or not: everything is read again then.
"""

import copy
import json
import math
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import optuna
import sqlalchemy
from optuna.distributions import BaseDistribution, check_distribution_compatibility, distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage, _StudyInfo
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.orm import Session

from studies.waiting_storage import WaitingStorage

T = TypeVar("T")
LOOK_SECONDS = 1.0  # between two looks for trials that others added
# As Optuna writes it, in SQLite and in PostgreSQL; a second time, where a connection was lost, it is the same.
_SET_PARAMETER = sqlalchemy.text(
    "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) "
    "VALUES (:row, :name, :value, :distribution) ON CONFLICT (trial_id, param_name) DO NOTHING"
)
_SET_USER_ATTR = sqlalchemy.text(
    "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (:row, :key, :value) "
    "ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json"
)
_STATES = sqlalchemy.text("SELECT trial_id, state FROM trials WHERE trial_id IN :rows").bindparams(
    sqlalchemy.bindparam("rows", expanding=True)
)
_NEWEST = sqlalchemy.text("SELECT max(trial_id) FROM trials WHERE study_id = :study")


class OneWriterStorage(_CachedStorage):
    """The storage of a study while its one writer holds its lock.

    Args:
        backend: the database.
    """

    def __init__(self, backend: RDBStorage):
        super().__init__(backend)
        self._newest: dict[int, int] = {}  # by study: the row up to which all trials are known, where any are
        self._looked: dict[int, float] = {}  # by study: when others' trials were looked for
        self._parameters: list[dict[str, Any]] = []  # rows that wait to be written

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """As Optuna has it."""
        with self._writing():
            trial_id = super().create_new_trial(study_id, template_trial)
            if template_trial is not None:
                self._read_again(trial_id)  # as it stands in the database
            _, number = self._trial_id_to_study_id_and_number[trial_id]
            with self._lock:
                if study_id in self._newest and number + 1 == len(self._studies[study_id].trials):
                    self._newest[study_id] = trial_id
                else:  # another process added some before it, which are to be read
                    self._looked.pop(study_id, None)
            return trial_id

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """As Optuna has it; written with what is written next."""
        trial = self._renewed(trial_id)
        before = None if trial is None else self._distribution(trial_id, param_name)
        if before is None:  # Optuna looks for that of other trials
            with self._writing():
                super().set_trial_param(trial_id, param_name, param_value_internal, distribution)
            trial = self._renewed(trial_id)
        else:
            check_distribution_compatibility(before, distribution)
            values = {"name": param_name, "value": param_value_internal}
            self._parameters.append({"row": trial_id, **values, "distribution": distribution_to_json(distribution)})
        if trial is not None:
            value = distribution.to_external_repr(param_value_internal)
            trial.params = {**trial.params, param_name: value}
            trial.distributions = {**trial.distributions, param_name: distribution}

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """As Optuna has it."""
        self.set_trial_user_attrs(trial_id, {key: value})

    def set_trial_user_attrs(self, trial_id: int, values: Mapping[str, Any]) -> None:
        """Several at once, in one transaction, of a trial under way."""
        texts = {key: json.dumps(value) for key, value in values.items()}
        with self._writing([{"row": trial_id, "key": key, "value": text} for key, text in texts.items()]):
            trial = self._renewed(trial_id)
            if trial is not None:  # as it is read: a list for a tuple
                trial.user_attrs = {**trial.user_attrs, **{key: json.loads(text) for key, text in texts.items()}}

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """As Optuna has it."""
        with self._writing():
            super().set_trial_system_attr(trial_id, key, value)
            self._read_again(trial_id)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """As Optuna has it."""
        with self._writing():
            done = super().set_trial_state_values(trial_id, state, values)
            self._read_again(trial_id)
            return done

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """As Optuna has it."""
        with self._writing():
            super().set_trial_intermediate_value(trial_id, step, intermediate_value)
            self._read_again(trial_id)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """As Optuna has it, from memory where it is known."""
        known = self._known(trial_id)
        if known is None:
            return super().get_trial(trial_id)
        # Whoever asked for a trial under way may change what he gets.
        return known if known.state.is_finished() else copy.deepcopy(known)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """As Optuna has it, but not sorted anew: they are remembered in the order of their numbers."""
        self._read_trials_from_remote_storage(study_id)
        trials = self._studies[study_id].trials.values()
        found = [trial for trial in trials if states is None or trial.state in states]
        return copy.deepcopy(found) if deepcopy else found

    def remove_session(self) -> None:
        """As Optuna has it."""
        self._flush()
        super().remove_session()

    @contextmanager
    def _writing(self, attributes: Sequence[Mapping[str, Any]] = ()) -> Iterator[None]:
        """Write what waits, and user attributes; if that or what follows is interrupted, nothing is known any more."""
        try:
            self._flush(attributes)
            yield
        except BaseException:
            self._newest.clear()
            self._looked.clear()
            raise

    def _flush(self, attributes: Sequence[Mapping[str, Any]] = ()) -> None:
        """Write parameters that wait, and user attributes.

        Raises:
            KeyError, UpdateFinishedTrialError: somebody else has deleted or ended the trial that has these attributes;
                parameters of such a trial are left out.
        """
        parameters = self._parameters

        def write() -> None:
            with Session(self._backend.engine) as session:
                rows = sorted({row["row"] for row in [*parameters, *attributes]})
                states = {row: TrialState[state] for row, state in session.execute(_STATES, {"rows": rows})}
                for row in {each["row"] for each in attributes}:
                    if row not in states:
                        raise KeyError(f"there is no trial in row {row}")
                    self._backend.check_trial_is_updatable(row, states[row])
                if left := [row for row in parameters if row["row"] in states and not states[row["row"]].is_finished()]:
                    session.execute(_SET_PARAMETER, left)
                if attributes:
                    session.execute(_SET_USER_ATTR, attributes)
                session.commit()

        if not parameters and not attributes:
            return
        self._patiently(write)
        self._parameters = []  # not before they are there: a full disk may have room again

    def _distribution(self, trial_id: int, name: str) -> BaseDistribution | None:
        """What other trials have drawn a parameter from; None where that is not known."""
        study_id, _ = self._trial_id_to_study_id_and_number[trial_id]
        return self._studies[study_id].param_distribution.get(name)

    def _known(self, trial_id: int) -> FrozenTrial | None:
        """What is remembered of a trial, where that is what stands in the database."""
        study_id, number = self._trial_id_to_study_id_and_number.get(trial_id, (None, None))
        if study_id is None or number is None or study_id not in self._newest:
            return None
        return self._studies[study_id].trials.get(number)

    def _renewed(self, trial_id: int) -> FrozenTrial | None:
        """A copy of what is remembered, in its place: trials that were handed out stay as they were."""
        known = self._known(trial_id)
        if known is None:
            return None
        study_id, number = self._trial_id_to_study_id_and_number[trial_id]
        trial = self._studies[study_id].trials[number] = copy.copy(known)
        return trial

    def _read_again(self, trial_id: int) -> None:
        """One trial, as it stands in the database."""
        if self._known(trial_id) is not None:
            study_id, number = self._trial_id_to_study_id_and_number[trial_id]
            self._studies[study_id].trials[number] = self._backend.get_trial(trial_id)

    def _read_trials_from_remote_storage(self, study_id: int) -> None:
        """Read what was added."""
        with self._lock:
            study = self._studies.setdefault(study_id, _StudyInfo())
            newest, now = self._newest.get(study_id, -1), time.monotonic()
            if now - self._looked.get(study_id, -math.inf) < LOOK_SECONDS:
                return
            if newest < 0 or self._row_of_newest(study_id) != newest:
                self._flush()
                trials = self._backend._get_trials(
                    study_id, states=None, included_trial_ids=set(), trial_id_greater_than=newest
                )
                self._add_trials_to_cache(study_id, trials)
                study.trials = dict(sorted(study.trials.items()))
                self._newest[study_id] = max([newest, *(trial._trial_id for trial in trials)])
            self._looked[study_id] = now

    def _row_of_newest(self, study_id: int) -> int | None:
        def read() -> int | None:
            with self._backend.engine.connect() as connection:
                found: int | None = connection.execute(_NEWEST, {"study": study_id}).scalar()
                return found

        return self._patiently(read)

    def _patiently(self, do: Callable[[], T]) -> T:
        """A server that goes away is waited for."""
        return self._backend.patiently(do) if isinstance(self._backend, WaitingStorage) else do()


def set_user_attrs(trial: optuna.Trial, values: Mapping[str, Any]) -> None:
    """Several of a trial under way: in one transaction where its study is one of `OneWriterStorage`."""
    if isinstance(trial.storage, OneWriterStorage):
        trial.storage.set_trial_user_attrs(trial._trial_id, values)
        trial._cached_frozen_trial.user_attrs.update(values)
    else:
        for key, value in values.items():
            trial.set_user_attr(key, value)
