"""Workers on a Ray cluster as an `Executor`: actors, one a slot, that are replaced when they die, stall or grow old.

One thread does all talk with Ray. A task is sent with what it needs of the study's folder, and what it left comes back
with its result, so nothing is shared but what `hpo.worker.shipping` names.
"""

import concurrent.futures
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hpo.config import StudyConfig
from hpo.errors import WorkerLost
from hpo.worker import heartbeat
from hpo.worker.cluster_admission import Admission
from hpo.worker.cluster_slot import Lost, Slot, State, Task, as_told, wait_for_answer
from hpo.worker.cluster_start import Connection, named_node
from hpo.worker.cluster_worker import Done, Signs
from hpo.worker.devices import environment
from hpo.worker.executor import TASKS_PER_WORKER, wait_a_moment
from hpo.worker.facts import Facts
from hpo.worker.session import prepare
from hpo.worker.shipping import Shipping, files_of, keep
from models.own import registry

T = TypeVar("T")
TICK = 0.02  # seconds between two looks, if no answer comes before
BEGIN_SECONDS = 1.0  # in which a worker that dies can hardly have begun with its task
STOP_SECONDS = 10.0  # for the thread that talks with Ray to end
WAIT_SECONDS = 30.0  # for Ray to place workers, before that is noted
LOOK_SECONDS = 60.0  # of silence that a first look may take at least
MOST_SENT_AGAIN = 2  # times that a task is sent again because a node was lost: it may be what ended the node
_log = logging.getLogger(__name__)


class ClusterWorkers:
    """Ray actors as an `Executor`. A worker takes tasks when it has looked at data, weights and machine for itself.

    Workers whose machine is another than the study's only train, see `hpo.worker.cluster_admission`.

    Args:
        config: of the study.
        log: file for what workers print and log.
        look: what each worker does first.

    Raises:
        BadField: there is no such cluster, or no node can take a worker.
    """

    def __init__(self, config: StudyConfig, log: Path, look: Callable[[StudyConfig], Facts] = prepare):
        self._config, self._log = config, log
        log.parent.mkdir(parents=True, exist_ok=True)
        self._connection = Connection(config)
        share = self._connection.share
        backend = {"KERAS_BACKEND": os.environ["KERAS_BACKEND"]} if "KERAS_BACKEND" in os.environ else {}
        ours = environment(config.device) | registry.variables() | backend
        variables = ours | share.variables(config.cpus_per_worker)
        self._shipping = Shipping(config, self._say)
        self._queue: deque[Task] = deque()
        self._news: deque[str] = deque()
        self._held: dict[str, set[str]] = {}  # by node what trials have stored there
        self._asked_near, self._went_near = 0, 0  # tasks for which a node held something, and those that went there
        self._sent_again = deque[Task](maxlen=1000)
        self._broken: Exception | None = None
        self._end, self._lock = threading.Event(), threading.Lock()
        try:
            node = named_node(config.latency_node) if config.latency_node else None
            # One worker must be where latencies are measured; the others are wherever Ray places them.
            self._slots = [Slot(config, share, variables, on) for on in (node, *[None] * (config.workers - 1))]
        except BaseException:
            self._connection.close()
            raise
        self._admission = Admission(
            config,
            self._slots,
            node,
            look=look,
            shipping=self._shipping,
            say=self._say,
            news=self._news,
            fail=self._fail,
        )
        self._thread = threading.Thread(target=self._manage, name="ray", daemon=True)
        self._thread.start()

    @property
    def slots(self) -> int:
        """Of workers that are ready; one where none will ever be, for a task to be told why."""
        return 1 if self._broken else sum(slot.is_ready for slot in self._slots)

    @property
    def is_mixed(self) -> bool:
        """Whether some of them do not measure."""
        return any(slot.is_ready and not slot.measures for slot in self._slots)

    def submit(
        self,
        function: Callable[..., T],
        *args: Any,
        progress: Path | None = None,
        measures: bool = True,
        near: Sequence[str] = (),
    ) -> "concurrent.futures.Future[T]":
        """Have a worker do something; it waits where none is free. See `hpo.worker.executor.Executor.submit`."""
        task = Task(function, args, progress, measures, near)
        with self._lock:
            if self._broken is not None:
                task.future.set_exception(self._broken)
            else:
                self._queue.append(task)
        return task.future

    def wait_any(self, futures: Collection["concurrent.futures.Future[Any]"]) -> None:
        """Wait until one of them is done, but for a moment only."""
        wait_a_moment(futures)

    def news(self) -> list[str]:
        """What happened to workers since this was last asked."""
        return [self._news.popleft() for _ in range(len(self._news))]

    def stop(self) -> None:
        """End all workers, and Ray if it was started here; can be called again."""
        if self._end.is_set():
            return
        self._end.set()
        self._thread.join(STOP_SECONDS)
        if self._asked_near:
            self._say(f"{self._went_near} of {self._asked_near} tasks went to a node that held what they could use")
        for slot in self._slots:
            slot.leave()
        self._connection.close()

    def __enter__(self) -> "ClusterWorkers":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _say(self, text: str) -> None:
        """Into the log."""
        with self._log.open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")

    def _manage(self) -> None:
        """The thread: until the end, or until something is wrong that nobody foresaw."""
        try:
            begun, noted = time.monotonic(), False
            while not self._end.is_set():
                if not noted and time.monotonic() - begun > WAIT_SECONDS:
                    noted = True
                    without = sum(slot.state is State.STARTING for slot in self._slots)
                    if without:
                        self._news.append(f"{without} of {len(self._slots)} workers wait for Ray to find room for them")
                wait_for_answer(self._slots, TICK)
                for slot in self._slots:
                    try:
                        self._look_after(slot)
                    except Lost as lost:
                        self._lost(slot, lost)
                self._give_out()
        except Exception as error:
            _log.exception("workers cannot be managed any more")
            self._fail(as_told(error))

    def _look_after(self, slot: Slot) -> None:
        """Bring a slot a step further, as far as there is one.

        Raises:
            Lost: its worker is no more.
        """
        if slot.state is State.UNFIT:
            return
        if slot.state is State.LOOKED:
            self._admission.admit(slot)
        elif slot.state is State.PLACED:
            self._admission.begin_look(slot)
        elif slot.state is State.BUSY and slot.task and slot.task.future.cancelled():
            self._news.append(f"the worker on {slot.where} was silent for too long: another takes its place")
            slot.start()
        elif (answer := slot.answer()) is None:
            self._listen(slot, slot.signs() if slot.task else None)
            silent = time.monotonic() - max(slot.sent, slot.spoke)
            if slot.state is State.LOOKING and silent > max(self._config.stall_timeout, LOOK_SECONDS):
                raise Lost(f"the worker on {slot.where} has said nothing for {silent:.0f} s while it looked at data")
        elif slot.state is State.STARTING:
            self._admission.arrived(slot, answer)
        else:
            self._listen(slot, slot.last_signs())
            (self._admission.looked if slot.state is State.LOOKING else self._finish)(slot, answer)

    def _finish(self, slot: Slot, done: Done) -> None:
        """A task is over: what it left is on the disk before its result is heard."""
        task = slot.task
        assert task and slot.place
        keep(self._config.out, done.files)
        if done.error is None:
            self._held.setdefault(slot.place.node, set()).update(task.near)
        slot.done()
        if slot.tasks >= TASKS_PER_WORKER:
            slot.start()
        if done.error is None:
            task.end(done.value)
        else:
            task.fail(done.error)

    def _lost(self, slot: Slot, lost: Lost) -> None:
        """A worker is no more; another takes its place.

        What was lost with a node is done again on another, from the rung before: that says nothing of the task. So is,
        once, what was sent just before: its worker may have been dead already.
        """
        self._say(str(lost))
        if not slot.is_ready:
            self._admission.died(slot, lost)
            return
        task = slot.task
        never_begun = time.monotonic() - slot.sent < BEGIN_SECONDS and task not in self._sent_again
        slot.start()
        self._news.append(f"{lost}; another takes its place")
        if not self.slots:
            self._news.append("no worker is ready any more: waiting until Ray places one")
        if task is not None and (lost.with_node or never_begun) and self._sent_again.count(task) < MOST_SENT_AGAIN:
            self._sent_again.append(task)
            with self._lock:
                self._queue.appendleft(task)
        elif task is not None:
            task.fail(WorkerLost(str(lost)))

    def _fail(self, error: Exception) -> None:
        """Everything that is asked for ends like this."""
        with self._lock:
            self._broken = error
            tasks = [*self._queue, *(slot.task for slot in self._slots if slot.task)]
            self._queue.clear()
        for task in tasks:
            task.fail(error)

    def _listen(self, slot: Slot, signs: Signs | None) -> None:
        """Pass on signs of life and the log."""
        if signs is None:
            return
        if signs.log:
            slot.spoke = time.monotonic()
            with self._log.open("ab") as file:
                file.write(signs.log)
        progress = slot.task.progress if slot.task else None
        if signs.progress and progress not in (None, self._log) and slot.is_new(signs):
            heartbeat.write(progress, signs.progress)

    def _give_out(self) -> None:
        """Send tasks that wait to workers that are free."""
        with self._lock:
            waiting = list(self._queue)
        for task in waiting:
            if task.future.done() or self._given(task):  # done: cancelled
                with self._lock:
                    self._queue.remove(task)

    def _given(self, task: Task) -> bool:
        """Whether a task was sent to a worker now."""
        if task.measures and self._none_measures():
            task.fail(WorkerLost("no worker is left on a device on which the study measures; see --latency-node"))
            return True
        slot = self._best(task)
        try:
            data = slot.pictures_for(task, self._shipping) if slot else None
            files = files_of(task.args)
        except Exception as error:  # of this machine's disk
            task.fail(as_told(error))
            return True
        if slot is None or data is None:
            task.touch()  # that no worker is free is no silence
            return False
        assert slot.place
        if task.near and any(task.near[0] in held for held in self._held.values()):
            self._asked_near += 1
            self._went_near += task.near[0] in self._held.get(slot.place.node, ())
        slot.do(task, files, data)
        return True

    def _none_measures(self) -> bool:
        """Whether all workers that there are, or will be, only train."""
        return all(slot.state is State.UNFIT or (slot.is_ready and not slot.measures) for slot in self._slots)

    def _best(self, task: Task) -> Slot | None:
        """Of the workers that are free and may do a task the one whose node holds most of what it can use."""
        free = [slot for slot in self._slots if slot.state is State.IDLE and (slot.measures or not task.measures)]
        if self.is_mixed and not task.measures:  # one of those that measure does nothing else
            measuring = next((slot for slot in self._slots if slot.is_ready and slot.measures), None)
            free = [slot for slot in free if slot is not measuring]

        def fitness(slot: Slot) -> tuple[bool, ...]:
            held = self._held.get(slot.place.node, set()) if slot.place else set()
            return (slot.measures == task.measures, *(name in held for name in task.near))

        return max(free, key=fitness, default=None)
