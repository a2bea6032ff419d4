"""A server of PostgreSQL: one writer for each study, and nothing lost or twice when it goes away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import optuna
import pytest
import sqlalchemy

from studies import postgresql
from studies.errors import StorageError, StudyRefused
from studies.postgresql import ConnectionLost, WaitingStorage, study_lock
from studies.storage import database_lock, load_study, open_storage, open_study, snapshot, watch
from tests.postgresql import Server, running

FINGERPRINT = {"backbone": "vgg19"}
VALUES = [0.5, 1.0, 2.0]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture
def url(server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(postgresql, "POLL_SECONDS", 0.05)
    server.empty()
    return server.url


def begun(url: str, name: str = "s") -> tuple[WaitingStorage, optuna.Study]:
    storage = open_storage(url, write=True)
    assert isinstance(storage, WaitingStorage)
    return storage, open_study(storage, name, FINGERPRINT)


class TestOneWriter:
    def test_a_study_has_one_and_its_holder_is_named(self, url: str) -> None:
        with database_lock(url, "s"):
            with pytest.raises(StudyRefused, match=r"study s in .* is in use: keras-hpo \d+@\S+ s at 127.0.0.1 since"):
                study_lock(url, "s").__enter__()
            with database_lock(url, "t"):  # another study of the same database
                pass
        with database_lock(url, "s"):
            pass

    def test_a_server_that_comes_back_finds_the_same_writer(self, server: Server, url: str) -> None:
        with study_lock(url, "s") as lock:
            server.kill()
            server.start()
            lock.check()
            with pytest.raises(StudyRefused):
                study_lock(url, "s").__enter__()

    def test_of_whom_another_took_it_meanwhile_nothing_is_written(self, server: Server, url: str) -> None:
        storage, study = begun(url)
        with study_lock(url, "s") as lock:
            watch(url, None, storage, lock)  # type: ignore[arg-type]
            server.kill()
            server.start()
            with (
                study_lock(url, "s"),
                pytest.raises(StorageError, match="another run has taken study s while the server was away"),
            ):
                study.set_user_attr("a", 1)
        assert "a" not in load_study(url, "s").user_attrs

    def test_a_session_of_ours_that_was_cut_off_is_ended(self, url: str) -> None:
        with study_lock(url, "s") as lock:
            cut_off = lock._connection
            lock._connection = type("Gone", (), {"execute": gone, "close": gone_quietly})()
            lock.check()
            with pytest.raises(Exception, match="terminating connection"):
                cut_off.execute("SELECT 1")
            cut_off.close()

    def test_without_a_server_it_is_said_in_a_line(self) -> None:
        with pytest.raises(StorageError, match=r"^postgresql://me@127.0.0.1:1/x: .*[Cc]onnection refused[^\n]*$"):
            study_lock("postgresql://me@127.0.0.1:1/x", "s").__enter__()
        with pytest.raises(StorageError, match=r"^postgresql://me@127.0.0.1:1/x: .*[Cc]onnection refused[^\n]*$"):
            open_storage("postgresql://me@127.0.0.1:1/x", write=True)


def gone_quietly(*_: Any) -> None:
    pass


def gone(*_: Any) -> None:
    import psycopg

    raise psycopg.OperationalError("the connection is lost")


class TestReading:
    def test_an_empty_database_has_no_studies(self, url: str) -> None:
        with pytest.raises(StudyRefused, match=r"there are no studies in postgresql://.*; give --storage"):
            load_study(url, "s")

    def test_a_study_that_is_not_there(self, url: str) -> None:
        begun(url)
        with pytest.raises(StudyRefused, match=r"there is no study x in postgresql://.*\. Studies there: s"):
            load_study(url, "x")

    def test_a_snapshot_is_a_file_of_sqlite_with_all_studies(self, url: str, tmp_path: Any) -> None:
        for name in ("s", "t"):
            begun(url, name)[1].ask().set_user_attr("of", name)
        copy = snapshot(url, tmp_path)
        assert copy.startswith("sqlite:///")
        assert [load_study(copy, name).trials[0].user_attrs for name in ("s", "t")] == [{"of": "s"}, {"of": "t"}]


class TestServerThatGoes:
    """It is killed with SIGKILL and started again while something is asked or written."""

    def test_is_waited_for(self, server: Server, url: str) -> None:
        _, study = begun(url)
        trial = study.ask()
        server.kill()
        starting = threading.Timer(0.5, server.start)
        starting.start()
        begin = time.monotonic()
        study.tell(trial, VALUES)
        assert time.monotonic() - begin > 0.4
        starting.join()
        assert [(one.number, one.values) for one in load_study(url, "s").trials] == [(0, VALUES)]

    @pytest.mark.parametrize(
        "write",
        [
            lambda storage, study, trial: study.ask(),
            lambda storage, study, trial: study.tell(trial, VALUES),
            lambda storage, study, trial: study.enqueue_trial({"x": 0.5}),
            lambda storage, study, trial: trial.suggest_float("x", 0, 1),
            lambda storage, study, trial: trial.set_user_attr("a", [1, 2]),
            lambda storage, study, trial: study.set_user_attr("a", [1, 2]),
            lambda storage, study, trial: storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], "new"),
        ],
        ids=["ask", "tell", "enqueue", "suggest", "attribute of a trial", "attribute of a study", "new study"],
    )
    @pytest.mark.parametrize("done", [False, True], ids=["before the commit", "after the commit"])
    def test_what_was_being_written_is_there_once(
        self, url: str, write: Callable[..., Any], done: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As it is where the answer never came: the connection is lost once around the first commit of a write."""
        storage, study = begun(url)
        study.enqueue_trial({"x": 0.25})
        trial = study.ask()
        before = state(url)
        session = sqlalchemy.orm.Session
        commit, left = session.commit, [True]

        def lose(self: Any) -> None:
            fails = left and bool(self.new or self.dirty or self.in_transaction()) and writes(self)
            if fails and not done:
                left.clear()
                raise ConnectionLost
            commit(self)
            if fails:
                left.clear()
                raise ConnectionLost

        monkeypatch.setattr(session, "commit", lose)
        write(storage, study, trial)
        monkeypatch.undo()
        assert not left
        lossy = state(url)
        assert lossy != before
        # the same without any loss, in another study of the same kind
        storage, study = begun(url, "t")
        study.enqueue_trial({"x": 0.25})
        write(storage, study, study.ask()) if "new" not in lossy["names"] else None
        if "new" not in lossy["names"]:
            assert lossy["trials"] == state(url, "t")["trials"]
            assert lossy["attributes"] == state(url, "t")["attributes"]

    def test_a_full_disk_is_no_server_that_went(self, url: str) -> None:
        storage, _ = begun(url)
        with storage.engine.connect() as connection, pytest.raises(sqlalchemy.exc.OperationalError):
            connection.execute(
                sqlalchemy.text("DO $$ BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = '53100'; END $$")
            )


def writes(session: Any) -> bool:
    """Whether a transaction has written anything: PostgreSQL gives it a number then."""
    return session.execute(sqlalchemy.text("SELECT pg_current_xact_id_if_assigned() IS NOT NULL")).scalar_one()


def state(url: str, name: str = "s") -> dict[str, Any]:
    """What is in the database, but for times and the numbers of rows."""
    study = load_study(url, name)
    trials = [
        (one.number, one.state.name, one.values, one.params, one.user_attrs, one.system_attrs) for one in study.trials
    ]
    attributes = {key: value for key, value in study.user_attrs.items() if key != "study_id"}
    return {"trials": trials, "attributes": attributes, "names": optuna.get_all_study_names(study._storage)}
