"""The database: durable, one writer, refusing what it cannot use, and never losing what was acknowledged."""

import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
import sqlalchemy

from studies import storage
from studies.errors import StorageError, StudyRefused

FINGERPRINT = {"backbone": "vgg19", "seed": 0, "space": {"resolution": [32, 64]}}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """Of a database of each kind, empty."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'studies.db'}"
    server = request.getfixturevalue("server")
    server.empty()
    return server.url


def make(url, name="s", fingerprint=FINGERPRINT):
    return storage.open_study(storage.open_storage(url, write=True), name, fingerprint)


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
    with pytest.raises(StudyRefused, match="there is no database at|there are no studies in"):
        storage.load_study(url, "s")
    assert list(tmp_path.iterdir()) == []  # looking for it did not make it
    make(url)
    make(url, "t")
    with pytest.raises(StudyRefused, match="there is no study x in .* Studies there: s, t"):
        storage.load_study(url, "x")
    assert storage.load_study(url, "s").study_name == "s"


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
            pytest.raises(StudyRefused, match=rf"in use: (process|keras-hpo) {holder.pid}\b.* since 2"),
            storage.database_lock(url, "first"),
        ):
            pass
        holder.kill()
    with storage.database_lock(url, "first"):  # the lock died with its holder
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
            engine = storage.open_storage(url, write=False).engine
            with engine.connect() as reader:  # a dashboard in the middle of a read
                reader.execute(sqlalchemy.text("SELECT count(*) FROM trials")).fetchone()
                end = time.monotonic() + 0.3
                while time.monotonic() < end:
                    acknowledged.append(int(writer.stdout.readline()))
                writer.send_signal(signal.SIGKILL)
            engine.dispose()
    trials = storage.load_study(url, "s").trials
    complete = {trial.number for trial in trials if trial.state.is_finished()}
    assert set(acknowledged) <= complete
    if url.startswith("sqlite"):
        with sqlite3.connect(tmp_path / "studies.db") as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        connection.close()
    assert [trial.number for trial in trials] == list(range(len(trials)))


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
