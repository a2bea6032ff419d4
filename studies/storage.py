"""The database: with `studies.sqlite`, `studies.postgresql` and `studies.waiting_storage` all that knows SQL and locks.

One SQLite file in WAL mode with `synchronous=FULL`: readers (a dashboard, an export) never block the writer and a
commit that was acknowledged survives SIGKILL and power loss. One writer at a time, by a lock beside the database. Or a
server of PostgreSQL, where each study has one writer.
"""

import errno
import fcntl
import json
import os
import sqlite3
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.storages import RDBStorage

from studies.attributes import FINGERPRINT, OPTIONS, STUDY_ID
from studies.errors import StorageError, StudyRefused
from studies.objectives import DIRECTIONS, METRIC_NAMES
from studies.one_writer import OneWriterStorage
from studies.optuna_private import damaged_queue
from studies.postgresql import StudyLock, study_lock
from studies.sqlite import SameFile, check_there, file_snapshot, is_frozen, open_file
from studies.transfer import read_contents, write_contents
from studies.url import address, database_path, is_postgresql, place
from studies.waiting_storage import WaitingStorage

NO_TABLE = "42P01"  # as PostgreSQL says it


def database_lock(url: str, study: str) -> AbstractContextManager[StudyLock | None]:
    """Hold the database as its one writer; of PostgreSQL only the study. Links to one file share one lock.

    Raises:
        StudyRefused, StorageError: as `writer_lock`.
    """
    if is_postgresql(url):
        return study_lock(url, study)
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


def watch(url: str, results: Path, lock: StudyLock | None) -> Callable[[], None]:
    """What sees, between the steps of a run, whether the database is still there and ours; raises StorageError if not.

    Args:
        url: of the database, which was opened.
        results: the folder in which the study's trials leave their numbers.
        lock: that is held, of PostgreSQL.
    """
    return SameFile(url, results).check if lock is None else lock.check


def same(first: str, second: str) -> bool:
    """Whether two addresses are known to be of one database."""
    if is_postgresql(first) or is_postgresql(second):
        return first == second
    return database_path(first).resolve() == database_path(second).resolve()


def source_lock(url: str, study: str) -> AbstractContextManager[object]:
    """Hold a study that is to be read as it stands; a file that nobody here can write to needs no lock."""
    if not is_postgresql(url) and is_frozen(database_path(url).resolve()):
        return nullcontext()
    return database_lock(url, study)


def our_studies(storage: RDBStorage) -> list[str]:
    """Names of the studies in a database that this program made, in the order in which they were begun."""
    return [study.study_name for study in storage.get_all_studies() if FINGERPRINT in study.user_attrs]


@contextmanager
def storage_trouble(url: str) -> Iterator[None]:
    """Turn what SQLite reports into one StorageError; the original stays attached as its cause."""
    try:
        yield
    except (sqlite3.Error, sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        cause = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else error
        text = str(getattr(cause, "orig", None) or cause or error).splitlines()[0]
        raise StorageError(f"{place(url)}: {text}") from error


def open_storage(url: str, *, write: bool) -> RDBStorage:
    """Optuna's storage on the database; made if missing when `write`.

    Raises:
        StudyRefused: it is missing and not to be written.
        StorageError: it is not a healthy database.
    """
    if not is_postgresql(url):
        check_there(url, write)
    with storage_trouble(url):
        try:
            return WaitingStorage(url, write=write) if is_postgresql(url) else open_file(url, write=write)
        except RuntimeError as error:  # made by another version of Optuna
            raise StorageError(f"{place(url)}: {' '.join(str(error).split())}") from error
        except optuna.exceptions.StorageInternalError as error:
            if write or getattr(getattr(error.__cause__, "orig", None), "sqlstate", "") != NO_TABLE:
                raise
            raise StudyRefused(f"there are no studies in {place(url)}; give --storage, or run a study first") from error


def snapshot(url: str, folder: Path) -> str:
    """A copy of the database as it stands, in `folder`; returns its address. A run that writes is not disturbed.

    Raises:
        StudyRefused: there is no database.
        StorageError: it is damaged, or cannot be read.
    """
    if is_postgresql(url):
        return _copied(url, folder)
    check_there(url, write=False)
    with storage_trouble(url):
        return file_snapshot(url, folder)


def _copied(url: str, folder: Path) -> str:
    copy = address(folder / "studies.db")
    source, target = open_storage(url, write=False), open_storage(copy, write=True)
    with storage_trouble(url):
        found = [read_contents(source, name) for name in optuna.get_all_study_names(source)]
    for contents in found:
        write_contents(contents, target)
    for opened in (source, target):
        opened.engine.dispose()
    return copy


def open_study(storage: RDBStorage, name: str, fingerprint: Mapping[str, Any]) -> optuna.Study:
    """Create the study, or continue the one of that name if its fingerprint is the same; for its one writer.

    The study keeps `fingerprint` and a random `study_id` as user attributes.

    Raises:
        StudyRefused: it was made with another fingerprint; each differing field with both values.
    """
    known = OneWriterStorage(storage)
    if name not in optuna.get_all_study_names(storage):
        study = optuna.create_study(storage=known, study_name=name, directions=DIRECTIONS)
    else:
        study = optuna.load_study(study_name=name, storage=known)
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
            raise StudyRefused(f"there is no study {name} in {place(url)}. Studies there: {there}")
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
