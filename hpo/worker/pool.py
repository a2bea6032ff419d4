"""Worker processes: spawned, so that the parent never imports Keras; replaced one by one when they die or stall.

All talk with a worker is here: a task goes in by `Workers.submit`, `answer` is what came of it, `wait` waits for it.
"""

import concurrent.futures
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pebble

from hpo.errors import WorkerLost
from hpo.worker import heartbeat
from hpo.worker.boundary import shielded
from hpo.worker.main_guard import check_main_guard
from models.own import registry

T = TypeVar("T")
POLL_SECONDS = 0.2
PARENT_SECONDS = 0.5  # between two looks of a worker whether its parent lives

# A process keeps some native memory for every network that TensorFlow traced in it; a new one starts at nothing, but
# must import TensorFlow and trace again. Trials that share an architecture share its trace: 230 of them grew a worker
# by 6 MiB, 27 different ones of mobilenet_v2_0.35 by 440. A task is a trial's way to its next rung.
TASKS_PER_WORKER = 200


def environment(device: str) -> dict[str, str]:
    """Variables that must stand before Keras is imported: device, determinism, GPU memory shared by workers."""
    values = {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_DETERMINISTIC_OPS": "1",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }
    if device == "cpu":
        values |= {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}
    elif device.startswith("gpu:"):
        values |= {"CUDA_VISIBLE_DEVICES": device.removeprefix("gpu:")}
    return values


class Workers:
    """A pool with `submit` and `stop`; with 0 processes a task runs at once, in this one.

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
            initargs=(self._variables, os.getpid(), self._log),
            context=multiprocessing.get_context("spawn"),
        )

    def submit(self, function: Callable[..., T], *args: Any) -> "concurrent.futures.Future[T]":
        """Have a worker do something; see `answer` for what its future ends with."""
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
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Watcher(Protocol):
    """Whoever is told what happens: a terminal, a notebook, a log."""

    def note(self, text: str) -> None:
        """Something happened."""

    def waiting(self, text: str) -> None:
        """Called every now and then while something is waited for."""

    def tick(self, running: Mapping[str, Path]) -> None:
        """What runs: from its name to its signs of life, see `hpo.worker.heartbeat`."""


class StepWatcher(Watcher, Protocol):
    """Whoever is told of a job of known length."""

    def steps(self, done: int, total: int) -> None:
        """So many steps are done of those that there are."""


def answer(future: "concurrent.futures.Future[T]", stall_timeout: float = float("inf")) -> T:
    """What came of a task that is done.

    Raises:
        WorkerLost: the worker died, or was given up after `stall_timeout` seconds of silence.
        TaskFailed: the task raised.
        Exception: one of `hpo.errors.MISTAKES`, the user's.
    """
    try:
        return future.result()
    except concurrent.futures.CancelledError as error:
        raise WorkerLost(f"no sign of life for {stall_timeout:g} s", stalled=True) from error
    except (pebble.ProcessExpired, BrokenProcessPool) as error:
        raise WorkerLost(explain_death(error)) from error


def give_up_silent(future: "concurrent.futures.Future[Any]", silent: float, stall_timeout: float) -> None:
    """End the worker that does this task if it has been silent for too many seconds."""
    if silent > stall_timeout:
        future.cancel()  # pebble ends the worker and starts another


def wait(
    future: "concurrent.futures.Future[T]",
    on_wait: Callable[[], None] = lambda: None,
    progress: Path | None = None,
    stall_timeout: float = float("inf"),
) -> T:
    """`answer`, as soon as it is there; Ctrl-C ends the wait.

    Args:
        future: of a task that was submitted.
        on_wait: called every now and then.
        progress: signs of life of the task; without them it is never given up.
        stall_timeout: seconds of silence after which it is.
    """
    silence = heartbeat.Silence()
    while not future.done():
        concurrent.futures.wait([future], timeout=POLL_SECONDS)
        on_wait()
        if progress is not None:
            give_up_silent(future, silence.of(progress), stall_timeout)
    return answer(future, stall_timeout)


def explain_death(error: BaseException) -> str:
    """Why there is no answer from a worker, in one line."""
    how = " between two tasks"  # pebble does not tell then by what
    if isinstance(error, pebble.ProcessExpired):
        how = f" (signal {-error.exitcode})" if error.exitcode < 0 else f" (exit code {error.exitcode})"
    return f"the worker process died{how}; out of memory is a common cause, see worker.log"


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


def _begin(variables: dict[str, str], parent: int, log: Path) -> None:
    """First in each worker: variables, a log for what C++ prints, Ctrl-C left to the parent, death with the parent."""
    os.environ.update(variables)
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
