"""What tasks are done by, whoever does them: submit one, wait for it, learn why it was lost."""

import concurrent.futures
from collections.abc import Callable, Mapping
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pebble

from hpo.errors import WorkerLost
from hpo.worker import heartbeat

T = TypeVar("T")
POLL_SECONDS = 0.2


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
