"""The database: durable, one writer, refusing what it cannot use, and never losing what was acknowledged."""

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import optuna
import pytest

from studies import storage
from studies.errors import StorageError, StudyRefused
from studies.optuna_private import close_connections
from studies.url import address, database_path

FINGERPRINT = {"backbone": "vgg19", "seed": 0, "space": {"resolution": [32, 64]}}


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'studies.db'}"


def make(url, name="s", fingerprint=FINGERPRINT):
    return storage.open_study(storage.open_storage(url, write=True), name, fingerprint)


def test_wal_and_full_synchronous(url, tmp_path):
    opened = storage.open_storage(url, write=True)
    with opened.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 60_000


def test_three_named_objectives(url):
    study = make(url)
    assert study.metric_names == ["val_accuracy (share right)", "latency (ms)", "FLOPs"]
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE", "MINIMIZE"]


def test_the_same_fingerprint_continues(url):
    first = make(url)
    first.enqueue_trial({"x": 1})
    again = make(url)
    assert len(again.trials) == 1
    assert again.user_attrs["study_id"] == first.user_attrs["study_id"]


def test_another_fingerprint_is_refused_with_the_differing_fields(url):
    make(url)
    with pytest.raises(StudyRefused) as refusal:
        make(url, fingerprint={**FINGERPRINT, "seed": 1, "epochs": 3})
    text = str(refusal.value)
    assert "seed (0 then, 1 now)" in text
    assert "epochs (None then, 3 now)" in text
    assert "backbone" not in text


def test_a_foreign_study_is_refused(url):
    opened = storage.open_storage(url, write=True)
    optuna.create_study(storage=opened, study_name="s", direction="minimize")
    with pytest.raises(StudyRefused, match="other objectives"):
        storage.open_study(opened, "s", FINGERPRINT)
    foreign = optuna.create_study(storage=opened, study_name="t", directions=["maximize", "minimize", "minimize"])
    foreign.enqueue_trial({"x": 1})
    with pytest.raises(StudyRefused, match="not made by this program"):
        storage.open_study(opened, "t", FINGERPRINT)


def test_killed_between_creation_and_fingerprint(url):
    optuna.create_study(
        storage=storage.open_storage(url, write=True), study_name="s", directions=["maximize", "minimize", "minimize"]
    )
    study = make(url)
    assert study.user_attrs["fingerprint"] == FINGERPRINT
    assert study.metric_names == ["val_accuracy (share right)", "latency (ms)", "FLOPs"]


def test_reading_needs_the_database_and_the_study(url, tmp_path):
    with pytest.raises(StudyRefused, match="there is no database at"):
        storage.load_study(url, "s")
    assert list(tmp_path.iterdir()) == []  # looking for it did not make it
    make(url)
    make(url, "t")
    with pytest.raises(StudyRefused, match="there is no study x in .* Studies there: s, t"):
        storage.load_study(url, "x")
    assert storage.load_study(url, "s").study_name == "s"


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


HOLDER = """
import sys
from studies import storage
from studies.optuna_private import close_connections
with storage.database_lock(sys.argv[1], "first"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_second_writer_is_told_who_holds_it(url):
    with subprocess.Popen([sys.executable, "-c", HOLDER, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        with (
            pytest.raises(StudyRefused, match=rf"in use: process {holder.pid} has been running study first since 2"),
            storage.database_lock(url, "second"),
        ):
            pass
        holder.kill()
    with storage.database_lock(url, "second"):  # the lock died with its holder
        pass


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc, where even root cannot write")
def test_a_lock_is_no_link(tmp_path):
    (tmp_path / "precious").write_text("text")
    (tmp_path / "s.db.lock").symlink_to(tmp_path / "precious")
    with (
        pytest.raises(StorageError, match=r"s\.db\.lock is a link; a lock is a file of its own: remove the link"),
        storage.database_lock(f"sqlite:///{tmp_path}/s.db", "x"),
    ):
        pass
    assert (tmp_path / "precious").read_text() == "text"


def test_a_folder_that_cannot_be_written_to():
    with pytest.raises(StorageError, match="cannot write to /proc"), storage.database_lock("sqlite:////proc/s.db", "s"):
        pass


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StorageError, match="cannot write to"),
        storage.database_lock(f"sqlite:///{tmp_path}/file/s.db", "s"),
    ):
        pass


WRITER = """
import sys
from studies import storage
from studies.optuna_private import close_connections
study = storage.open_study(storage.open_storage(sys.argv[1], write=True), "s", {})
for i in range(10_000):
    trial = study.ask()
    trial.set_user_attr("i", i)
    study.tell(trial, (0.5, 1.0, float(i)))
    print(trial.number, flush=True)
"""


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


def test_what_was_acknowledged_survives_a_kill_while_a_reader_looks_on(url, tmp_path):
    make(url, fingerprint={})
    acknowledged: list[int] = []
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", WRITER, url],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as writer:
            assert writer.stdout
            acknowledged.append(int(writer.stdout.readline()))
            reader = sqlite3.connect(tmp_path / "studies.db")  # a dashboard in the middle of a read
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM trials").fetchone()
            end = time.monotonic() + 0.3
            while time.monotonic() < end:
                acknowledged.append(int(writer.stdout.readline()))
            writer.send_signal(signal.SIGKILL)
            reader.close()
    trials = storage.load_study(url, "s").trials
    complete = {trial.number for trial in trials if trial.state.is_finished()}
    assert set(acknowledged) <= complete
    with sqlite3.connect(tmp_path / "studies.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    connection.close()
    assert [trial.number for trial in trials] == list(range(len(trials)))


def test_a_link_to_the_database_shares_its_lock(url, tmp_path):
    (tmp_path / "link.db").symlink_to(tmp_path / "studies.db")
    with (
        storage.database_lock(url, "first"),
        pytest.raises(StudyRefused, match="in use"),
        storage.database_lock(f"sqlite:///{tmp_path}/link.db", "second"),
    ):
        pass


def test_a_folder_of_results_has_one_writer(tmp_path):
    with (
        storage.writer_lock(tmp_path / "s" / ".lock", "first"),
        pytest.raises(StudyRefused, match=rf"{tmp_path}/s is in use"),
        storage.writer_lock(tmp_path / "s" / ".lock", "second"),
    ):
        pass


def test_a_study_of_another_program_is_not_read(url):
    opened = storage.open_storage(url, write=True)
    optuna.create_study(storage=opened, study_name="plain", direction="minimize")
    with pytest.raises(StudyRefused, match="plain was not made by this program"):
        storage.load_study(url, "plain")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("fingerprint", [1], "its attribute fingerprint must be an object. Received: list"),
        ("study_id", None, "its attribute study_id must be a text. Received: nothing"),
        ("study_id", 3, "its attribute study_id must be a text. Received: int"),
        ("options", "x", "its attribute options must be an object. Received: str"),
    ],
)
def test_a_study_that_someone_has_changed_is_refused_at_the_door(url, key, value, said):
    study = make(url)
    study.set_user_attr(key, value)
    for opens in (lambda: storage.load_study(url, "s"), lambda: make(url)):
        with pytest.raises(StorageError, match=f"^study s is damaged: {said}$"):
            opens()


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
