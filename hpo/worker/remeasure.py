"""The last task of a study: the latencies of its front are measured again, in rounds together. Runs in a worker."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from hpo.worker import session
from hpo.worker.costs import Costs
from hpo.worker.heartbeat import Heartbeat, Phase, SignOfLife
from hpo.worker.job import Job
from hpo.worker.machine_lock import MachineLock
from hpo.worker.memory import to_latency
from models.candidate import Architecture
from studies.outcomes import Latency


def measure_again(jobs: Sequence[Job], architectures: Sequence[Architecture]) -> Mapping[str, Latency]:
    """The latencies of the architectures of a study, after those of `jobs` were measured again; by their keys.

    Args:
        jobs: one for each architecture to be measured again; the first one's signs of life are watched.
        architectures: all of the study's. In a deployed runtime they share parts, so that theirs may change, too.

    Raises:
        ModelError: a network cannot be converted or run.
    """
    heartbeat = Heartbeat(jobs[0].files.progress)

    def on_step() -> None:
        heartbeat(SignOfLife(Phase.LATENCY))

    try:
        with MachineLock(jobs[0].config.cache_dir) as lock:
            costs = [Costs(job, session.current(), lock) for job in jobs]
            survey = costs[0].survey
            if survey is None:
                return _calls(jobs, costs, lock, on_step)
            survey.measure_again([job.candidate.architecture for job in jobs], on_step)
            return {each.architecture_key(): survey.latency(each, on_step) for each in architectures}
    finally:
        heartbeat.end()


def _calls(
    jobs: Sequence[Job], costs: Sequence[Costs], lock: MachineLock, on_step: Callable[[], None]
) -> Mapping[str, Latency]:
    """By calls of the training backend."""
    from models.latency.call import measure_together

    with lock.training():
        models = [session.current().network(job).model for job in jobs]
    with lock.measuring():
        latencies = [to_latency(asdict(latency)) for latency in measure_together(models, on_step)]
    for cost, latency in zip(costs, latencies, strict=True):
        cost.remember(latency)
    return {job.candidate.architecture_key(): latency for job, latency in zip(jobs, latencies, strict=True)}
