"""A search whose tasks take time only by a clock that is not this machine's: for scaling.py.

What the loop does (asking, deciding, telling, the database, files, the display) takes the time that it takes. What
workers do takes none: a task is answered when the clock says that its seconds are over, and where nothing else is to be
done the clock jumps there instead of waiting.
"""

import concurrent.futures
import functools
import heapq
import itertools
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class Clock:
    """Seconds since it was made: those of this process, plus what was skipped, less what did not count.

    Args:
        real: seconds that pass anyway.
    """

    def __init__(self, real: Callable[[], float] = time.perf_counter):
        self._real, self._begun, self._moved = real, real(), 0.0

    def now(self) -> float:
        """The seconds."""
        return self._real() - self._begun + self._moved

    def skip_to(self, moment: float) -> None:
        """Let it be a later moment; an earlier one changes nothing."""
        self._moved += max(0.0, moment - self.now())

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """What is done within takes no time: another machine would do it."""
        begun = self._real()
        try:
            yield
        finally:
            self._moved -= self._real() - begun


class SimulatedSlots:
    """An `hpo.worker.executor.Executor` on such a clock. What it is given is done at once, and answered when it is due.

    It costs nothing to reach a worker: of a cluster that is not so.

    Args:
        slots: tasks at once.
        clock: that says how late it is.
        lasts: the seconds of a task, from what it was called with and what it returned.
    """

    is_mixed = False

    def __init__(self, slots: int, clock: Clock, lasts: Callable[..., float]):
        self.slots, self._clock, self._lasts = slots, clock, lasts
        self._due: list[tuple[float, int, concurrent.futures.Future, Any]] = []  # a heap, the next one first
        self._numbers = itertools.count()
        self.busy = 0.0  # seconds of all tasks that were submitted

    def submit(
        self, function: Callable[..., T], *args: Any, progress: Path | None = None, **where: Any
    ) -> "concurrent.futures.Future[T]":
        """Have it done; every worker can do everything.

        Raises:
            RuntimeError: all slots are taken.
        """
        if len(self._due) >= self.slots:
            raise RuntimeError(f"{self.slots} tasks are under way already")
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        with self._clock.stopped():
            result = function(*args)
            seconds = self._lasts(args, result)
        self.busy += seconds
        heapq.heappush(self._due, (self._clock.now() + seconds, next(self._numbers), future, result))
        return future

    def wait_any(self, futures: Collection["concurrent.futures.Future[Any]"]) -> None:
        """Answer what is due; if nothing is, the next task, at its time."""
        if self._due:
            self._clock.skip_to(self._due[0][0])
        now = self._clock.now()
        while self._due and self._due[0][0] <= now:
            *_, future, result = heapq.heappop(self._due)
            future.set_result(result)

    def news(self) -> list[str]:
        """None."""
        return []

    def stop(self) -> None:
        """Nothing runs."""

    def __enter__(self) -> "SimulatedSlots":
        return self

    def __exit__(self, *_: object) -> None:
        pass


def efficiency(slots: SimulatedSlots, seconds: float) -> float:
    """The share of all slots' time, from the clock's beginning to so many seconds, in which they were busy."""
    return slots.busy / (slots.slots * seconds)


class Timer:
    """Seconds by name; what is timed within something else that is timed counts only there, and not twice.

    Args:
        now: seconds.
    """

    def __init__(self, now: Callable[[], float]):
        self._now, self._inside, self._since = now, ["rest"], now()
        self.seconds: dict[str, float] = {"rest": 0.0}

    def _turn(self) -> None:
        now = self._now()
        self.seconds[self._inside[-1]] = self.seconds.get(self._inside[-1], 0.0) + now - self._since
        self._since = now

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """What is done within counts under this name."""
        self._turn()
        self._inside.append(name)
        try:
            yield
        finally:
            self._turn()
            self._inside.pop()

    def timed(self, name: str, function: Callable[..., T]) -> Callable[..., T]:
        """The same function, timed."""

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> T:
            with self.of(name):
                return function(*args, **kwargs)

        return call

    def so_far(self) -> dict[str, float]:
        """The seconds by name until now."""
        self._turn()
        return dict(self.seconds)
