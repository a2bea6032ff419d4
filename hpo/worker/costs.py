"""What architectures cost: latency and FLOPs measured once for each on a device, and remembered across studies."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hpo.worker.job import Job
from hpo.worker.machine_lock import MachineLock
from hpo.worker.session import Session
from studies import strict
from studies.outcomes import Latency, Measurement
from studies.paths import write_text


def measure(job: Job, session: Session, lock: MachineLock) -> Measurement:
    """Latency and FLOPs of the job's architecture on this device: known ones need no model."""
    facts = job.facts
    memory = Memory(job.config.cache_dir, facts.machine)
    # Beside the candidate's own fields the size of the pictures and of the last layer changes inference.
    size = "x".join(map(str, facts.shape))
    key = f"{job.candidate.architecture_key()}/{size}/{len(facts.class_names)}"
    known = memory.recall(key)
    if known is None:
        with lock.training():  # building and importing disturb a measurement too
            from models import flops
            from models.latency import call

            model = session.network(job).model
            cost = flops.count(model)
        with lock.measuring():
            known = memory.recall(key)  # another worker may have measured it while this one waited
            if known is None:
                known = {
                    "latency": asdict(call.measure(model)),
                    "cost": {
                        "macs": cost.macs,
                        "flops": cost.flops,
                        "other_flops": cost.other_flops,
                        "parameters": model.count_params(),
                    },
                }
                memory.remember(key, known)
    times = strict.from_values(Latency, known["latency"])
    return Measurement(latency_ms=times.median_ms, latency=times, **known["cost"])


class Memory:
    """What architectures cost: one small file under `<cache>/latency` for each, with a dict of two dicts.

    `latency` is `models.latency.Latency`, `cost` has MACs, FLOPs and parameters.

    Trials with the same architecture have the same latency, so that a front never shows noise as a difference, and
    the same study run again proposes the same trials. Delete the folder to measure anew.
    """

    def __init__(self, cache_dir: Path, machine: Mapping[str, Any]):
        self._folder, self._machine = cache_dir / "latency", dict(machine)

    def _identity(self, architecture: str) -> dict[str, Any]:
        return {"architecture": architecture, "machine": self._machine}

    def _path(self, architecture: str) -> Path:
        text = json.dumps(self._identity(architecture), sort_keys=True)
        return self._folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"

    def recall(self, architecture: str) -> dict[str, Any] | None:
        """What was remembered of an architecture on this machine; None if it was not measured yet."""
        try:
            stored = json.loads(self._path(architecture).read_text(encoding="utf-8"))
            known = stored["known"]
            if (
                stored["identity"] == self._identity(architecture)
                and known["latency"]["median_ms"] > 0
                and known["cost"]
            ):
                return known
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            pass  # not measured yet, or not a file of ours: measuring again replaces it
        return None

    def remember(self, architecture: str, known: Mapping[str, Any]) -> None:
        """Keep what was measured."""
        stored = {"identity": self._identity(architecture), "known": dict(known)}
        write_text(self._path(architecture), json.dumps(stored, indent=1))
