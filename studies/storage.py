"""The database: the only place that knows SQL, WAL and locks.

One SQLite file in WAL mode with `synchronous=FULL`: readers (a dashboard, an export) never block the writer and a
commit that was acknowledged survives SIGKILL and power loss. One writer at a time, by a lock beside the database.
"""

import errno
import fcntl
import json
import os
import sqlite3
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.storages import RDBStorage

from studies.attributes import FINGERPRINT, OPTIONS, STUDY_ID
from studies.errors import StorageError, StudyRefused
from studies.objectives import DIRECTIONS, METRIC_NAMES
from studies.optuna_private import damaged_queue
from studies.url import address, database_path, file_uri

BUSY_SECONDS = 60


def database_lock(url: str, study: str) -> AbstractContextManager[None]:
    """Hold the database as its one writer. Links to one file share one lock.

    Raises:
        StudyRefused, StorageError: as `writer_lock`.
    """
    path = database_path(url).resolve()
    return writer_lock(path.with_name(path.name + ".lock"), study)


@contextmanager
def writer_lock(lock: Path, study: str) -> Iterator[None]:
    """Hold what the file `lock` stands for. The lock dies with the process, however that ends.

    Raises:
        StudyRefused: another process has it; the message names the holder.
        StorageError: the folder is not writable.
    """
    path = lock.parent if lock.name == ".lock" else lock.with_suffix("")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        # No link is followed: a lock's name is known to all who may write to its folder.
        number = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        file = open(number, "a+", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise StorageError(f"{lock} is a link; a lock is a file of its own: remove the link") from error
        raise StorageError(f"cannot write to {lock.parent}: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StudyRefused(
                f"{path} is in use: {_holder(lock)}. One run at a time writes to a database and to a study's folder; "
                "wait for it, stop it, or give another --storage and --study"
            ) from None
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "study": study, "since": time.strftime("%Y-%m-%d %H:%M:%S")}))
        file.flush()
        yield


def _holder(lock: Path) -> str:
    try:
        holder = json.loads(lock.read_text(encoding="utf-8"))
        return f"process {holder['pid']} has been running study {holder['study']} since {holder['since']}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # the holder is just writing it
        return "another process has just taken it"


class SameFile:
    """A database that was opened, by the file that it was then.

    SQLite goes on writing to a file that was deleted or replaced, and tells nobody.

    Args:
        url: of the database.
        results: the folder in which the study's trials leave their numbers.
    """

    def __init__(self, url: str, results: Path):
        self._path, self._results = database_path(url), results
        self._file = self._identity()

    def check(self) -> None:
        """See whether it is still there.

        Raises:
            StorageError: it is not; the message says how its trials are found again.
        """
        if self._identity() != self._file:
            raise StorageError(
                f"{self._path} was deleted or replaced while the study ran; nothing more is written to it. What its "
                f"trials found is in {self._results}: move away what is at the database's place now, and give the "
                "same command with --adopt"
            )

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino


@contextmanager
def storage_trouble(url: str) -> Iterator[None]:
    """Turn what SQLite reports into one StorageError; the original stays attached as its cause."""
    try:
        yield
    except (sqlite3.Error, sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        cause = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else error
        text = str(getattr(cause, "orig", None) or cause or error).splitlines()[0]
        raise StorageError(f"{database_path(url)}: {text}") from error


def open_storage(url: str, *, write: bool) -> RDBStorage:
    """Optuna's storage on the database; made if missing when `write`.

    Raises:
        StudyRefused: it is missing and not to be written.
        StorageError: it is not a healthy SQLite database.
    """
    path = database_path(url)
    if not write and not path.is_file():
        raise StudyRefused(f"there is no database at {path}; give --storage, or run a study first")
    with storage_trouble(url):
        if write:
            _prepare(path)
        engine_kwargs = {"connect_args": {"timeout": BUSY_SECONDS}}
        there = path.resolve()  # beside which SQLite keeps its log
        url = address(there, frozen=True) if not write and is_frozen(there) else address(path)
        try:
            storage = RDBStorage(url, engine_kwargs=engine_kwargs, skip_table_creation=not write)
        except RuntimeError as error:  # made by another version of Optuna
            raise StorageError(f"{path}: {' '.join(str(error).split())}") from error
        sqlalchemy.event.listen(storage.engine, "connect", _set_durable)
        storage.engine.dispose()  # connections made before the listener
        return storage


def is_frozen(path: Path) -> bool:
    """Whether a database cannot be written to from here, as on a read-only medium; SQLite then cannot lock it either.

    It is read as it stands: of somebody else's, what he writes from then on is not seen. Where the last writer was
    killed its log lies beside the file, and has to be read with it.

    Args:
        path: of the file itself, not of a link to it.
    """
    logs = (path.with_name(path.name + ending) for ending in ("-wal", "-shm"))
    return not os.access(path.parent, os.W_OK, effective_ids=True) and not any(log.exists() for log in logs)


def snapshot(url: str, folder: Path) -> str:
    """A copy of the database as it stands, in `folder`; returns its address. A run that writes is not disturbed.

    Raises:
        StudyRefused: there is no database.
        StorageError: it is damaged, or cannot be read.
    """
    path = database_path(url)
    if not path.is_file():
        raise StudyRefused(f"there is no database at {path}; give --storage, or run a study first")
    copy = folder / path.name
    with storage_trouble(url):
        frozen = is_frozen(path.resolve())
        source = sqlite3.connect(file_uri(path.resolve()) if frozen else path, timeout=BUSY_SECONDS, uri=frozen)
        target = sqlite3.connect(copy)
        try:
            source.backup(target)
        finally:
            source.close()
            target.close()
    return address(copy)


def forget(url: str, keys: Sequence[str]) -> None:
    """Drop these attributes of all trials, from a copy for people to look at."""
    with sqlite3.connect(database_path(url), timeout=BUSY_SECONDS) as connection:
        connection.executemany("DELETE FROM trial_user_attributes WHERE key = ?", [(key,) for key in keys])
    connection.close()


def _prepare(path: Path) -> None:
    """Switch the file to WAL, which it keeps, and refuse a damaged one before anything is added to it."""
    with sqlite3.connect(path, timeout=BUSY_SECONDS) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    connection.close()
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"the database is damaged ({verdict.splitlines()[-1]})")


def _set_durable(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA synchronous=FULL")


def open_study(storage: RDBStorage, name: str, fingerprint: Mapping[str, Any]) -> optuna.Study:
    """Create the study, or continue the one of that name if its fingerprint is the same.

    The study keeps `fingerprint` and a random `study_id` as user attributes.

    Raises:
        StudyRefused: it was made with another fingerprint; each differing field with both values.
    """
    if name not in optuna.get_all_study_names(storage):
        study = optuna.create_study(storage=storage, study_name=name, directions=DIRECTIONS)
    else:
        study = optuna.load_study(study_name=name, storage=storage)
        if [direction.name.lower() for direction in study.directions] != list(DIRECTIONS):
            raise StudyRefused(f"study {name} has other objectives than this program's; give another --study")
    stored = study.user_attrs.get(FINGERPRINT)
    if stored is None:
        if study.get_trials(deepcopy=False):
            raise StudyRefused(f"study {name} was not made by this program; give another --study")
        # A run that was killed between the two steps left a study without a fingerprint: this completes it.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(list(METRIC_NAMES))
        study.set_user_attr(STUDY_ID, uuid.uuid4().hex)
        study.set_user_attr(FINGERPRINT, dict(fingerprint))
        return study
    _check_attributes(study)
    if stored != (now := json.loads(json.dumps(dict(fingerprint)))):
        raise StudyRefused(
            f"study {name} was made with other settings: {'; '.join(differing(stored, now))}. "
            "Its trials could not be compared with new ones: give the same settings, or another --study"
        )
    return study


def differing(then: Mapping[str, Any], now: Mapping[str, Any], inside: str = "") -> list[str]:
    """Each field with both values; of one that has fields itself those that differ."""
    found = []
    for key in {**then, **now}:
        before, after = then.get(key), now.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            found += differing(before, after, f"{key}.")
        elif before != after:
            found.append(f"{inside}{key} ({before} then, {after} now)")
    return found


def load_study(url: str, name: str) -> optuna.Study:
    """A study for reading.

    Raises:
        StudyRefused: there is no such study; the message names those that there are.
        StorageError: the database cannot be read.
    """
    storage = open_storage(url, write=False)
    with storage_trouble(url):
        names = optuna.get_all_study_names(storage)
        if name not in names:
            there = ", ".join(sorted(names)) or "none"
            raise StudyRefused(f"there is no study {name} in {database_path(url)}. Studies there: {there}")
        study = optuna.load_study(study_name=name, storage=storage)
        if FINGERPRINT not in study.user_attrs:
            raise StudyRefused(f"study {name} was not made by this program")
        _check_attributes(study)
        return study


def _check_attributes(study: optuna.Study) -> None:
    """Of those that are read in many places, once; the others are checked where they are read."""
    try:
        number = damaged_queue(study)
    except (LookupError, TypeError, ValueError, AttributeError, AssertionError) as error:
        why = f"{type(error).__name__}: {error}"
        raise StorageError(f"study {study.study_name} is damaged: Optuna cannot read its trials ({why})") from error
    if number is not None:
        name = study.study_name
        raise StorageError(f"study {name} is damaged: the queued parameters of trial {number} must be an object")
    for key, kind, words in ((FINGERPRINT, dict, "an object"), (STUDY_ID, str, "a text"), (OPTIONS, dict, "an object")):
        value = study.user_attrs.get(key)
        if not isinstance(value, kind) and not (key == OPTIONS and value is None):
            received = "nothing" if value is None else type(value).__name__
            raise StorageError(
                f"study {study.study_name} is damaged: its attribute {key} must be {words}. Received: {received}"
            )
