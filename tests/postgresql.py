"""A server of PostgreSQL for tests, which can be killed and started again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest

from studies.storage import open_storage, open_study
from studies.waiting_storage import WaitingStorage

FINGERPRINT = {"backbone": "vgg19"}
USER = "postgres"  # as whom a server runs where tests are root's, which PostgreSQL refuses


class Server:
    """On a free port and a Unix socket, with a database `studies` for anybody on this machine.

    Args:
        programs: folder of initdb and postgres.
        folder: for its data.
    """

    def __init__(self, programs: Path, folder: Path):
        self._programs, self._folder = programs, folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"postgresql://{USER}@127.0.0.1:{self.port}/studies"
        self._process: subprocess.Popen[bytes] | None = None
        options = ["--auth=trust", f"--username={USER}", "--encoding=UTF8", "--locale=C", "--no-sync"]
        subprocess.run([programs / "initdb", "-D", folder / "data", *options], check=True, capture_output=True, **_as())
        self.start()
        self.do("CREATE DATABASE studies", "postgres")

    def start(self) -> None:
        """Start it and wait until it answers."""
        assert self._process is None
        command = [self._programs / "postgres", "-D", self._folder / "data", "-k", self._folder, "-p", str(self.port)]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, **_as()
        )
        for _ in range(200):
            try:
                self.do("SELECT 1", "postgres")
                return
            except Exception:  # it is not there yet
                time.sleep(0.05)
        raise AssertionError("the server does not start")

    def kill(self) -> None:
        """SIGKILL, to it and all of its processes."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None
        (self._folder / "data" / "postmaster.pid").unlink(missing_ok=True)

    def do(self, statement: str, database: str = "studies") -> list[tuple[object, ...]]:
        """The rows that a statement gives."""
        import psycopg

        with psycopg.connect(self.url.replace("/studies", f"/{database}"), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def empty(self) -> None:
        """Let go of whoever is connected, and of all studies."""
        self.do("DROP DATABASE studies WITH (FORCE)", "postgres")
        self.do("CREATE DATABASE studies", "postgres")


def begun(url: str, name: str = "s") -> tuple[WaitingStorage, optuna.Study]:
    """The storage of a server, and a study in it."""
    storage = open_storage(url, write=True)
    assert isinstance(storage, WaitingStorage)
    return storage, open_study(storage, name, FINGERPRINT)


@contextmanager
def running() -> Iterator[Server]:
    """A server while tests run; skips where there is none to be run."""
    pytest.importorskip("psycopg", reason="psycopg is missing: extra cluster")
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is missing: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # paths of sockets are short
    if os.geteuid() == 0:
        shutil.chown(folder, USER)
    server = Server(programs, folder)
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder)


def _programs() -> Path | None:
    """Debian keeps them off the PATH."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    return folders[-1] if folders else None


def _as() -> dict[str, object]:
    return {"user": USER, "group": USER, "extra_groups": [], "cwd": "/"} if os.geteuid() == 0 else {}
