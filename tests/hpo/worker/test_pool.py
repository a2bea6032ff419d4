"""Worker processes: environment, isolation, replacement, and death with the parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pebble
import psutil
import pytest

from hpo.worker.pool import Workers, environment

ROOT = Path(__file__).parent.parent.parent.parent


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("auto", {}),
        ("gpu", {}),
        ("cpu", {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}),
        ("gpu:1", {"CUDA_VISIBLE_DEVICES": "1"}),
    ],
)
def test_device_is_chosen_by_environment(device, expected):
    found = environment(device)
    assert {key: found.get(key) for key in ("CUDA_VISIBLE_DEVICES", "JAX_PLATFORMS") if key in found} == expected
    assert found["TF_DETERMINISTIC_OPS"] == "1"


@pytest.fixture
def workers(tmp_path):
    with Workers(1, "cpu", tmp_path / "worker.log") as pool:
        yield pool


def test_a_task_runs_elsewhere_with_its_environment(workers):
    assert workers.submit(os.getpid).result(30) != os.getpid()
    assert workers.submit(os.getenv, "CUDA_VISIBLE_DEVICES").result(30) == "-1"


def test_errors_come_back(workers):
    with pytest.raises(ZeroDivisionError):
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


def test_a_worker_that_dies_between_two_tasks_does_not_end_the_pool(workers):
    for _ in range(2):
        pid = workers.submit(os.getpid).result(30)
        os.kill(pid, signal.SIGKILL)
        time.sleep(1)  # pebble notices
    with pytest.raises(ZeroDivisionError):
        workers.submit(divmod, 1, 0).result(30)


def test_what_libraries_print_goes_to_the_log(workers, tmp_path):
    workers.submit(os.write, 2, b"from C++\n").result(30)
    assert "from C++" in (tmp_path / "worker.log").read_text()


def test_without_processes_a_task_runs_here(tmp_path):
    with Workers(0, "auto", tmp_path / "worker.log") as pool:
        assert pool.submit(os.getpid).result() == os.getpid()
        with pytest.raises(ZeroDivisionError):
            pool.submit(divmod, 1, 0).result()


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
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as parent:
        assert parent.stdout
        worker = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        worker.wait(10)
    assert not worker.is_running()
