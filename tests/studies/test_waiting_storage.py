"""A server that goes away while something is asked or written: nothing is lost, and nothing there twice."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.storages import RDBStorage

from studies import waiting_storage
from studies.storage import load_study, open_storage
from studies.waiting_storage import ConnectionLost, WaitingStorage
from tests.postgresql import Server, begun

VALUES = [0.5, 1.0, 2.0]


@pytest.fixture
def url(server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(waiting_storage, "POLL_SECONDS", 0.05)
    server.empty()
    return server.url


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
            lambda storage, study, trial: (study.enqueue_trial({"x": 0.75}), study.ask())[1],
        ],
        ids=["ask", "tell", "enqueue", "suggest", "attribute of a trial", "attribute of a study", "new study", "claim"],
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
        lost = lose_once(monkeypatch, done)
        write(storage, study, trial)
        monkeypatch.undo()
        assert lost
        lossy = state(url)
        assert lossy != before
        # the same without any loss, in another study of the same kind
        storage, study = begun(url, "t")
        study.enqueue_trial({"x": 0.25})
        write(storage, study, study.ask()) if "new" not in lossy["names"] else None
        if "new" not in lossy["names"]:
            assert lossy["trials"] == state(url, "t")["trials"]
            assert lossy["attributes"] == state(url, "t")["attributes"]

    @pytest.mark.parametrize("done", [False, True], ids=["before the commit", "after the commit"])
    def test_parameters_that_wait_are_there_once(self, url: str, done: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of a trial after the first, with what is written next."""
        _, study = begun(url)
        study.ask().suggest_float("x", 0, 1)
        study.enqueue_trial({"x": 0.25})
        trial = study.ask()
        lost = lose_once(monkeypatch, done)
        trial.suggest_float("x", 0, 1)
        assert not lost
        trial.set_user_attr("a", 1)
        monkeypatch.undo()
        assert lost
        (*_, params, user_attrs, _) = state(url)["trials"][1]
        assert (params, user_attrs) == ({"x": 0.25}, {"a": 1})

    def test_what_a_session_that_was_cut_off_still_commits_is_waited_for(self, server: Server, url: str) -> None:
        """The trial that is being made, as Optuna makes it: with the row of its study locked."""
        import psycopg

        storage, study = begun(url)
        storage.create_new_trial(1)
        other = psycopg.connect(url)
        other.execute("SELECT 1 FROM studies WHERE study_id = 1 FOR UPDATE")
        other.execute("INSERT INTO trials (number, study_id, state, datetime_start) VALUES (1, 1, 'RUNNING', now())")
        original, calls = RDBStorage._create_new_trial, []

        def lost(self: Any, *args: Any) -> Any:
            if calls:
                return original(self, *args)
            calls.append(threading.Timer(0.5, other.commit))
            calls[0].start()
            raise ConnectionLost

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(RDBStorage, "_create_new_trial", lost)
            patch.setattr(WaitingStorage, "_count", counted_before(storage))
            assert study.ask().number == 1
        calls[0].join()
        other.close()
        assert [trial.number for trial in load_study(url, "s").trials] == [0, 1]

    @pytest.mark.parametrize("done", [False, True], ids=["before the commit", "after the commit"])
    @pytest.mark.parametrize("queues", [False, True], ids=["ask", "enqueue"])
    def test_what_another_process_adds_meanwhile_is_not_taken_for_it(self, url: str, queues: bool, done: bool) -> None:
        _, study = begun(url)
        other = load_study(url, "s")
        original, calls = RDBStorage._create_new_trial, [True]

        def lost(self: Any, *args: Any) -> Any:
            if not calls or self is not study._storage._backend:
                return original(self, *args)
            calls.clear()
            other.enqueue_trial({"x": 0.125})
            if done:
                original(self, *args)
            raise ConnectionLost

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(RDBStorage, "_create_new_trial", lost)
            if queues:
                study.enqueue_trial({"x": 0.5})
            else:
                assert study.ask().number == 1
        fixed = [one.system_attrs.get("fixed_params") for one in load_study(url, "s").trials]
        assert fixed == [{"x": 0.125}, {"x": 0.5} if queues else None]

    def test_a_study_that_is_deleted_is_deleted_once(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        storage, _ = begun(url)
        delete, left = RDBStorage.delete_study, [True]

        def lost(self: Any, study_id: int) -> None:
            delete(self, study_id)
            if left:
                left.clear()
                raise ConnectionLost

        monkeypatch.setattr(RDBStorage, "delete_study", lost)
        storage.delete_study(1)
        assert optuna.get_all_study_names(storage) == []

    @pytest.mark.parametrize("number", range(5))
    def test_tables_are_made_although_the_connections_are_lost(self, server: Server, url: str, number: int) -> None:
        """All of them, once, before one of the first commits."""
        left = [number]

        def lose(connection: sqlalchemy.Connection) -> None:
            if not left[0]:
                server.do(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = 'studies' AND pid <> pg_backend_pid()"
                )
            left[0] -= 1

        sqlalchemy.event.listen(sqlalchemy.Engine, "commit", lose)
        try:
            _, study = begun(url)
        finally:
            sqlalchemy.event.remove(sqlalchemy.Engine, "commit", lose)
        assert left[0] < 0
        study.tell(study.ask(), VALUES)
        assert [trial.values for trial in load_study(url, "s").trials] == [VALUES]
        assert server.do("SELECT count(*) FROM version_info") == server.do("SELECT count(*) FROM alembic_version")

    def test_why_it_is_waited_for_is_said(self, server: Server, url: str, caplog: pytest.LogCaptureFixture) -> None:
        _, study = begun(url)
        server.kill()
        starting = threading.Timer(0.3, server.start)
        starting.start()
        study.set_user_attr("a", 1)
        starting.join()
        said = [record.getMessage() for record in caplog.records if record.name == "studies.waiting_storage"]
        assert re.fullmatch(rf"{url} has not answered for 0 s; waiting for it: .*connection .*", said[0])
        assert said[-1].startswith(f"{url} is back after ")

    def test_a_full_disk_is_no_server_that_went(self, url: str) -> None:
        storage, _ = begun(url)
        with storage.engine.connect() as connection, pytest.raises(sqlalchemy.exc.OperationalError):
            connection.execute(
                sqlalchemy.text("DO $$ BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = '53100'; END $$")
            )


def lose_once(patch: pytest.MonkeyPatch, done: bool) -> list[Any]:
    """Have a connection be lost around the next commit that writes; what is returned is not empty any more then."""
    commit, lost = sqlalchemy.orm.Session.commit, []

    def lose(self: Any) -> None:
        fails = not lost and bool(self.new or self.dirty or self.in_transaction()) and writes(self)
        if not fails or done:
            commit(self)
        if fails:
            lost.append(self)
            raise ConnectionLost

    patch.setattr(sqlalchemy.orm.Session, "commit", lose)
    return lost


def counted_before(storage: WaitingStorage) -> Callable[..., int]:
    """`_count`, but the first time without waiting for whoever is just making a trial."""
    count, first = WaitingStorage._count, [1]
    return lambda self, study_id: first.pop() if first else count(self, study_id)


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
    return {
        "trials": trials,
        "attributes": attributes,
        "names": optuna.get_all_study_names(open_storage(url, write=False)),
    }
