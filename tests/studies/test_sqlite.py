"""A database in a file: durable, refused where it is damaged, and read where nothing can be written."""

import os
import sqlite3
import tempfile
from pathlib import Path

import pytest

from studies import storage
from studies.errors import StorageError, StudyRefused
from studies.optuna_private import close_connections
from studies.url import address, database_path


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'studies.db'}"


def make(url):
    return storage.open_study(storage.open_storage(url, write=True), "s", {"seed": 0})


def test_wal_and_full_synchronous(url, tmp_path):
    opened = storage.open_storage(url, write=True)
    with opened.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 60_000


@pytest.mark.parametrize(
    "content", [b"this is no database, whatever its name says" * 50, b"SQLite format 3\0" + b"\1" * 5000]
)
def test_a_file_that_is_no_database(url, tmp_path, content):
    path = tmp_path / "studies.db"
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"studies\.db: "):
        storage.open_storage(url, write=True)
    assert path.read_bytes() == content


def test_a_damaged_database_is_found_before_anything_is_added(url, tmp_path):
    study = make(url)
    for i in range(300):
        study.enqueue_trial({"x": i})
    path = tmp_path / "studies.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    close_connections(study)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 8192] = b"\7" * 8192
    path.write_bytes(data)
    with pytest.raises(StorageError, match=r"studies\.db: "):
        storage.open_storage(url, write=True)


@pytest.mark.slow
def test_a_percent_sign_names_one_file_for_all(tmp_path):
    url = f"sqlite:///{tmp_path}/a%20b%25.db"
    with storage.database_lock(url, "s"):
        make(url)
    beside = {"a b%.db-wal", "a b%.db-shm"}  # of SQLite, while it is open
    assert {path.name for path in tmp_path.iterdir()} - beside == {"a b%.db", "a b%.db.lock"}
    assert storage.load_study(url, "s").study_name == "s"
    (tmp_path / "copy").mkdir()
    assert storage.load_study(storage.snapshot(url, tmp_path / "copy"), "s").study_name == "s"


def test_a_link_to_the_database_shares_its_lock(url, tmp_path):
    (tmp_path / "link.db").symlink_to(tmp_path / "studies.db")
    with (
        storage.database_lock(url, "first"),
        pytest.raises(StudyRefused, match="in use"),
        storage.database_lock(f"sqlite:///{tmp_path}/link.db", "second"),
    ):
        pass


def test_a_database_of_another_optuna(url, tmp_path):
    make(url)
    with sqlite3.connect(tmp_path / "studies.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v0.9.0.a'")
    connection.close()
    with pytest.raises(StorageError, match=r"studies\.db: "):
        storage.open_storage(url, write=True)


@pytest.fixture
def read_only(tmp_path):
    """A folder that may be read and not written to, also by root."""
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to all others
        folder = Path(name)
        folder.chmod(0o755)
        uid = os.geteuid()
        yield folder, lambda: os.seteuid(65534) if uid == 0 else folder.chmod(0o555)
        os.seteuid(uid)
        folder.chmod(0o755)


@pytest.mark.parametrize("name", ["studies.db", "a b%25?ä.db"])
def test_a_study_on_a_read_only_medium_can_be_read(read_only, name, tmp_path):
    folder, close = read_only
    url = address(folder / name)
    study = make(url)
    study.tell(study.ask(), [0.5, 1.0, 2.0])
    with sqlite3.connect(folder / name) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    for ending in ("-wal", "-shm"):  # which are gone when the last connection of a process ends
        (folder / (name + ending)).unlink()
    close()
    assert [trial.values for trial in storage.load_study(url, "s").trials] == [[0.5, 1.0, 2.0]]
    with tempfile.TemporaryDirectory() as aside:
        copy = storage.snapshot(url, Path(aside))
        assert len(storage.load_study(copy, "s").trials) == 1


def test_what_a_killed_writer_left_in_its_log_is_read_on_a_read_only_medium_too(read_only, url):
    folder, close = read_only
    study = make(url)
    study.tell(study.ask(), [0.5, 1.0, 2.0])
    for path in Path(database_path(url)).parent.glob("studies.db*"):  # while the writer has it open
        (folder / path.name).write_bytes(path.read_bytes())
    assert (folder / "studies.db-wal").stat().st_size > 0
    (folder / "link.db").symlink_to("studies.db")  # beside which there is no log
    close()
    for name in ("studies.db", "link.db"):
        assert len(storage.load_study(address(folder / name), "s").trials) == 1
