"""One contract for all executors: what a search relies on, whoever does its tasks."""

import os
import signal
import time
from pathlib import Path

import pytest

from hpo.errors import DataError, TaskFailed, WorkerLost
from hpo.worker import heartbeat
from hpo.worker.executor import answer, wait
from hpo.worker.job import Job
from hpo.worker.pool import make_workers
from tests import made

CANDIDATE = made.candidate()


class Contract:
    """What holds for every executor; a class for each says which."""

    executor = ""

    @pytest.fixture
    def config(self, configure):
        return configure(workers=2, executor=self.executor, device="cpu", dataset="digits")

    @pytest.fixture
    def workers(self, config, tasks):
        with make_workers(config, config.study_dir / "worker.log", tasks.look) as made:
            yield made

    @pytest.fixture
    def job(self, config, tasks):
        return Job(config, "study", 7, CANDIDATE, tasks.look(config), config.study_dir / "trials")

    def test_results_come_back_from_other_processes(self, workers):
        futures = [workers.submit(divmod, 7 + number, 2) for number in range(4)]
        assert [wait(future) for future in futures] == [divmod(7 + number, 2) for number in range(4)]
        assert wait(workers.submit(os.getpid)) != os.getpid()

    def test_there_is_a_slot_for_each_worker_and_all_can_measure(self, workers):
        wait(workers.submit(os.getpid))
        end = time.monotonic() + 30
        while workers.slots < 2 and time.monotonic() < end:
            workers.wait_any([])
        assert workers.slots == 2
        assert not workers.is_mixed

    def test_its_variables_stand_before_a_task(self, workers):
        assert wait(workers.submit(os.getenv, "CUDA_VISIBLE_DEVICES")) == "-1"
        assert wait(workers.submit(os.getenv, "TF_DETERMINISTIC_OPS")) == "1"

    def test_tasks_begin_in_their_order(self, config, tasks, tmp_path):
        with make_workers(config.model_copy(update={"workers": 1}), tmp_path / "log", tasks.look) as workers:
            wait(workers.submit(os.getpid))
            futures = [workers.submit(time.monotonic_ns) for _ in range(5)]
            times = [wait(future) for future in futures]
        assert times == sorted(times)

    def test_what_a_task_raises_comes_back_as_text(self, workers):
        with pytest.raises(TaskFailed, match="^ZeroDivisionError: integer division or modulo by zero$") as raised:
            wait(workers.submit(divmod, 1, 0))
        assert "ZeroDivisionError" in raised.value.details
        assert wait(workers.submit(divmod, 7, 2)) == (3, 1)

    def test_running_out_of_memory_is_a_kind_of_its_own(self, workers, tasks):
        with pytest.raises(TaskFailed, match="^out of memory: 3 GiB$") as raised:
            wait(workers.submit(tasks.out_of_memory))
        assert raised.value.kind == "out of memory"

    def test_a_users_mistake_comes_back_as_it_is(self, workers, tasks):
        with pytest.raises(DataError, match="^no such folder$"):
            wait(workers.submit(tasks.refused))

    def test_a_result_that_cannot_travel_is_a_failure(self, workers, tasks):
        with pytest.raises((TaskFailed, TypeError)):
            wait(workers.submit(tasks.unpicklable))
        assert wait(workers.submit(divmod, 7, 2)) == (3, 1)

    def test_a_worker_that_is_killed_fails_its_task_and_is_replaced(self, config, tasks, tmp_path):
        with make_workers(config.model_copy(update={"workers": 1}), tmp_path / "log", tasks.look) as workers:
            pid = wait(workers.submit(os.getpid))
            future = workers.submit(time.sleep, 60)
            time.sleep(1.5)
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(
                WorkerLost, match="the worker process .*died.*; out of memory is a common cause"
            ) as lost:
                wait(future)
            assert not lost.value.stalled
            assert wait(workers.submit(os.getpid)) != pid

    def test_a_worker_that_dies_between_two_tasks_costs_none(self, config, tasks, tmp_path):
        with make_workers(config.model_copy(update={"workers": 1}), tmp_path / "log", tasks.look) as workers:
            pid = wait(workers.submit(os.getpid))
            os.kill(pid, signal.SIGKILL)
            time.sleep(1)  # pebble notices
            assert wait(workers.submit(os.getpid)) != pid

    def test_a_worker_that_dies_in_its_task_is_told_as_lost(self, workers, tasks):
        with pytest.raises(WorkerLost, match="the worker process .*died") as lost:
            wait(workers.submit(tasks.die_late))
        assert not lost.value.stalled
        assert wait(workers.submit(divmod, 7, 2)) == (3, 1)

    def test_a_worker_that_falls_silent_is_given_up_and_replaced(self, workers, job, tasks):
        wait(workers.submit(os.getpid))
        heartbeat.begin(job.files.progress)
        with pytest.raises(WorkerLost, match="^no sign of life for 2 s$") as lost:
            wait(
                workers.submit(tasks.hang, job, progress=job.files.progress),
                progress=job.files.progress,
                stall_timeout=2,
            )
        assert lost.value.stalled
        assert wait(workers.submit(divmod, 7, 2)) == (3, 1)

    def test_signs_of_life_are_seen(self, workers, job, tasks):
        wait(workers.submit(os.getpid))
        heartbeat.begin(job.files.progress)
        future = workers.submit(tasks.live, job, 4.0, progress=job.files.progress)
        seen = []
        wait(future, lambda: seen.append(heartbeat.last_sign(job.files.progress)), job.files.progress, 2.0)
        assert heartbeat.SignOfLife(heartbeat.Phase.TRAIN, 1, 0.5) in seen
        assert future.result() == 7

    def test_cancelling_ends_what_runs(self, workers):
        wait(workers.submit(os.getpid))
        future = workers.submit(time.sleep, 120)
        time.sleep(0.5)
        assert future.cancel()
        with pytest.raises(WorkerLost) as lost:
            answer(future, 5)
        assert lost.value.stalled
        assert [wait(workers.submit(divmod, 7, 2)) for _ in range(2)] == [(3, 1)] * 2

    def test_what_a_task_leaves_lies_in_the_studys_folder_before_it_is_heard(self, workers, config, job, tasks):
        wait(workers.submit(tasks.leave, job, "numbers"))
        assert job.files.outcome.read_text() == "numbers"

    def test_what_it_logs_is_in_the_log(self, workers, config, job, tasks):
        wait(workers.submit(tasks.leave, job, "numbers"))
        assert "leaving numbers" in (config.study_dir / "worker.log").read_text()

    def test_each_task_goes_on_from_the_checkpoint_of_the_last(self, workers, job, tasks):
        """Whichever worker does it."""
        assert [wait(workers.submit(tasks.count_on, job)) for _ in range(5)] == [1, 2, 3, 4, 5]
        assert job.checkpoint_path.read_text() == "5"

    def test_stopping_ends_all_at_once(self, config, tasks, tmp_path):
        workers = make_workers(config, tmp_path / "log", tasks.look)
        pid = wait(workers.submit(os.getpid))
        workers.submit(time.sleep, 120)
        workers.submit(time.sleep, 120)
        time.sleep(0.5)
        begun = time.monotonic()
        workers.stop()
        workers.stop()  # a second time does nothing
        assert time.monotonic() - begun < 20
        end = time.monotonic() + 20
        while Path(f"/proc/{pid}").exists() and time.monotonic() < end:
            time.sleep(0.1)
        assert not Path(f"/proc/{pid}").exists()


class TestLocal(Contract):
    executor = "local"


@pytest.mark.usefixtures("ray")
class TestRay(Contract):
    executor = "ray"
