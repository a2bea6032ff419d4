"""Worker processes: spawned, so that the parent never imports Keras; replaced one by one when they die or stall.

A task goes in by `Workers.submit`; `hpo.worker.executor` says what comes of it, and waits for it.
"""

import concurrent.futures
import logging
import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, TypeVar

import pebble

from hpo.config import StudyConfig
from hpo.worker.boundary import shielded
from hpo.worker.devices import environment, gpus_to_share, take_gpu
from hpo.worker.executor import TASKS_PER_WORKER, Executor, wait_a_moment
from hpo.worker.facts import Facts
from hpo.worker.main_guard import check_main_guard
from models import lean
from models.own import registry

T = TypeVar("T")
PARENT_SECONDS = 0.5  # between two looks of a worker whether its parent lives


class Workers:
    """Processes of this machine as an `Executor`; with 0 of them a task runs at once, in this one.

    Args:
        processes: how many.
        device: auto, cpu, gpu or gpu:N.
        log: file for what the libraries print in a worker.
        variables: stand in a worker's environment beside ours.

    Raises:
        BadInput: the main script starts workers outside of `if __name__ == "__main__":`.
    """

    def __init__(self, processes: int, device: str, log: Path, variables: Mapping[str, str] | None = None):
        if processes:
            check_main_guard()
            _start_resource_tracker()
        self._processes, self._log = processes, log
        self._gpus, self._numbers = gpus_to_share(device, processes), tempfile.TemporaryDirectory(prefix="keras-hpo-")
        self._variables = environment(device) | registry.variables() | dict(variables or {})
        self._before: dict[str, str | None] = {}
        self._pool = self._new_pool() if processes else None
        if not processes:
            self._before = {name: os.environ.get(name) for name in self._variables}
            os.environ.update(self._variables)

    def _new_pool(self) -> pebble.ProcessPool:
        return pebble.ProcessPool(
            max_workers=self._processes,
            max_tasks=TASKS_PER_WORKER,
            initializer=_begin,
            initargs=(self._variables, os.getpid(), self._log, self._gpus, Path(self._numbers.name), self._processes),
            context=multiprocessing.get_context("spawn"),
        )

    @property
    def slots(self) -> int:
        """One for each process, or for this one."""
        return max(1, self._processes)

    @property
    def is_mixed(self) -> bool:
        """Never: all are on this machine."""
        return False

    def news(self) -> list[str]:
        """None: a worker that died is told by its task."""
        return []

    def wait_any(self, futures: Collection["concurrent.futures.Future[Any]"]) -> None:
        """Wait until one of them is done, but for a moment only."""
        wait_a_moment(futures)

    def submit(
        self,
        function: Callable[..., T],
        *args: Any,
        progress: Path | None = None,
        measures: bool = True,
        near: Sequence[str] = (),
    ) -> "concurrent.futures.Future[T]":
        """Have a worker do something, see `hpo.worker.executor`: here all of them can do all."""
        if self._pool is not None:
            if not self._pool.active:  # a worker died between two tasks, which pebble takes for the end of the pool
                self._pool.stop()
                self._pool.join()
                self._pool = self._new_pool()
            return self._pool.schedule(shielded, args=(function, *args))
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        try:
            future.set_result(shielded(function, *args))
        except Exception as error:  # handed to the caller by future.result(), as a pool does
            future.set_exception(error)
        return future

    def stop(self) -> None:
        """End all workers at once; what they were doing is lost. This process' own variables are as they were."""
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()
        self._numbers.cleanup()
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def make_workers(config: StudyConfig, log: Path, look: Callable[[StudyConfig], Facts]) -> Executor:
    """The workers of a study, where its configuration wants them.

    Args:
        config: of the study.
        log: file for what they print and log.
        look: what each worker of a cluster does first.

    Raises:
        BadInput: it cannot be had.
    """
    if config.executor == "local":
        return Workers(config.workers, config.device, log)
    from hpo.worker.cluster import ClusterWorkers  # imports Ray

    return ClusterWorkers(config, log, look)


def _start_resource_tracker() -> None:
    """Start Python's own process that removes semaphores of processes that died, and keep it quiet about that.

    Else it warns on the terminal when this process is killed, although nothing of ours is left by then. It hears of
    filters for warnings through the environment only.
    """
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (before, "ignore:resource_tracker:UserWarning")))
    try:
        resource_tracker.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = before


def _begin(
    variables: dict[str, str], parent: int, log: Path, gpus: Sequence[str], numbers: Path, processes: int
) -> None:
    """First in each worker: variables, its GPU, a log for what C++ prints, Ctrl-C left to the parent, death with it."""
    os.environ.update(variables)
    lean.alone()
    if gpus:
        take_gpu(gpus, numbers, processes)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    logging.basicConfig(format="%(asctime)s %(message)s")
    for name in ("hpo", "datasets"):  # why a trial starts from where it does, how far decoding is
        logging.getLogger(name).setLevel(logging.INFO)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process when its parent is no more.

    Linux could send a signal (PR_SET_PDEATHSIG), but would send it when the *thread* ends that started the worker.
    """
    while os.getppid() == parent:
        time.sleep(PARENT_SECONDS)
    os._exit(1)
