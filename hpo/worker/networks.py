"""Networks and training steps that a worker has built, kept for the next trials of the same architecture."""

import functools
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from hpo.worker.facts import opened, task_of
from hpo.worker.job import Job
from models.candidate import Architecture, Candidate

if TYPE_CHECKING:
    from models.build import Network, Task
    from models.training.trainer import Trainer

NETWORKS = 4  # built and traced networks that a worker keeps


def _plain(architecture: Architecture, depth: int) -> Candidate:
    """A candidate of an architecture, trained from this depth on: all that decides a network."""
    values = {field.name: getattr(architecture, field.name) for field in fields(Architecture)}
    return Candidate(**values, unfreeze_depth=depth, dropout=0.0, learning_rate=1e-3, lr_schedule="constant")


@functools.lru_cache(maxsize=NETWORKS)
def _base(backbone: str, resolution: int, depth: int, task: "Task", seed: int) -> Any:
    from models.build import build_frozen

    headless = Architecture(backbone=backbone, resolution=resolution, head_width=0)
    return build_frozen(_plain(headless, depth), task, seed)


@functools.lru_cache(maxsize=NETWORKS)
def _network(architecture: Architecture, depth: int, task: "Task", seed: int, frozen: bool) -> "Network":
    """`frozen`: all below the cut frozen, to train from above it; else one base for all depths, to start at the cut."""
    from models.backbones import get_backbone
    from models.build import attach_head

    backbone = architecture.backbone
    free = depth if frozen else get_backbone(backbone).blocks
    base = _base(backbone, architecture.resolution, free, task, seed)
    return attach_head(base, _plain(architecture, depth), task, seed)


@functools.lru_cache(maxsize=NETWORKS)
def _trainer(architecture: Architecture, depth: int, task: "Task", seed: int, start: str, optimizer: str) -> "Trainer":
    from models.reuse.features import PICTURES, RESIZED, cut_tensors
    from models.training.trainer import Trainer

    network = _network(architecture, depth, task, seed, frozen=start in (PICTURES, RESIZED))
    return Trainer(network, cut_tensors(network)[start], optimizer)


def network_of(job: Job) -> "Network":
    """The job's network as it was first built; shared by all jobs of one architecture, so never changed."""
    return _network(job.candidate.architecture, job.candidate.unfreeze_depth, task(job), job.seed, frozen=False)


def trainer_of(job: Job, start: str) -> "Trainer":
    """The traced training step of the job's network from the cut `start`; shared like the network."""
    candidate = job.candidate
    return _trainer(candidate.architecture, candidate.unfreeze_depth, task(job), job.seed, start, candidate.optimizer)


@functools.lru_cache(maxsize=1024)
def _flops(architecture: Architecture, depth: int, task: "Task", seed: int, start: str, end: str | None) -> int:
    from models.reuse.features import flops_between

    return flops_between(_network(architecture, depth, task, seed, frozen=False), start, end)


def flops_of(job: Job, start: str, end: str | None = None) -> int:
    """FLOPs of one picture from a cut of the job's network to a deeper one, or to the logits; counted once."""
    return _flops(job.candidate.architecture, job.candidate.unfreeze_depth, task(job), job.seed, start, end)


def task(job: Job) -> "Task":
    return task_of(job.config, opened(job.config, job.facts.resolutions[-1]))
