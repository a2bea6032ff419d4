"""The right to write to a study in PostgreSQL: each has one writer.

It holds an advisory lock of a session of its own, which the server lets go of when the process or its connection ends.
A connection that is lost is waited for, and the lock taken again before anything is written
(`studies.waiting_storage`). Each writer leaves its mark in a table: so the one before sees that another has been there,
also when that one has gone again.
"""

import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from studies.errors import StorageError, StudyRefused
from studies.waiting_storage import ALIVE, GUARDS, MAKING, ConnectionLost, driver, first_line, is_lost, wait_for

GRACE_ATTEMPTS, GRACE_SECONDS = 5, 0.2  # until the server has noticed that a process is no more
NAME_BYTES = 63  # what PostgreSQL keeps of the name of a program
HOLDER = """
    SELECT activity.application_name, activity.client_addr, activity.backend_start, activity.pid
    FROM pg_locks AS held JOIN pg_stat_activity AS activity USING (pid)
    WHERE held.locktype = 'advisory' AND held.granted AND held.database = (
        SELECT oid FROM pg_database WHERE datname = current_database())
    AND (held.classid::bigint << 32 | held.objid::bigint) = %s AND held.objsubid = 1
"""
MARKS = "CREATE TABLE IF NOT EXISTS keras_hpo_writers (study text PRIMARY KEY, mark text NOT NULL)"
LEAVE_MARK = """
    INSERT INTO keras_hpo_writers VALUES (%s, %s) ON CONFLICT (study) DO UPDATE SET mark = EXCLUDED.mark
"""
READ_MARK = "SELECT mark FROM keras_hpo_writers WHERE study = %s"


class StudyLock:
    """The right to write to one study, held in a session of its own for as long as it lives. Made by `study_lock`.

    Args:
        url: of the database.
        study: the study's name.
    """

    def __init__(self, url: str, study: str):
        driver(url)
        import psycopg

        self._url, self._study, self._mark = url, study, secrets.token_hex(8)
        self._session: int | None = None  # the number of the process that serves it
        name = f"keras-hpo {os.getpid()}@{socket.gethostname()[:20]} {study}"
        self._name = name.encode("ascii", "replace").decode()[:NAME_BYTES]
        try:
            self._connection = self._connect()
        except psycopg.Error as error:
            raise StorageError(f"{url}: {first_line(error)}") from error
        wait_for(lambda: self._take(first=True), url)
        GUARDS.setdefault(url, []).append(self.check)

    def check(self) -> None:
        """See whether it is still held; after a lost connection it is taken again.

        Raises:
            StorageError: another run has taken it meanwhile.
        """
        import psycopg

        try:
            self._connection.execute("SELECT 1")
        except psycopg.OperationalError:
            self._close()
            wait_for(lambda: self._take(first=False), self._url)

    def release(self) -> None:
        """Let go of it."""
        GUARDS[self._url].remove(self.check)
        self._close()

    def _close(self) -> None:
        """The server notices a closed connection only some time after, so that it is told first."""
        import psycopg

        with suppress(psycopg.OperationalError):  # it is gone already
            self._connection.execute("SELECT pg_advisory_unlock_all()")
        self._connection.close()

    def _connect(self) -> Any:
        import psycopg

        return psycopg.connect(self._url, autocommit=True, application_name=self._name, **ALIVE)

    def _take(self, first: bool) -> None:
        import psycopg

        try:
            if self._connection.closed:
                self._connection = self._connect()
            holder = self._locked()
            other = holder is None and not first and self._connection.execute(READ_MARK, (self._study,)).fetchone()
            if holder is None and (not other or other[0] == self._mark):
                with self._connection.transaction():
                    self._connection.execute("SELECT pg_advisory_xact_lock(%s)", (MAKING,))
                    self._connection.execute(MARKS)
                    self._connection.execute(LEAVE_MARK, (self._study, self._mark))
                return
            if holder and (holder[0], holder[3]) == (self._name, self._session):  # of ours, that was cut off
                self._connection.execute("SELECT pg_terminate_backend(%s)", (holder[3],))
                self._connection.close()
                raise ConnectionLost
        except psycopg.Error as error:
            self._connection.close()
            if is_lost(error):
                raise ConnectionLost from error
            raise StorageError(f"{self._url}: {first_line(error)}") from error
        self._connection.close()
        if first:
            raise StudyRefused(
                f"study {self._study} in {self._url} is in use: {_said(holder)}. One run at a time writes to a study; "
                "wait for it, stop it, or give another --study"
            )
        raise StorageError(
            f"{self._url}: another run has written to study {self._study} while the server was away"
            + (f": {_said(holder)}" if holder else "")
        )

    def _locked(self) -> Any:
        """None if the lock is taken; else who has it, nobody where it has just been let go of."""
        with self._connection.cursor() as cursor:
            (key,) = cursor.execute("SELECT hashtextextended(%s, 0)", (f"keras-hpo {self._study}",)).fetchone()
            for _ in range(GRACE_ATTEMPTS):
                if cursor.execute("SELECT pg_try_advisory_lock(%s)", (key,)).fetchone()[0]:
                    self._session = self._connection.info.backend_pid
                    return None
                time.sleep(GRACE_SECONDS)
            return cursor.execute(HOLDER, (key,)).fetchone() or ()


@contextmanager
def study_lock(url: str, study: str) -> Iterator[StudyLock]:
    """Hold a study as its one writer. Before anything is written after a lost connection, it is taken again.

    Raises:
        StudyRefused: another process has it; the message names the holder.
        StorageError: the server cannot be reached.
    """
    lock = StudyLock(url, study)
    try:
        yield lock
    finally:
        lock.release()


def _said(holder: Any) -> str:
    if not holder:
        return "another process has just let go of it; try again"
    name, where, since, _ = holder  # none of another user's, unless one may see all
    parts = (
        name or "a program of another user",
        f"at {where}" if where else "",
        f"since {since:%F %T}" if since else "",
    )
    return " ".join(filter(None, parts))
