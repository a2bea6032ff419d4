"""How a worker on a Ray cluster comes to take tasks: Ray places it, and it looks at data, weights and machine itself.

The machine of the first that is ready, or of `config.latency_node`, is the study's. Who finds other data, weights or
versions is not used.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from hpo.config import StudyConfig
from hpo.errors import BadField, WorkerLost
from hpo.worker.cluster_slot import Lost, Slot, State, Task, as_told
from hpo.worker.cluster_worker import Done, Place, versions
from hpo.worker.facts import Changed, Facts, check_unchanged, unlike
from hpo.worker.shipping import Shipping, weights_here
from models import ModelError

MOST_DEATHS = 3  # for each slot, of workers in a row that never came to a task


class Admission:
    """Brings the workers of all slots as far as to take tasks.

    Args:
        config: of the study.
        slots: all there are; the first is where latencies are measured, if that was asked for.
        latency_node: Ray's id of the node whose machine is to be the study's; None for that of the first worker.
        look: what each worker does first.
        shipping: of data and weights.
        say: into the log.
        news: for who runs the search.
        fail: called when nothing that is asked for can be done any more.
    """

    def __init__(
        self,
        config: StudyConfig,
        slots: Sequence[Slot],
        latency_node: str | None,
        *,
        look: Callable[[StudyConfig], Facts],
        shipping: Shipping,
        say: Callable[[str], None],
        news: deque[str],
        fail: Callable[[Exception], None],
    ):
        self._config, self._slots, self._latency_node = config, slots, latency_node
        self._look, self._shipping, self._say, self._news, self._fail = look, shipping, say, news, fail
        self._reference: Facts | None = None
        self._deaths = 0
        self._unfit: Exception | None = None

    def arrived(self, slot: Slot, place: Place | Done) -> None:
        """A worker is somewhere."""
        if isinstance(place, Done):  # it cannot even say where
            assert place.error
            self._give_up(slot, place.error)
            return
        slot.place, slot.state = place, State.PLACED
        if place.versions != versions():
            there, here = (", ".join(f"{name} {each[name]}" for name in each) for each in (place.versions, versions()))
            self._give_up(slot, WorkerLost(f"it has {there}, the search {here}"))
            return
        where = "found under the same path" if place.has_data else "sent through the object store"
        self._say(f"worker {place.process} started on {place}; pictures are {where}")

    def begin_look(self, slot: Slot) -> None:
        """Have a worker look at data, weights and machine, as soon as there is data to look at."""
        task = Task(self._look, (self._config,), None, True, ())
        try:
            data = slot.pictures_for(task, self._shipping)
        except Exception as error:  # they cannot be read on this machine either
            self._give_up(slot, as_told(error))
            return
        if data is not None:
            slot.do(task, (), data)

    def looked(self, slot: Slot, done: Done) -> None:
        """A worker has looked; weights that it misses are sent, and it looks again."""
        error = done.error
        path = weights_here(error) if isinstance(error, ModelError) else None
        if isinstance(error, ModelError) and error.missing and path and str(error.missing) not in slot.weights:
            slot.send_weights(error.missing, self._shipping.weights(path))
            slot.state = State.PLACED  # to look again
            self._say(f"weights are sent to {slot.where}: {path.name}")
        elif error is not None:
            self._give_up(slot, error)
        else:
            slot.facts = done.value
            slot.done()

    def admit(self, slot: Slot) -> None:
        """Have a worker that has looked take tasks, unless what it found is not what the study is of."""
        assert slot.facts and slot.place
        if self._reference is None:
            if self._latency_node not in (None, slot.place.node):
                if slot is self._slots[0]:
                    self._fail(BadField("latency_node", f"must have room for a worker. Received: {self._latency_node}"))
                return  # until the node that measures is there
            self._reference = slot.facts
            slot.stay()
        other = unlike(slot.facts.machine, self._reference.machine)
        try:
            check_unchanged(replace(slot.facts, machine=self._reference.machine), self._reference)
        except Changed:
            other = ["data or weights"]
        if other:
            self._give_up(slot, WorkerLost(f"it has other {', '.join(other)} than the study"))
            return
        slot.state, slot.measures = State.IDLE, slot.facts.machine == self._reference.machine
        self._deaths = 0
        what = "" if slot.measures else ", but only trains: its device is not that on which the study measures"
        self._say(f"worker {slot.place.process} on {slot.where} takes tasks{what}")

    def died(self, slot: Slot, lost: Lost) -> None:
        """A worker is no more before it took a task: another takes its place, unless that happens again and again."""
        self._deaths += 1
        if self._deaths >= MOST_DEATHS * len(self._slots):
            self._give_up(slot, WorkerLost(str(lost)))
        else:
            slot.start()

    def _give_up(self, slot: Slot, error: Exception) -> None:
        """Not use a worker, nor another in its place. If none is left, nothing of what is asked for can be done."""
        text = f"the worker on {slot.where} is not used: {error}"
        self._say(text)
        self._news.append(text)
        slot.end()
        slot.state, self._unfit = State.UNFIT, self._unfit or error
        none_is_left = all(each.state is State.UNFIT for each in self._slots)
        measures_first = self._latency_node is not None and self._reference is None and slot is self._slots[0]
        if none_is_left or measures_first:
            self._fail(self._unfit)
