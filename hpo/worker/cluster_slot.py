"""One slot of a cluster: the actor that does its tasks now, where it is, and what it does."""

import concurrent.futures
import contextlib
import os
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from hpo.config import StudyConfig
from hpo.errors import MISTAKES, TaskFailed
from hpo.worker.boundary import explain
from hpo.worker.cluster_start import Share, nodes
from hpo.worker.cluster_worker import ClusterWorker, Done, Place, Signs
from hpo.worker.facts import Facts
from hpo.worker.shipping import Shipping

LEAVE_SECONDS = 2.0  # for a worker to clean up behind itself
ANSWER_SECONDS = 5.0  # for a worker that is there to say something
SIGN_SECONDS = 0.5  # between two questions how a task goes
SIGNS = "signs"  # the actor's second thread


class State(StrEnum):
    """What a slot's worker does."""

    STARTING = "starting"  # Ray places and starts it
    PLACED = "placed"
    LOOKING = "looking"  # at data, weights and machine
    LOOKED = "looked"
    IDLE = "idle"
    BUSY = "busy"
    UNFIT = "unfit"  # it is not used, and none takes its place


class Lost(Exception):
    """The worker is no more; the message says on one line why, `with_node` whether its node is lost, too."""

    def __init__(self, reason: str, with_node: bool = False):
        super().__init__(reason)
        self.with_node = with_node


@dataclass(frozen=True, eq=False)  # each is itself alone
class Task:
    """What is to be done, see `hpo.worker.executor.Executor.submit`. Who cancels its future has its worker ended."""

    function: Callable[..., Any]
    args: Sequence[Any]
    progress: Path | None
    measures: bool
    near: Sequence[str]
    future: "concurrent.futures.Future[Any]" = field(default_factory=concurrent.futures.Future)

    def end(self, value: Any) -> None:
        """It is done."""
        with contextlib.suppress(concurrent.futures.InvalidStateError):  # it was cancelled just now
            self.future.set_result(value)

    def fail(self, error: Exception) -> None:
        """It cannot be done."""
        with contextlib.suppress(concurrent.futures.InvalidStateError):
            self.future.set_exception(error)

    def touch(self) -> None:
        """It waits, which is no silence."""
        if self.progress is not None:
            with contextlib.suppress(OSError):
                os.utime(self.progress)


class Slot:
    """A place for one worker at a time.

    Args:
        config: of the study.
        share: what a worker has of its node.
        variables: of its environment.
        node: Ray's id of the node on which it is to be while that is there; None for any.

    Attributes:
        state, place: what its worker does, and where it is, once that is known.
        task: what it has been given to do.
        sent, spoke: when, and when it last logged something, by the monotonic clock.
        facts: what it found when it looked.
        measures: whether its device is the study's.
        tasks: that its worker has done.
        weights: files of weights that it was sent.
    """

    def __init__(self, config: StudyConfig, share: Share, variables: Mapping[str, str], node: str | None):
        self._config, self._share, self._variables, self._node = config, share, dict(variables), node
        self._actor: Any = None
        self.start()

    def start(self) -> None:
        """Have Ray place a worker, in place of the one that there was; it says where it is, when it is."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self.end()
        where: Any = NodeAffinitySchedulingStrategy(self._node, soft=True) if self._node else "SPREAD"
        options: dict[str, Any] = {
            "num_cpus": self._share.cpus,
            "num_gpus": self._share.gpus,
            "max_restarts": 0,  # a new one is made instead, which can be on another node
            "concurrency_groups": {SIGNS: 1},
            "scheduling_strategy": where,
        }
        self._actor = ray.remote(**options)(ClusterWorker).remote(self._variables, os.getcwd())
        self._ref, self._sign = self._actor.place.remote(self._config), None
        self._asked, self._heard, self._said = 0.0, 0, 0
        self.sent, self.spoke, self.tasks = 0.0, 0.0, 0
        self.state, self.measures = State.STARTING, False
        self.place: Place | None = None
        self.task: Task | None = None
        self.facts: Facts | None = None
        self.weights: set[str] = set()

    def stay(self) -> None:
        """Workers that take the place of this one are to be on its node, while that is there."""
        assert self.place
        self._node = self.place.node

    def end(self) -> None:
        """End its worker at once."""
        import ray

        if self._actor is not None:
            ray.kill(self._actor)
        self._actor = None

    def leave(self) -> None:
        """End its worker, which cleans up behind itself if it has nothing to do."""
        import ray

        if self.state is State.IDLE:
            with contextlib.suppress(ray.exceptions.RayError):  # else the next worker on its machine does that
                ray.get(self._actor.leave.remote(), timeout=LEAVE_SECONDS)
        self.end()

    @property
    def is_ready(self) -> bool:
        """Whether it does tasks."""
        return self.state in (State.IDLE, State.BUSY)

    @property
    def where(self) -> str:
        """In words."""
        return str(self.place) if self.place else "a node that is not known yet"

    def pictures_for(self, task: Task, shipping: Shipping) -> list[Any] | None:
        """What a task needs of pictures that its worker's machine has not; None: not there yet."""
        return [] if self.place is None or self.place.has_data else shipping.data_for(task.args)

    def do(self, task: Task, files: Sequence[tuple[str, bytes]], data: Sequence[Any]) -> None:
        """Have its worker do a task.

        Args:
            task: what.
            files: what of the study's folder it needs.
            data: pictures in the object store.
        """
        self.task, self._heard, self.sent = task, 0, time.monotonic()
        self.state = State.BUSY if self.state is State.IDLE else State.LOOKING
        self._ref = self._actor.run.remote(task.function, list(task.args), files, *data)

    def done(self) -> None:
        """It has no task any more."""
        self.task, self._ref = None, None
        self.state, self.tasks = State.IDLE if self.state is State.BUSY else State.LOOKED, self.tasks + 1

    @property
    def awaited(self) -> Any:
        """What Ray will have an answer for; None if nothing is asked."""
        return self._ref if self.state in (State.STARTING, State.LOOKING, State.BUSY) else None

    def answer(self) -> Any:
        """A `Place` or `Done`, if it is there now; else None.

        Raises:
            Lost: there will be none.
        """
        import ray

        if self.awaited is None:
            return None
        ready, _ = ray.wait([self._ref], timeout=0)
        if not ready:
            return None
        try:
            return ray.get(ready[0])
        except (ray.exceptions.RayActorError, ray.exceptions.NodeDiedError, ray.exceptions.OutOfMemoryError) as error:
            raise self._lost(error) from error
        except ray.exceptions.RayError as error:  # outside of the task: what it was to do, or its result
            cause = getattr(error, "cause", None) or error
            reason = (str(cause).strip().splitlines() or [""])[0][:300]
            return Done(None, TaskFailed(type(cause).__name__, reason, str(error)), ())

    def _lost(self, error: Exception) -> Lost:
        """Why there is no answer. Ray knows of a process' death at once, of a node's after a quarter of a minute."""
        import ray

        if isinstance(error, ray.exceptions.ActorUnavailableError):  # the connection broke: ask what for
            try:
                ray.get(self._actor.leave.remote(), timeout=ANSWER_SECONDS)
            except ray.exceptions.RayError as told:
                error = told
        if isinstance(error, ray.exceptions.OutOfMemoryError) or "running low on memory" in str(error):
            return Lost(f"Ray ended the worker on {self.where}, where memory ran out")
        if self.place is None:  # it never began: what it could not import, say
            reason = ([line.strip() for line in str(error).splitlines() if line.strip()] or [""])[-1][:300]
            return Lost(f"a worker could not be started: {reason}")
        there = {node["NodeID"] for node in nodes()}
        if not isinstance(error, ray.exceptions.ActorDiedError) or self.place.node not in there:
            return Lost(f"the node {self.where} was lost", with_node=True)
        return Lost(f"the worker process on {self.where} died; out of memory is a common cause, see worker.log")

    def signs(self) -> Signs | None:
        """What its worker says of itself, if it was not asked just before; never waited for."""
        import ray

        if self._sign is None:
            if time.monotonic() - self._asked >= SIGN_SECONDS:
                self._asked = time.monotonic()
                self._sign = self._ask_signs()
            return None
        ready, _ = ray.wait([self._sign], timeout=0)
        if not ready:
            return None
        self._sign = None
        return self._got(ready[0], ANSWER_SECONDS)

    def last_signs(self) -> Signs | None:
        """What it has still to say when a task is over."""
        self._sign = None  # what it would have told of the log is told again
        return self._got(self._ask_signs(), ANSWER_SECONDS)

    def _ask_signs(self) -> Any:
        return self._actor.sign.options(concurrency_group=SIGNS).remote(self._said)

    def _got(self, ref: Any, seconds: float) -> Signs | None:
        import ray

        try:
            signs: Signs = ray.get(ref, timeout=seconds)
        except ray.exceptions.RayError:
            return None  # its task says what is wrong
        self._said += len(signs.log)
        return signs

    def is_new(self, signs: Signs) -> bool:
        """Whether a sign of life is another than the last; it is then the last."""
        new = signs.time > self._heard
        self._heard = max(self._heard, signs.time)
        return new

    def send_weights(self, missing: Path, content: Any) -> None:
        """Put a file of weights, by its reference in the object store, where its next task finds it."""
        self.weights.add(str(missing))
        self._actor.keep_weights.remote(missing, content)  # done in the order in which it is asked for


def wait_for_answer(slots: Sequence[Slot], seconds: float) -> None:
    """Until one of them has an answer, but not longer than this."""
    import ray

    awaited = [slot.awaited for slot in slots if slot.awaited is not None]
    if awaited:
        ray.wait(awaited, timeout=seconds)
    else:
        time.sleep(seconds)


def as_told(error: Exception) -> Exception:
    """What a task ends with that something went wrong for on this machine: a user's mistake as it is."""
    return error if isinstance(error, MISTAKES) else TaskFailed(*explain(error), traceback.format_exc())
