"""A database in a file of SQLite: made durable, looked at before it is written to, copied while it is in use."""

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sqlalchemy
from optuna.storages import RDBStorage

from studies.errors import StorageError, StudyRefused
from studies.url import address, database_path, file_uri

BUSY_SECONDS = 60


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


def check_there(url: str, write: bool) -> None:
    """Raises StudyRefused where there is no file and none is to be made."""
    path = database_path(url)
    if not write and not path.is_file():
        raise StudyRefused(f"there is no database at {path}; give --storage, or run a study first")


def open_file(url: str, *, write: bool) -> RDBStorage:
    """Optuna's storage on a file; made if missing when `write`.

    Raises:
        sqlite3.Error, sqlalchemy.exc.SQLAlchemyError: it is no healthy database.
        RuntimeError: it was made by another version of Optuna.
    """
    path = database_path(url)
    if write:
        _prepare(path)
    engine_kwargs = {"connect_args": {"timeout": BUSY_SECONDS}}
    there = path.resolve()  # beside which SQLite keeps its log
    url = address(there, frozen=True) if not write and is_frozen(there) else address(path)
    storage = RDBStorage(url, engine_kwargs=engine_kwargs, skip_table_creation=not write)
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


def file_snapshot(url: str, folder: Path) -> str:
    """A copy as the file stands, in `folder`; returns its address. Who writes to it is not disturbed.

    Raises:
        sqlite3.Error: it is damaged, or cannot be read.
    """
    path = database_path(url)
    copy, frozen = folder / path.name, is_frozen(path.resolve())
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
