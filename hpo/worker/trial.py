"""Where candidates become numbers: measure, check the budget, train to a rung. Runs in a worker process."""

import logging
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hpo.config import StudyConfig
from hpo.worker import checkpoints, costs, session
from hpo.worker.accounting import peak_memory_mib, reset_peak_memory, timed
from hpo.worker.boundary import explain
from hpo.worker.facts import check_unchanged, machine_of
from hpo.worker.heartbeat import Beat, Heartbeat, Phase, SignOfLife, decoding
from hpo.worker.hypermodel import learn_hyper
from hpo.worker.job import Job, Measured
from hpo.worker.machine_lock import MachineLock
from hpo.worker.training import Learned, learn
from models.candidate import HyperCandidate
from models.training.recipe import NonFiniteLoss
from studies.outcomes import DIVERGED, Failure, Measurement, Outcome
from studies.paths import write_text

_log = logging.getLogger(__name__)
MEASURING = SignOfLife(Phase.MEASURE)

Run = Callable[[Sequence[Job], int, Beat, Sequence[dict[str, float]]], list[Outcome | Failure]]


def attempt(jobs: Sequence[Job], until: int, run: Run | None = None) -> list[Outcome | Failure]:
    """`evaluate`, with whatever goes wrong as a record of the trial that it went wrong in.

    A group in which something goes wrong is tried again one by one, so that no trial fails by another's fault. `run`
    stands in for `evaluate`.
    """
    heartbeat = Heartbeat(jobs[0].files.progress)  # the one that the parent watches, whichever job is being done
    try:
        return _attempt(jobs, until, heartbeat, run or evaluate)
    finally:
        heartbeat.end()
        session.current().tidy()


def measure(jobs: Sequence[Job]) -> list[Measured | Failure]:
    """What each job's architecture costs, for trials that are trained where the study does not measure."""
    heartbeat = Heartbeat(jobs[0].files.progress)
    here = session.current()
    try:
        with MachineLock(jobs[0].config.cache_dir) as lock:
            return [_measured_alone(job, here, lock, heartbeat) for job in jobs]
    finally:
        heartbeat.end()
        here.tidy()


def _measured_alone(job: Job, here: session.Session, lock: MachineLock, beat: Beat) -> Measured | Failure:
    seconds = dict(job.spent)
    try:
        cost = _asked(job, here, lock, seconds, beat)
        with timed("measure", seconds):
            return Measured(cost.measurement(lambda: beat(MEASURING)), seconds)
    except Exception as error:
        return _failure(job, error, seconds)


def _attempt(jobs: Sequence[Job], until: int, beat: Beat, run: Run) -> list[Outcome | Failure]:
    seconds = [dict(job.spent) for job in jobs]
    try:
        return run(jobs, until, beat, seconds)
    except Exception as error:
        if len(jobs) == 1:
            return [_failure(jobs[0], error, seconds[0])]
        _log.warning("%d trials together: %s; now one by one", len(jobs), explain(error)[1])
        return [result for job in jobs for result in _attempt([job], until, beat, run)]


def evaluate(
    jobs: Sequence[Job], until: int, beat: Beat, seconds: Sequence[dict[str, float]]
) -> list[Outcome | Failure]:
    """All numbers of each job's candidate as of the end of epoch `until`.

    What is final, trained to its last epoch or over budget, is on disk under `job.files.outcome` before this returns.

    Args:
        jobs: one, or several heads on one resolution (see `hpo.worker.training.learn`).
        until: the epoch, from 1.
        beat: hears signs of life.
        seconds: to each job's is added phase by phase, so that a failed trial has them too; what is done together is
            shared out evenly.

    Raises:
        hpo.worker.facts.Changed: data, weights or machine are not those of the study.
        Exception: whatever the backend raises when memory runs out.
    """
    reset_peak_memory()
    here = session.current()
    with MachineLock(jobs[0].config.cache_dir) as lock:
        asked = []
        for job, spent in zip(jobs, seconds, strict=True):
            asked.append(_asked(job, here, lock, spent, beat))
            if job.config.max_latency_ms is not None or job.judge is not None:
                with timed("measure", spent):
                    asked[-1].measurement(lambda: beat(MEASURING))
        within = [n for n, job in enumerate(jobs) if _is_within(job.config, asked[n])]
        chosen = [(jobs[n], asked[n]) for n in within]
        learned = _train(chosen, until, beat, [seconds[n] for n in within], lock) if within else []
        measurements = [_measured(cost, spent, beat) for cost, spent in zip(asked, seconds, strict=True)]
    by_job = dict(zip(within, learned, strict=True))
    results: list[Outcome | Failure] = []
    for n, (job, measurement) in enumerate(zip(jobs, measurements, strict=True)):
        result = by_job.get(n)
        if isinstance(result, NonFiniteLoss):
            results.append(_failure(job, result, seconds[n]))
        elif isinstance(measurement, Exception):
            results.append(_failure(job, measurement, seconds[n]))
        else:
            results.append(_outcome(job, measurement, result, seconds[n]))
    return results


def _asked(
    job: Job, here: session.Session, lock: MachineLock, seconds: dict[str, float], beat: Beat
) -> costs.Costs | costs.Known:
    """What a job's architecture costs, measured from now on unless it was before.

    Raises:
        hpo.worker.facts.Changed: data, weights or machine are not those of the study; the machine of one that only
            trains may be another.
    """
    beat(MEASURING)
    with timed("measure", seconds):
        found = here.facts(job.config)
        if job.measurement is not None:
            check_unchanged(replace(found, machine=job.facts.machine), job.facts)
            return costs.Known(job.measurement)
        check_unchanged(found, job.facts)
        cost = costs.Costs(job, here, lock)
        cost.want()
        return cost


def _measured(cost: costs.Costs | costs.Known, seconds: dict[str, float], beat: Beat) -> Measurement | Exception:
    """What an architecture costs. An error is one trial's: what was trained beside it is not trained again."""
    beat(MEASURING)
    with timed("measure", seconds):
        try:
            return cost.measurement(lambda: beat(MEASURING))
        except Exception as error:
            return error


def _is_within(config: StudyConfig, cost: costs.Costs | costs.Known) -> bool:
    """Whether a candidate is trained. Its latency is waited for only if there is a budget for it."""
    if config.max_gflops is not None and cost.counts["flops"] / 1e9 > config.max_gflops:
        return False
    return config.max_latency_ms is None or cost.measurement().latency_ms <= config.max_latency_ms


def _train(
    chosen: Sequence[tuple[Job, costs.Costs | costs.Known]],
    until: int,
    beat: Beat,
    seconds: Sequence[dict[str, float]],
    lock: MachineLock,
) -> list[Learned | NonFiniteLoss]:
    """Building, extracting and tracing are "prepare"; the first training step ends them."""
    with timed("prepare", *seconds) as clock, lock.training():

        def on_step(sign: SignOfLife) -> None:
            if sign.phase is Phase.TRAIN:
                clock.now("train")
            lock.give_way()
            beat(sign)

        jobs, here = [job for job, _ in chosen], session.current()
        session.split_of(jobs[0], here, decoding(on_step))  # opened for all of them
        begun = [checkpoints.load(job.checkpoint_path) for job in jobs]
        if not isinstance(jobs[0].candidate, HyperCandidate):
            return learn(jobs, begun, until, on_step, here)
        return [
            learn_hyper(job, cost.measurement, checkpoint, until, on_step, here)
            for (job, cost), checkpoint in zip(chosen, begun, strict=True)
        ]


def _outcome(job: Job, measurement: Measurement, learned: Learned | None, seconds: dict[str, float]) -> Outcome:
    """The record of a trial, on disk if it is final."""
    points, stopped = learned.curve if learned else (), ""
    if learned:
        stopped = f"{DIVERGED} in epoch {len(points)}: {learned.diverged}" if learned.diverged else learned.stopped
    best = max(points, key=lambda point: point.val_accuracy or 0.0, default=None)  # the first of equals
    outcome = Outcome(
        study_id=job.study_id,
        number=job.number,
        candidate=job.candidate,
        measurement=measurement,
        trainable_parameters=learned.trainable_parameters if learned else None,
        val_accuracy=best.val_accuracy if best else None,
        best_epoch=best.epoch if best else None,
        constraints=over_budget(job.config, measurement),
        curve=[point.numbers() for point in points],
        seconds=seconds,
        peak_memory_mib=peak_memory_mib(),
        seed=job.seed,
        machine=_machine(job),
        plan=learned.plan if learned else "",
        val_right=best.val_right if best else "",
        stopped=stopped,
        ended=bool(learned and learned.ended),
    )
    if learned is None or not outcome.goes_on(job.config.epochs):
        write_text(job.files.outcome, outcome.to_json())
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
        curve=[epoch.numbers() for epoch in getattr(error, "curve", ())],
        machine=_machine(job),
    )


def _machine(job: Job) -> Mapping[str, Any]:
    """That trains it: the study's, but where another has measured it. Needs no data, which may be gone."""
    return job.facts.machine if job.measurement is None else machine_of(job.config)


def over_budget(config: StudyConfig, measurement: Measurement) -> dict[str, float]:
    """For each budget that is set, value minus limit: above 0 means over it."""
    constraints = {}
    if config.max_latency_ms is not None:
        constraints["max_latency_ms"] = measurement.latency_ms - config.max_latency_ms
    if config.max_gflops is not None:
        constraints["max_gflops"] = measurement.flops / 1e9 - config.max_gflops
    return constraints
