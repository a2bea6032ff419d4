"""The last task of a study: the latencies of its front are measured again, in rounds together. Runs in a worker."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from hpo.worker import session
from hpo.worker.costs import Costs
from hpo.worker.heartbeat import Heartbeat, Phase, SignOfLife
from hpo.worker.job import Job
from hpo.worker.machine_lock import MachineLock
from hpo.worker.memory import to_latency
from models.candidate import AnyArchitecture
from studies.outcomes import Latency


def measure_again(jobs: Sequence[Job], architectures: Sequence[AnyArchitecture]) -> Mapping[str, Latency]:
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
                return _calls(jobs, lock, on_step)
            for cost in costs:
                cost.want()
            near = [job.candidate.architecture for job in jobs]
            latencies = survey.measure_again(near, architectures, on_step)
            return {each.architecture_key(): latency for each, latency in latencies.items()}
    finally:
        heartbeat.end()


def _calls(jobs: Sequence[Job], lock: MachineLock, on_step: Callable[[], None]) -> Mapping[str, Latency]:
    """By calls of the training backend."""
    from models.latency.call import measure_together

    with lock.training():
        models = [session.current().classifier_of(job) for job in jobs]
    with lock.measuring():
        latencies = measure_together(models, on_step)
    keys = (job.candidate.architecture_key() for job in jobs)
    return {key: to_latency(asdict(latency)) for key, latency in zip(keys, latencies, strict=True)}
