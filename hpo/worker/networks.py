"""Networks and training steps that a worker has built, kept for the next trials of the same architecture."""

import functools
from typing import TYPE_CHECKING, Any

from hpo.worker.facts import opened, task_of
from hpo.worker.job import Job
from models.candidate import Candidate

if TYPE_CHECKING:
    from models.build import Network, Task
    from models.training.trainer import Trainer

NETWORKS = 4  # built and traced networks that a worker keeps


@functools.lru_cache(maxsize=NETWORKS)
def _base(candidate: Candidate, task: "Task", seed: int) -> Any:
    from models.build import build_frozen

    return build_frozen(candidate, task, seed)


@functools.lru_cache(maxsize=NETWORKS)
def _network(candidate: Candidate, task: "Task", seed: int, frozen: bool) -> "Network":
    """`frozen`: all below the cut frozen, to train from above it; else one base for all depths, to start at the cut."""
    from models.backbones import get_backbone
    from models.build import attach_head

    depth = candidate.unfreeze_depth if frozen else get_backbone(candidate.backbone).blocks
    plain = Candidate(candidate.backbone, depth, 0, 0.0, 1e-3, "constant", candidate.resolution)
    return attach_head(_base(plain, task, seed), candidate, task, seed)


@functools.lru_cache(maxsize=NETWORKS)
def _trainer(candidate: Candidate, task: "Task", seed: int, start: str, optimizer: str) -> "Trainer":
    from models.reuse.features import PICTURES, RESIZED, cut_tensors
    from models.training.trainer import Trainer

    network = _network(candidate, task, seed, frozen=start in (PICTURES, RESIZED))
    return Trainer(network, cut_tensors(network)[start], optimizer)


def network_of(job: Job) -> "Network":
    """The job's network as it was first built; shared by all jobs of one architecture, so never changed."""
    return _network(job.candidate.architecture(), task(job), job.seed, frozen=False)


def trainer_of(job: Job, start: str) -> "Trainer":
    """The traced training step of the job's network from the cut `start`; shared like the network."""
    return _trainer(job.candidate.architecture(), task(job), job.seed, start, job.candidate.optimizer)


@functools.lru_cache(maxsize=1024)
def _flops(candidate: Candidate, task: "Task", seed: int, start: str, end: str | None) -> int:
    from models.reuse.features import flops_between

    return flops_between(_network(candidate, task, seed, frozen=False), start, end)


def flops_of(job: Job, start: str, end: str | None = None) -> int:
    """FLOPs of one picture from a cut of the job's network to a deeper one, or to the logits; counted once."""
    return _flops(job.candidate.architecture(), task(job), job.seed, start, end)


def task(job: Job) -> "Task":
    return task_of(job.config, opened(job.config, job.facts.resolutions[-1]))
