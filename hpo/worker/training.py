"""How a worker trains: heads together or a tail alone, from where they stand to the next rung."""

import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hpo.worker import checkpoints
from hpo.worker.checkpoints import Checkpoint
from hpo.worker.heartbeat import Beat, Phase, SignOfLife
from hpo.worker.inputs import Sources
from hpo.worker.job import Job
from hpo.worker.session import Session
from hpo.worker.start import first_head
from models.training.divergence import Watch
from models.training.heads import Head, initial_head, train_heads
from models.training.recipe import Epoch, NonFiniteLoss, Recipe

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Learned:
    """A trial at a rung, or at its end. `plan` says where training started from and why, `diverged` if it did.

    `ended`: before the last epoch, by a `fit` of the user's; `stopped` why it was, where it is trained in one go.
    """

    curve: Sequence[Epoch]
    trainable_parameters: int
    plan: str
    diverged: str = ""
    ended: bool = False
    stopped: str = ""


def learn(
    jobs: Sequence[Job], begun: Sequence[Checkpoint | None], until: int, beat: Beat, session: Session
) -> list[Learned | NonFiniteLoss]:
    """Train each job on to the end of epoch `until` and leave a checkpoint if that is not its last.

    Several jobs must be heads that share pictures and steps (`Candidate.shared_by_heads`); those that are equally far
    are trained together.

    Args:
        jobs: the trials.
        begun: where each of them stands; what does not fit, of another version of this program, is not used.
        until: the epoch, from 1.
        beat: called after each step.
        session: what this worker keeps open.

    Returns:
        What each has learned, or how its loss ceased to be finite.
    """
    if jobs[0].candidate.joins_heads:
        return _learn_heads(jobs, begun, until, beat, session)
    return [_learn_tail(job, checkpoint, until, beat, session) for job, checkpoint in zip(jobs, begun, strict=True)]


def training(beat: Beat) -> Callable[[int, float], None]:
    """What trainers call after each step: the epoch, from 1, and the share of it that is done."""
    return lambda epoch, share: beat(SignOfLife(Phase.TRAIN, epoch, share))


def recipe_of(job: Job) -> Recipe:
    """All of a job's training but the network."""
    candidate, config = job.of_backbone, job.config
    return Recipe(
        candidate.learning_rate,
        candidate.lr_schedule,
        config.epochs,
        candidate.batch_size,
        job.seed,
        candidate.dropout,
        candidate.label_smoothing,
        candidate.optimizer,
        candidate.weight_decay,
        candidate.strategy,
    )


def _learn_heads(
    jobs: Sequence[Job], begun: Sequence[Checkpoint | None], until: int, beat: Beat, session: Session
) -> list[Learned | NonFiniteLoss]:
    sets = Sources(jobs[0], session)
    pooled = sets.pooled(beat)
    if pooled is None:
        return [_learn_tail(job, checkpoint, until, beat, session) for job, checkpoint in zip(jobs, begun, strict=True)]
    train_set, val_set, why = pooled
    _log.info("trials %s: %s", ", ".join(str(job.number) for job in jobs), why)
    width = val_set.take(val_set.indices[:1]).shape[-1]
    fresh = [job for job, checkpoint in zip(jobs, begun, strict=True) if checkpoint is None]
    linear = next((job for job in fresh if not job.of_backbone.head_width), None)  # all such heads begin alike
    first = first_head(Sources(linear, session), beat) if linear else None
    heads = [_head(job, checkpoint, width, session, first) for job, checkpoint in zip(jobs, begun, strict=True)]
    failed: dict[int, NonFiniteLoss] = {}
    standing = [len(head.curve) for head in heads]  # one that is tried again may be further than the others
    for epochs in sorted(set(standing)):
        numbers = [number for number, own in enumerate(standing) if own == epochs]
        errors = train_heads([heads[number] for number in numbers], train_set, val_set, until, training(beat))
        failed |= {numbers[position]: error for position, error in errors.items()}
    results: list[Learned | NonFiniteLoss] = []
    for number, (job, head) in enumerate(zip(jobs, heads, strict=True)):
        if number in failed:
            results.append(failed[number])
            continue
        _leave(job, Checkpoint(head.arrays(), head.curve))
        results.append(Learned(head.curve, sum(array.size for array in head.weights), why))
    return results


def _head(job: Job, begun: Checkpoint | None, features: int, session: Session, first: list[np.ndarray] | None) -> Head:
    width = job.of_backbone.head_width
    if first is None or width:
        first = initial_head(job.seed, features, width, session.task(job).n_logits)
    head = Head([array.copy() for array in first], recipe_of(job))
    if begun is not None:
        with contextlib.suppress(ValueError):  # a checkpoint of another shape
            head.resume(begun.arrays, begun.curve)
    return head


def _learn_tail(
    job: Job, begun: Checkpoint | None, until: int, beat: Beat, session: Session
) -> Learned | NonFiniteLoss:
    from models.reuse.features import PICTURES

    sets, recipe = Sources(job, session), recipe_of(job)
    start, train_set, val_set, why = sets.start(beat)
    _log.info("trial %d starts from %s: %s", job.number, start, why)
    # On-line augmentation changes raw pictures, so it needs them; stored views are changed already.
    transform = sets.transform if start == PICTURES else None
    trainer = session.trainer(job, start)
    state = trainer.begin(first_head(sets, beat) if begun is None else None)
    if begun is not None:
        with contextlib.suppress(ValueError):  # a checkpoint of another shape
            state = trainer.resume(begun.arrays, begun.curve, len(train_set), recipe)
    watched = job.config.stopping != "none"
    watch = Watch(train_set.y[train_set.indices], state.curve) if watched else None
    try:
        trainer.run(state, train_set, val_set, recipe, until, training(beat), transform=transform, watch=watch)
    except NonFiniteLoss as error:
        return error
    if not state.diverged:
        _leave(job, Checkpoint(trainer.arrays(state), state.curve))
    return Learned(state.curve, trainer.parameters, f"{start}: {why}", state.diverged)


def _leave(job: Job, checkpoint: Checkpoint) -> None:
    """A checkpoint where training will go on."""
    if len(checkpoint.curve) < job.config.epochs:
        checkpoints.save(job.checkpoint_path, checkpoint)
