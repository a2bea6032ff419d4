"""models/reuse/locks.py: one holder at a time, although the lock file comes and goes."""

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from models.reuse.locks import locked, temporary

FORK = multiprocessing.get_context("fork")


def _count(folder: Path) -> None:
    counter = folder / "counter"
    for _ in range(200):
        with locked(folder / "lock") as ours:
            assert ours
            counter.write_text(str(int(counter.read_text()) + 1))  # loses counts unless we are alone


def test_one_holder_at_a_time(tmp_path):
    (tmp_path / "counter").write_text("0")
    processes = [FORK.Process(target=_count, args=(tmp_path,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert (tmp_path / "counter").read_text() == "800"
    assert [path.name for path in tmp_path.iterdir()] == ["counter"]


def test_a_taken_lock_is_not_waited_for(tmp_path):
    with locked(tmp_path / "lock"):
        with locked(tmp_path / "lock", wait=False) as ours:
            assert not ours
        assert (tmp_path / "lock").exists()  # only its holder deletes it
    with locked(tmp_path / "lock", wait=False) as ours:
        assert ours
    assert list(tmp_path.iterdir()) == []


def _take(path: Path, started) -> None:
    started.set()
    with locked(path):
        pass


def test_a_child_that_inherited_the_lock_does_not_keep_it_from_those_who_wait(tmp_path):
    started = FORK.Event()
    with locked(tmp_path / "lock"):
        child = FORK.Process(target=_take, args=(tmp_path / "lock", started))
        child.start()
        assert started.wait(30)
        time.sleep(0.2)  # it waits in the lock now, with the descriptor that it inherited still open
    child.join(10)
    child.kill()
    assert child.exitcode == 0


def test_an_error_in_a_lock_passes_and_no_descriptor_stays_open(tmp_path):
    before = len(os.listdir("/dev/fd"))
    with pytest.raises(KeyError), locked(tmp_path / "lock"):
        raise KeyError
    with pytest.raises(FileNotFoundError), locked(tmp_path / "no" / "lock"):
        pass
    assert len(os.listdir("/dev/fd")) == before
    assert list(tmp_path.iterdir()) == []


def test_a_temporary_file_goes_unless_it_was_renamed(tmp_path):
    with temporary(tmp_path, "a") as stream:
        assert Path(stream.name).match("a.*.tmp")
    assert list(tmp_path.iterdir()) == []
    with temporary(tmp_path, "a") as stream:
        stream.write(b"kept")
        os.rename(stream.name, tmp_path / "kept")
    assert (tmp_path / "kept").read_bytes() == b"kept"
