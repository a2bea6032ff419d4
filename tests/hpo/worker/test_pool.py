"""Worker processes: environment, isolation, replacement, and death with the parent."""

import concurrent.futures
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pebble
import psutil
import pytest

from hpo.errors import TaskFailed, WorkerLost
from hpo.worker import heartbeat
from hpo.worker.executor import answer, wait
from hpo.worker.pool import PARENT_SECONDS, Workers

ROOT = Path(__file__).parent.parent.parent.parent


@pytest.fixture
def workers(tmp_path):
    with Workers(1, "cpu", tmp_path / "worker.log") as pool:
        yield pool


def test_a_task_runs_elsewhere_with_its_environment(workers):
    assert workers.submit(os.getpid).result(30) != os.getpid()
    assert workers.submit(os.getenv, "CUDA_VISIBLE_DEVICES").result(30) == "-1"


@pytest.mark.slow
def test_a_worker_outlives_the_thread_that_started_it(workers):
    numbers = []
    for _ in range(2):
        thread = threading.Thread(target=lambda: numbers.append(workers.submit(os.getpid).result(30)))
        thread.start()
        thread.join()
        time.sleep(2 * PARENT_SECONDS)
    assert numbers[0] == numbers[1]


def test_errors_come_back(workers):
    with pytest.raises(TaskFailed, match="^ZeroDivisionError: integer division or modulo by zero$"):
        workers.submit(divmod, 1, 0).result(30)


def test_a_killed_worker_fails_its_task_and_is_replaced(workers):
    pid = workers.submit(os.getpid).result(30)
    future = workers.submit(time.sleep, 60)
    time.sleep(0.3)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(pebble.ProcessExpired) as death:
        future.result(30)
    assert death.value.exitcode == -signal.SIGKILL
    assert workers.submit(os.getpid).result(30) != pid


def test_cancelling_ends_the_worker_that_stalls(workers):
    pid = workers.submit(os.getpid).result(30)
    future = workers.submit(time.sleep, 60)
    time.sleep(0.3)
    assert future.cancel()
    assert future.done()
    assert workers.submit(os.getpid).result(30) != pid


@pytest.mark.slow
def test_a_worker_that_dies_between_two_tasks_does_not_end_the_pool(workers):
    for _ in range(2):
        pid = workers.submit(os.getpid).result(30)
        os.kill(pid, signal.SIGKILL)
        time.sleep(1)  # pebble notices
    with pytest.raises(TaskFailed, match="^ZeroDivisionError: integer division or modulo by zero$"):
        workers.submit(divmod, 1, 0).result(30)


def test_what_libraries_print_goes_to_the_log(workers, tmp_path):
    workers.submit(os.write, 2, b"from C++\n").result(30)
    assert "from C++" in (tmp_path / "worker.log").read_text()


def test_without_processes_a_task_runs_here(tmp_path):
    with Workers(0, "auto", tmp_path / "worker.log") as pool:
        assert pool.submit(os.getpid).result() == os.getpid()
        with pytest.raises(TaskFailed, match="ZeroDivisionError"):
            pool.submit(divmod, 1, 0).result()


def test_variables_of_this_process_are_as_they_were(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_DETERMINISTIC_OPS", "0")
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    before = dict(os.environ)
    with Workers(0, "cpu", tmp_path / "worker.log") as pool:
        assert pool.submit(os.getenv, "JAX_PLATFORMS").result() == "cpu"
    assert dict(os.environ) == before


def test_a_worker_that_says_nothing_is_ended(workers, tmp_path):
    progress, waited = tmp_path / "x.progress", []
    heartbeat.begin(progress)
    with pytest.raises(WorkerLost, match="^no sign of life for 0.5 s$") as lost:
        wait(workers.submit(time.sleep, 60), lambda: waited.append(1), progress, 0.5)
    assert lost.value.stalled
    assert waited
    assert wait(workers.submit(divmod, 7, 2)) == (3, 1)


def test_a_worker_that_died_is_explained(workers):
    with pytest.raises(
        WorkerLost, match=r"^the worker process died \(signal 9\); out of memory is a common cause"
    ) as lost:
        wait(workers.submit(os.kill, wait(workers.submit(os.getpid)), signal.SIGKILL))
    assert not lost.value.stalled
    future = concurrent.futures.Future()
    future.set_exception(concurrent.futures.process.BrokenProcessPool())
    with pytest.raises(
        WorkerLost, match="the worker process died between two tasks; out of memory is a common cause, see worker.log"
    ):
        answer(future)


PARENT = """
import os, sys, time
from pathlib import Path
from hpo.worker.pool import Workers
if __name__ == "__main__":
    pool = Workers(1, "cpu", Path(sys.argv[1]))
    print(pool.submit(os.getpid).result(), flush=True)
    pool.submit(time.sleep, 60)
    time.sleep(60)
"""


def test_a_worker_dies_with_its_parent(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "log")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as parent:
        assert parent.stdout and parent.stderr
        worker = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        worker.wait(10)
        assert parent.stderr.read() == ""  # its end comes when Python's cleaner is gone too, which has nothing to say
    assert not worker.is_running()


def test_the_environment_keeps_its_filters_for_warnings(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONWARNINGS", "error::UserWarning")
    with Workers(1, "cpu", tmp_path / "worker.log"):
        assert os.environ["PYTHONWARNINGS"] == "error::UserWarning"
    monkeypatch.delenv("PYTHONWARNINGS")
    with Workers(1, "cpu", tmp_path / "worker.log"):
        assert "PYTHONWARNINGS" not in os.environ
