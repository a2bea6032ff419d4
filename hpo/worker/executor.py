"""What tasks are done by, whoever does them: submit one, wait for it, learn why it was lost."""

import concurrent.futures
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pebble

from hpo.errors import WorkerLost
from hpo.worker import heartbeat

T = TypeVar("T")
POLL_SECONDS = 0.2

# A process keeps some native memory for every network that TensorFlow traced in it; a new one starts at nothing, but
# must import TensorFlow and trace again. Trials that share an architecture share its trace: 230 of them grew a worker
# by 6 MiB, 27 different ones of mobilenet_v2_0.35 by 440. A task is a trial's way to its next rung.
TASKS_PER_WORKER = 200


class Executor(Protocol):
    """Who does tasks: worker processes of this machine (`hpo.worker.pool`), or of a cluster (`hpo.worker.cluster`).

    A future ends with what the task returned, or with what `answer` raises. To cancel one ends the worker that does it;
    another takes its place. A context manager, which stops all workers at its end.
    """

    @property
    def slots(self) -> int:
        """How many tasks can be done at once now."""

    @property
    def is_mixed(self) -> bool:
        """Whether some workers only train: their device is not that on which the study measures latencies."""

    def submit(
        self,
        function: Callable[..., T],
        *args: Any,
        progress: Path | None = None,
        measures: bool = True,
        near: Sequence[str] = (),
    ) -> "concurrent.futures.Future[T]":
        """Have a worker do something.

        Args:
            function: of a module that workers can import.
            args: what it is called with.
            progress: signs of life that the task gives, where it gives any.
            measures: whether it wants the device on which the study measures.
            near: names of what it can use if it was made before where it runs, the most useful first.
        """

    def wait_any(self, futures: Collection["concurrent.futures.Future[Any]"]) -> None:
        """Wait until one of them is done, but for a moment only."""

    def news(self) -> list[str]:
        """What happened to workers since this was last asked, in words."""

    def stop(self) -> None:
        """End all workers at once; what they were doing is lost."""

    def __enter__(self) -> "Executor": ...

    def __exit__(self, *_: object) -> None: ...


def wait_a_moment(futures: Collection["concurrent.futures.Future[Any]"]) -> None:
    """`Executor.wait_any`, of futures that end by themselves."""
    if futures:
        concurrent.futures.wait(futures, POLL_SECONDS, concurrent.futures.FIRST_COMPLETED)
    else:
        time.sleep(POLL_SECONDS)


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
        future.cancel()


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
