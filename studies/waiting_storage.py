"""Optuna's storage in PostgreSQL that waits for a server which goes away, and goes on where it was.

What was being written when a connection was lost may have been done or not: as a study has one writer
(`studies.postgresql`), what is there tells which. So nothing is lost, and nothing there twice. Optuna's own methods
that are done again are named here, private ones among them; `tests/studies/test_waiting_storage.py` loses a connection
before and after each kind of write.
"""

import logging
import time
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import sqlalchemy
from optuna.exceptions import DuplicatedStudyError
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from studies.errors import PackageMissing
from studies.url import POSTGRESQL

EXTRA = "cluster"
POLL_SECONDS = 1.0
SAY_SECONDS = 60.0  # between two lines in the log while a server is waited for
# An idle connection whose server has vanished is noticed after half a minute; connecting takes no longer than that.
ALIVE: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
}
TOO_MANY = "53300"  # connections
_log = logging.getLogger(__name__)


class ConnectionLost(Exception):
    """The connection to the server is gone, or there is no server; raised inside `WaitingStorage` alone."""


def driver(url: str) -> str:
    """The address for SQLAlchemy: with psycopg 3.

    Raises:
        PackageMissing: it is not installed.
    """
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise PackageMissing(
            f"a database of PostgreSQL needs an extra: pip install 'keras-hpo[{EXTRA}]'. Received: {error}"
        ) from error
    return f"{POSTGRESQL.replace('://', '+psycopg://')}{url.removeprefix(POSTGRESQL)}"


def wait_for(attempt: Callable[[], None], url: str) -> None:
    """Try until it does not end with `ConnectionLost`."""
    begun = said = time.monotonic()
    _log.warning("%s does not answer; waiting for it", url)
    while True:
        try:
            attempt()
        except ConnectionLost:
            if time.monotonic() - said > SAY_SECONDS:
                said = time.monotonic()
                _log.warning("%s has not answered for %.0f s", url, said - begun)
            time.sleep(POLL_SECONDS)
        else:
            _log.warning("%s is back after %.0f s", url, time.monotonic() - begun)
            return


def _tell_apart(context: Any) -> None:
    """Keeps Optuna from taking a lost connection for invalid data, and from trying five times by itself.

    Lost is what SQLAlchemy calls a disconnect; what has no code of the server's, being refused by the machine; and what
    the server says while it goes down or comes up (https://www.postgresql.org/docs/current/errcodes-appendix.html).
    """
    import psycopg

    error = context.original_exception
    if not isinstance(error, psycopg.OperationalError):
        return
    state = error.sqlstate or ""
    if context.is_disconnect or not state or state.startswith(("08", "57P")) or state == TOO_MANY:
        raise ConnectionLost from error


def _patient(method: Callable[..., Any]) -> Callable[..., Any]:
    """The same method of `RDBStorage`, done again after the server has come back.

    For what is read, and for what is the same however often it is written.
    """

    @wraps(method)
    def call(self: "WaitingStorage", *args: Any, **kwargs: Any) -> Any:
        while True:
            try:
                return method(self, *args, **kwargs)
            except ConnectionLost:
                self._wait()

    return call


class WaitingStorage(RDBStorage):
    """Optuna's storage in PostgreSQL, which waits for its server.

    Args:
        url: of the database.
        write: whether tables are made where they are missing.
    """

    def __init__(self, url: str, *, write: bool):
        self._place = url
        self.on_return: Callable[[], None] = lambda: None  # called when the server is back, before anything is written
        kwargs = {"pool_pre_ping": True, "connect_args": {"application_name": "keras-hpo", **ALIVE}}
        super().__init__(driver(url), engine_kwargs=kwargs, skip_table_creation=not write)
        sqlalchemy.event.listen(self.engine, "handle_error", _tell_apart)

    def _wait(self) -> None:
        def attempt() -> None:
            with self.engine.connect() as connection:
                connection.execute(sqlalchemy.text("SELECT 1"))

        self.remove_session()
        wait_for(attempt, self._place)
        self.on_return()

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """As Optuna has it."""
        try:
            return super().create_new_study(directions, study_name)
        except ConnectionLost:
            self._wait()
        try:
            return super().create_new_study(directions, study_name)
        except DuplicatedStudyError:  # it was made, and only the answer was lost
            return self.get_study_id_from_name(str(study_name))

    def _create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> FrozenTrial:
        before = self._count(study_id)
        while True:
            try:
                return super()._create_new_trial(study_id, template_trial)
            except ConnectionLost:
                self._wait()
                if self._count(study_id) > before:  # it was made, and only the answer was lost
                    return self.get_trial(self.get_trial_id_from_study_id_trial_number(study_id, before))

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """As Optuna has it."""
        lost = False
        while True:
            try:
                if lost and self.get_trial(trial_id).state == state:  # it was told, and only the answer was lost
                    return True
                return super().set_trial_state_values(trial_id, state, values)
            except ConnectionLost:
                lost = True
                self._wait()

    @_patient
    def _count(self, study_id: int) -> int:
        statement = sqlalchemy.text("SELECT count(*) FROM trials WHERE study_id = :study")
        with self.engine.connect() as connection:
            return int(connection.execute(statement, {"study": study_id}).scalar_one())

    delete_study = _patient(RDBStorage.delete_study)
    set_study_user_attr = _patient(RDBStorage.set_study_user_attr)
    set_study_system_attr = _patient(RDBStorage.set_study_system_attr)
    get_study_id_from_name = _patient(RDBStorage.get_study_id_from_name)
    get_study_name_from_id = _patient(RDBStorage.get_study_name_from_id)
    get_study_directions = _patient(RDBStorage.get_study_directions)
    get_study_user_attrs = _patient(RDBStorage.get_study_user_attrs)
    get_study_system_attrs = _patient(RDBStorage.get_study_system_attrs)
    get_trial_user_attrs = _patient(RDBStorage.get_trial_user_attrs)
    get_trial_system_attrs = _patient(RDBStorage.get_trial_system_attrs)
    get_all_studies = _patient(RDBStorage.get_all_studies)
    _set_trial_param = _patient(RDBStorage._set_trial_param)
    get_trial_param = _patient(RDBStorage.get_trial_param)
    set_trial_intermediate_value = _patient(RDBStorage.set_trial_intermediate_value)
    set_trial_user_attr = _patient(RDBStorage.set_trial_user_attr)
    set_trial_system_attr = _patient(RDBStorage.set_trial_system_attr)
    get_trial_id_from_study_id_trial_number = _patient(RDBStorage.get_trial_id_from_study_id_trial_number)
    get_trial = _patient(RDBStorage.get_trial)
    _get_trials = _patient(RDBStorage._get_trials)
