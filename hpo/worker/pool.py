"""Worker processes: spawned, so that the parent never imports Keras; replaced one by one when they die or stall."""

import concurrent.futures
import ctypes
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pebble

T = TypeVar("T")

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

    What the libraries print in a worker goes to the file `log`. `variables` stand in its environment beside ours.
    """

    def __init__(self, processes: int, device: str, log: Path, variables: Mapping[str, str] | None = None):
        self._processes, self._log = processes, log
        self._variables = environment(device) | dict(variables or {})
        self._pool = self._new_pool() if processes else None
        if not processes:
            os.environ.update(environment(device))

    def _new_pool(self) -> pebble.ProcessPool:
        return pebble.ProcessPool(
            max_workers=self._processes,
            max_tasks=TASKS_PER_WORKER,
            initializer=_begin,
            initargs=(self._variables, os.getpid(), self._log),
            context=multiprocessing.get_context("spawn"),
        )

    def submit(self, function: Callable[..., T], *args: Any) -> "concurrent.futures.Future[T]":
        if self._pool is not None:
            if not self._pool.active:  # a worker died between two tasks, which pebble takes for the end of the pool
                self._pool.stop()
                self._pool.join()
                self._pool = self._new_pool()
            return self._pool.schedule(function, args=args)
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        try:
            future.set_result(function(*args))
        except Exception as error:  # handed to the caller by future.result(), as a pool does
            future.set_exception(error)
        return future

    def stop(self) -> None:
        """End all workers at once; what they were doing is lost."""
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _begin(variables: dict[str, str], parent: int, log: Path) -> None:
    """First in each worker: variables, a log for what C++ prints, Ctrl-C left to the parent, death with the parent."""
    os.environ.update(variables)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    logging.basicConfig(format="%(asctime)s %(message)s")
    logging.getLogger("hpo").setLevel(logging.INFO)  # why a trial starts from where it does
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):  # Linux: PR_SET_PDEATHSIG
        libc.prctl(1, signal.SIGKILL)
    if os.getppid() != parent:  # the parent died before that took effect
        os._exit(1)
