"""Where candidates become numbers: measure, check the budget, train to a rung. Runs in a worker process."""

import logging
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict

from hpo.config import StudyConfig
from hpo.worker import checkpoints
from hpo.worker.costs import Gate, Memory, write_atomically
from hpo.worker.facts import check_unchanged
from hpo.worker.heartbeat import Progress, peak_memory_mib, reset_peak_memory, timed
from hpo.worker.job import Job
from hpo.worker.networks import network_of
from hpo.worker.training import Learned, learn
from models.training.recipe import NonFiniteLoss
from studies import strict
from studies.outcomes import Failure, Latency, Measurement, Outcome

_log = logging.getLogger(__name__)

Run = Callable[[Sequence[Job], int, Progress, Sequence[dict[str, float]]], list[Outcome | Failure]]


def attempt(jobs: Sequence[Job], until: int, run: Run | None = None) -> list[Outcome | Failure]:
    """`evaluate`, with whatever goes wrong as a record: an exception of a backend must not reach the parent.

    Unpickled there, it would import Keras. MemoryError and failures of the backend's allocator are one kind. A group
    in which something goes wrong is tried again one by one, so that no trial fails by another's fault. `run` stands in
    for `evaluate`.
    """
    progress = Progress(jobs[0].progress_path)  # the one that the parent watches, whichever job is being done
    try:
        return _attempt(jobs, until, progress, run or evaluate)
    finally:
        progress.end()


def _attempt(jobs: Sequence[Job], until: int, progress: Progress, run: Run) -> list[Outcome | Failure]:
    seconds = [dict(job.spent) for job in jobs]
    try:
        return run(jobs, until, progress, seconds)
    except Exception as error:
        if len(jobs) == 1:
            return [_failure(jobs[0], error, seconds[0])]
        _log.warning("%d trials together: %s; now one by one", len(jobs), explain(error)[1])
        return [result for job in jobs for result in _attempt([job], until, progress, run)]


def evaluate(
    jobs: Sequence[Job], until: int, alive: Progress, seconds: Sequence[dict[str, float]]
) -> list[Outcome | Failure]:
    """All numbers of each job's candidate as of the end of epoch `until`.

    What is final, trained to its last epoch or over budget, is on disk under `job.outcome_path` before this returns.
    Several jobs must be heads on one resolution (see `hpo.worker.training.learn`). To `seconds` of each job is added
    phase by phase, so that a failed trial has them too; what is done together is shared out evenly.

    Errors: hpo.worker.facts.Changed; whatever the backend raises when memory runs out.
    """
    reset_peak_memory()
    with Gate(jobs[0].config.cache_dir) as gate:
        measurements = []
        for job, spent in zip(jobs, seconds, strict=True):
            alive("measure")
            with timed("measure", spent):
                check_unchanged(job.config, job.facts)
                measurements.append(_measure(job, gate))
        within = [
            n
            for n, cost in enumerate(measurements)
            if all(over <= 0 for over in over_budget(jobs[n].config, cost).values())
        ]
        learned: dict[int, Learned | NonFiniteLoss] = {}
        if within:
            trained = [jobs[n] for n in within]
            # Building, extracting and tracing are "prepare"; the first training step ends them.
            with timed("prepare", *(seconds[n] for n in within)) as clock, gate.training():

                def on_step(phase: str) -> Callable[..., None]:
                    def step(*where: float) -> None:
                        if phase == "train":
                            clock.now("train")
                        gate.give_way()
                        alive(phase, *where)

                    return step

                begun = [checkpoints.load(job.checkpoint_path) for job in trained]
                learned = dict(zip(within, learn(trained, begun, until, on_step), strict=True))
    results: list[Outcome | Failure] = []
    for n, (job, measurement) in enumerate(zip(jobs, measurements, strict=True)):
        found = learned.get(n)
        if isinstance(found, NonFiniteLoss):
            results.append(_failure(job, found, seconds[n]))
        else:
            results.append(_outcome(job, measurement, found, seconds[n]))
    return results


def _outcome(job: Job, measurement: Measurement, learned: Learned | None, seconds: dict[str, float]) -> Outcome:
    """The record of a trial, on disk if it is final."""
    curve = [asdict(point) for point in learned.curve] if learned else []
    best = max(curve, key=lambda point: point["val_accuracy"]) if curve else None  # the first of equals
    outcome = Outcome(
        study_id=job.study_id,
        number=job.number,
        candidate=job.candidate,
        measurement=measurement,
        trainable_parameters=learned.trainable_parameters if learned else None,
        val_accuracy=best["val_accuracy"] if best else None,
        best_epoch=int(best["epoch"]) if best else None,
        constraints=over_budget(job.config, measurement),
        curve=curve,
        seconds=seconds,
        peak_memory_mib=peak_memory_mib(),
        seed=job.seed,
        machine=job.facts.machine,
        plan=learned.plan if learned else "",
    )
    if learned is None or len(curve) >= job.config.epochs:
        write_atomically(job.outcome_path, outcome.to_json())
    return outcome


def _failure(job: Job, error: BaseException, seconds: dict[str, float]) -> Failure:
    kind, reason = explain(error)
    return Failure(
        kind=kind,
        reason=reason,
        traceback="".join(traceback.format_exception(error)),
        seed=job.seed,
        seconds=seconds,
        peak_memory_mib=peak_memory_mib(),
        curve=[asdict(epoch) for epoch in getattr(error, "curve", ())],
        machine=job.facts.machine,
    )


def over_budget(config: StudyConfig, measurement: Measurement) -> dict[str, float]:
    """For each budget that is set, value minus limit: above 0 means over it."""
    constraints = {}
    if config.max_latency_ms is not None:
        constraints["max_latency_ms"] = measurement.latency_ms - config.max_latency_ms
    if config.max_gflops is not None:
        constraints["max_gflops"] = measurement.flops / 1e9 - config.max_gflops
    return constraints


def explain(error: BaseException) -> tuple[str, str]:
    """(kind, reason in one line) of a failed trial. Failures of the same kind in a row stop the study."""
    text = (str(error).strip().splitlines() or [""])[0][:300]
    name = type(error).__name__
    if isinstance(error, MemoryError) or name == "ResourceExhaustedError" or "RESOURCE_EXHAUSTED" in text:
        return "out of memory", f"out of memory: {text or name}"
    if isinstance(error, NonFiniteLoss):
        return "non-finite loss", text
    return name, f"{name}: {text}"


def _measure(job: Job, gate: Gate) -> Measurement:
    """Latency and FLOPs, once for each architecture on a device: known ones need no model."""
    facts = job.facts
    memory = Memory(job.config.cache_dir, facts.machine)
    # Beside the candidate's own fields the size of the pictures and of the last layer changes inference.
    size = "x".join(map(str, facts.shape))
    key = f"{job.candidate.architecture_key()}/{size}/{len(facts.class_names)}"
    known = memory.recall(key)
    if known is None:
        with gate.training():  # building and importing disturb a measurement too
            from models import flops, latency

            model = network_of(job).model
            cost = flops.count(model)
        with gate.measuring():
            known = memory.recall(key)  # another worker may have measured it while this one waited
            if known is None:
                known = {
                    "latency": asdict(latency.measure(model)),
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
