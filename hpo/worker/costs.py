"""What architectures cost: latency and FLOPs measured once for each on a device, and remembered across studies."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from hpo.worker.job import Job
from hpo.worker.machine_lock import MachineLock
from hpo.worker.memory import Memory, to_latency
from hpo.worker.session import Session
from hpo.worker.survey import Survey
from models.candidate import HyperCandidate
from studies.fingerprint import KERAS
from studies.outcomes import Latency, Measurement


class Known:
    """What an architecture costs that was measured in a task before.

    Attributes:
        counts: of `Costs`, as far as a budget asks for them.
    """

    def __init__(self, measurement: Measurement):
        self._measurement = measurement
        self.counts: Mapping[str, int] = {"flops": measurement.flops}

    def measurement(self, on_step: Callable[[], None] = lambda: None) -> Measurement:
        """That measurement."""
        return self._measurement


class Costs:
    """What one architecture costs: FLOPs at once, its latency when it is asked for.

    A latency in a deployed runtime is measured beside the training (see `hpo.worker.survey`), from `want` on: it is
    waited for when it decides whether a candidate is trained, else when the training is over.

    Attributes:
        counts: MACs, FLOPs and parameters, as `Measurement` names them.
        survey: that measures in a deployed runtime; None for calls of the training backend.
    """

    def __init__(self, job: Job, session: Session, lock: MachineLock):
        self._job, self._session, self._lock = job, session, lock
        self._memory = Memory(job.config.cache_dir, job.facts.measured_with)
        # Beside the candidate's own fields the size of the pictures and of the last layer changes inference.
        size = "x".join(map(str, job.shape))
        self._key = f"{job.candidate.architecture_key()}/{size}/{len(job.facts.class_names)}"
        deployed = job.facts.machine.get("latency_runtime", KERAS) != KERAS
        known = self._memory.recall(self._key)
        self.counts: Mapping[str, int] = (known or {}).get("cost") or self._found_out()
        self.survey: Survey | None = session.survey(job) if deployed else None
        called = self._called() if self.survey is None else None
        self._latency = to_latency(called) if called else None

    def want(self) -> None:
        """Begin to measure the latency, if that can be done beside something else."""
        if self.survey is not None:
            self.survey.want(self._job.candidate.architecture)

    def measurement(self, on_step: Callable[[], None] = lambda: None) -> Measurement:
        """All of it; waits for the latency, and calls `on_step` whenever a step of measuring was done meanwhile.

        Raises:
            ModelError: the network cannot be converted or run.
        """
        if self._latency is None:
            if self.survey is not None:
                self._latency = self.survey.latency(self._job.candidate.architecture, on_step)
            else:
                self._latency = self._call()
        return Measurement(latency_ms=self._latency.record_ms, latency=self._latency, **self.counts)

    def _called(self) -> Any:
        """The record of the latency of one call, of this or an equal network; None: not measured yet."""
        return (self._memory.recall(self._memory.shared(self._key)) or {}).get("latency")

    def _found_out(self) -> dict[str, int]:
        """Counted, and remembered; of a HyperModel with its structure. See `Memory`."""
        with self._lock.training():  # building and importing disturb a measurement too
            from models import flops
            from models.structure import structure_of

            model = self._session.classifier_of(self._job)
            cost = flops.count(model)
            structure = structure_of(model) if isinstance(self._job.candidate, HyperCandidate) else None
            counts = {"macs": cost.macs, "flops": cost.flops, "other_flops": cost.other_flops}
            counts["parameters"] = model.count_params()
            # While others wait: a latency that another worker has measured meanwhile stays.
            known = {**(self._memory.recall(self._key) or {}), "cost": counts}
            self._memory.remember(self._key, known | ({"structure": structure} if structure else {}))
        return counts

    def _call(self) -> Latency:
        """One call of the training backend."""
        from models.latency import call

        with self._lock.training():
            model = self._session.classifier_of(self._job)
        with self._lock.measuring():
            latency = self._called()  # another worker may have measured it while this one waited
            if latency is None:
                latency = asdict(call.measure(model))
                shared = self._memory.shared(self._key)
                self._memory.remember(shared, {**(self._memory.recall(shared) or {}), "latency": latency})
        return to_latency(latency)
