"""Optuna's storage in PostgreSQL that waits for a server which goes away, and goes on where it was.

What was being written when a connection was lost may have been done or not: as a study has one writer
(`studies.postgresql`), what is there tells which. So nothing is lost, and nothing there twice. Optuna's own methods
that are done again are named here, private ones among them; `tests/studies/test_waiting_storage.py` loses a connection
before and after each kind of write.
"""

import json
import logging
import time
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

import sqlalchemy
from optuna.exceptions import DuplicatedStudyError
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from studies.errors import PackageMissing, StorageError
from studies.url import POSTGRESQL

T = TypeVar("T")
EXTRA = "cluster"
POLL_SECONDS = 1.0
SAY_SECONDS = 60.0  # between two lines in the log while a server is waited for
# An idle connection whose server has vanished is noticed after half a minute, and by the server one whose client has;
# connecting takes no longer than that. What a client that is gone holds is let go of.
ALIVE: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
    "options": "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=4 "
    "-c idle_in_transaction_session_timeout=60000",
}
TOO_MANY = "53300"  # connections
MAKING = 7_264_311_904_512_001  # an advisory lock: one process at a time makes tables
# By a database's address: what sees whether this process may still write to a study in it, when a server is back.
GUARDS: dict[str, list[Callable[[], None]]] = {}
_log = logging.getLogger(__name__)


class ConnectionLost(Exception):
    """The connection to the server is gone, or there is no server; never seen outside this module and the lock's."""


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


def first_line(error: BaseException | None) -> str:
    """Of what a server or libpq says."""
    return str(error or "").strip().partition("\n")[0]


def wait_for(attempt: Callable[[], None], url: str) -> None:
    """Try until it does not end with `ConnectionLost`; the log says why it waits."""
    begun = time.monotonic()
    said = begun - SAY_SECONDS
    while True:
        try:
            attempt()
        except ConnectionLost as error:
            if time.monotonic() - said > SAY_SECONDS:
                said = time.monotonic()
                why = first_line(error.__cause__)
                _log.warning("%s has not answered for %.0f s; waiting for it: %s", url, said - begun, why)
            time.sleep(POLL_SECONDS)
        else:
            if said >= begun:
                _log.warning("%s is back after %.0f s", url, time.monotonic() - begun)
            return


def is_lost(error: BaseException | None) -> bool:
    """Whether psycopg lost a connection, or got none, with this error or with one that caused it.

    Lost is what has no code of the server's, being refused by the machine; and what the server says while it goes down
    or comes up (https://www.postgresql.org/docs/current/errcodes-appendix.html).
    """
    import psycopg

    while error is not None and not isinstance(error, psycopg.OperationalError):
        error = error.__cause__
    if error is None:
        return False
    state = error.sqlstate or ""
    return not state or state.startswith(("08", "57P")) or state == TOO_MANY


def _tell_apart(context: Any) -> None:
    """Keeps Optuna from taking a lost connection for invalid data, and from trying five times by itself."""
    if context.is_disconnect or is_lost(context.original_exception):
        raise ConnectionLost from context.original_exception


def _is_made_of(trial: FrozenTrial, template: FrozenTrial | None) -> bool:
    """Whether a trial is a new one: from a template, or, by the only process that begins any, without."""
    if template is None:
        return trial.state == TrialState.RUNNING

    def content(one: FrozenTrial) -> tuple[Any, ...]:
        attributes: tuple[Any, ...] = json.loads(json.dumps([one.user_attrs, one.system_attrs]))
        return one.state, one.params, one.values, attributes

    return content(trial) == content(template)


def _patient(method: Callable[..., Any]) -> Callable[..., Any]:
    """The same method of `RDBStorage`, done again after the server has come back.

    For what is read, and for what is the same however often it is written.
    """

    @wraps(method)
    def call(self: "WaitingStorage", *args: Any, **kwargs: Any) -> Any:
        return self.patiently(lambda: method(self, *args, **kwargs))

    return call


class WaitingStorage(RDBStorage):
    """Optuna's storage in PostgreSQL, which waits for its server.

    Args:
        url: of the database.
        write: whether tables are made where they are missing.

    Raises:
        StorageError: there is no server at first; one that goes away after that is waited for.
    """

    def __init__(self, url: str, *, write: bool):
        self._place = url
        if write:
            self._met = False  # whether there was a connection
            wait_for(self._make_tables, url)
        else:
            self._open(write=False)
        sqlalchemy.event.listen(self.engine, "handle_error", _tell_apart)

    def _open(self, *, write: bool) -> None:
        kwargs = {"pool_pre_ping": True, "connect_args": {"application_name": "keras-hpo", **ALIVE}}
        super().__init__(driver(self._place), engine_kwargs=kwargs, skip_table_creation=not write)

    def _make_tables(self) -> None:
        """Where they are missing; one process at a time, as two that do it at once are in each other's way."""
        import psycopg

        try:
            connection = psycopg.connect(self._place, autocommit=True, **ALIVE)
        except psycopg.Error as error:
            if self._met and is_lost(error):
                raise ConnectionLost from error
            raise StorageError(f"{self._place}: {first_line(error)}") from error
        self._met = True
        try:
            with connection:
                connection.execute("SELECT pg_advisory_lock(%s)", (MAKING,))
                self._open(write=True)
        except Exception as error:  # Optuna wraps it in one of its own, or in none
            if is_lost(error):
                raise ConnectionLost from error
            raise

    def _wait(self) -> None:
        """Until the server is back, and this process may still write."""

        def attempt() -> None:
            with self.engine.connect() as connection:
                connection.execute(sqlalchemy.text("SELECT 1"))

        self.remove_session()
        wait_for(attempt, self._place)
        for check in GUARDS.get(self._place, ()):
            check()

    def patiently(self, do: Callable[[], T]) -> T:
        """Do what may be done several times, again after the server has come back."""
        while True:
            try:
                return do()
            except ConnectionLost:
                self._wait()

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """As Optuna has it."""
        lost = False
        while True:
            try:
                return super().create_new_study(directions, study_name)
            except ConnectionLost:
                lost = True
                self._wait()
            except DuplicatedStudyError:
                if not lost:
                    raise
                return self.get_study_id_from_name(str(study_name))  # it was made, and only the answer was lost

    def delete_study(self, study_id: int) -> None:
        """As Optuna has it."""
        lost = False
        while True:
            try:
                return super().delete_study(study_id)
            except ConnectionLost:
                lost = True
                self._wait()
            except KeyError:
                if not lost:
                    raise
                return None  # it is gone, and only the answer was lost

    def _create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> FrozenTrial:
        before = self._count(study_id)
        while True:
            try:
                return super()._create_new_trial(study_id, template_trial)
            except ConnectionLost:
                self._wait()
                for number in range(before, self._count(study_id)):  # others may have added some meanwhile
                    made = self.get_trial(self.get_trial_id_from_study_id_trial_number(study_id, number))
                    if _is_made_of(made, template_trial):  # only the answer was lost
                        return made

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """As Optuna has it."""
        while True:
            try:
                return super().set_trial_state_values(trial_id, state, values)
            except ConnectionLost:
                self._wait()
                if self._state(trial_id) == state.name:  # it was told, and only the answer was lost
                    return True

    # Both wait for what a session that was cut off may still be committing: Optuna locks the same rows.

    def _count(self, study_id: int) -> int:
        statement = "SELECT study_id FROM studies WHERE study_id = :row FOR UPDATE"
        return int(self._read(statement, "SELECT count(*) FROM trials WHERE study_id = :row", study_id))

    def _state(self, trial_id: int) -> str:
        statement = "SELECT trial_id FROM trials WHERE trial_id = :row FOR UPDATE"
        return str(self._read(statement, "SELECT state FROM trials WHERE trial_id = :row", trial_id))

    def _read(self, locking: str, reading: str, row: int) -> Any:
        def read() -> Any:
            with self.engine.begin() as connection:
                connection.execute(sqlalchemy.text(locking), {"row": row})
                return connection.execute(sqlalchemy.text(reading), {"row": row}).scalar_one()

        return self.patiently(read)

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
