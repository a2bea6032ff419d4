"""A server of PostgreSQL: one writer for each study, and nothing lost or twice when it goes away."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from studies import waiting_storage
from studies.errors import StorageError, StudyRefused
from studies.postgresql import StudyLock, study_lock
from studies.storage import database_lock, load_study, open_storage, snapshot
from tests.postgresql import Server, begun


@pytest.fixture
def url(server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(waiting_storage, "POLL_SECONDS", 0.05)
    server.empty()
    return server.url


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
        _, study = begun(url)
        with study_lock(url, "s"):
            server.kill()
            server.start()
            with (
                study_lock(url, "s"),
                pytest.raises(
                    StorageError, match="another run has written to study s while the server was away: keras"
                ),
            ):
                study.set_user_attr("a", 1)
        assert "a" not in load_study(url, "s").user_attrs

    def test_a_writer_who_came_and_went_is_noticed_too(self, server: Server, url: str) -> None:
        _, study = begun(url)
        with study_lock(url, "s"):
            server.kill()
            server.start()
            with study_lock(url, "s"):
                pass
            with pytest.raises(StorageError, match="another run has written to study s while the server was away$"):
                study.ask()
        assert load_study(url, "s").trials == []

    def test_a_server_that_goes_while_it_is_taken_is_waited_for(
        self, server: Server, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        locked, left = StudyLock._locked, [True]

        def lost(self: StudyLock) -> Any:
            if left:
                left.clear()
                server.kill()
                server.start()
            return locked(self)

        monkeypatch.setattr(StudyLock, "_locked", lost)
        with study_lock(url, "s"), pytest.raises(StudyRefused, match="is in use"), study_lock(url, "s"):
            pass
        assert not left

    def test_of_another_study_nobody_minds(self, server: Server, url: str) -> None:
        _, study = begun(url)
        with study_lock(url, "s"):
            server.kill()
            server.start()
            with study_lock(url, "t"):
                study.ask()
        assert len(load_study(url, "s").trials) == 1

    @pytest.mark.parametrize("name", ["s", "größe"])
    def test_a_session_of_ours_that_was_cut_off_is_ended(self, url: str, name: str) -> None:
        with study_lock(url, name) as lock:
            cut_off = lock._connection
            lock._connection = type("Gone", (), {"execute": gone, "close": gone_quietly, "closed": True})()
            lock.check()
            with pytest.raises(Exception, match="terminating connection"):
                cut_off.execute("SELECT 1")
            cut_off.close()

    def test_without_a_server_it_is_said_in_a_line(self) -> None:
        with pytest.raises(StorageError, match=r"^postgresql://me@127.0.0.1:1/x: .*[Cc]onnection refused[^\n]*$"):
            study_lock("postgresql://me@127.0.0.1:1/x", "s").__enter__()
        for write in (True, False):
            with pytest.raises(StorageError, match=r"^postgresql://me@127.0.0.1:1/x: .*[Cc]onnection refused[^\n]*$"):
                open_storage("postgresql://me@127.0.0.1:1/x", write=write)

    def test_an_option_that_there_is_not_is_said_in_a_line(self, url: str) -> None:
        for use in (
            lambda: study_lock(f"{url}?foo=1", "s").__enter__(),
            lambda: open_storage(f"{url}?foo=1", write=True),
        ):
            with pytest.raises(StorageError, match=r'^postgresql://.*foo=1: .*"foo"[^\n]*$'):
                use()


def gone_quietly(*_: Any) -> None:
    pass


def gone(*_: Any) -> None:
    import psycopg

    raise psycopg.OperationalError("the connection is lost")


class TestReading:
    def test_an_empty_database_has_no_studies(self, url: str) -> None:
        with pytest.raises(StudyRefused, match=r"there are no studies in postgresql://.*; give --storage"):
            load_study(url, "s")

    def test_what_may_not_be_read_is_said_as_it_is(self, server: Server, url: str) -> None:
        begun(url)
        server.do("CREATE ROLE somebody LOGIN")
        try:
            with pytest.raises(StorageError, match="permission denied"):
                load_study(url.replace("postgres@", "somebody@"), "s")
        finally:
            server.do("DROP ROLE somebody")

    def test_several_may_make_the_tables_at_once(self, url: str) -> None:
        with ThreadPoolExecutor(6) as pool:
            studies = list(pool.map(lambda n: begun(url, f"s{n}")[1].study_name, range(6)))
        assert studies == [f"s{n}" for n in range(6)]

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
