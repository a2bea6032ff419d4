"""Trials of a KerasTuner HyperModel in a worker: what it asks for, and how one is trained."""

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from datasets.splits import Split
from hpo.config import StudyConfig
from hpo.worker import checkpoints, session
from hpo.worker.checkpoints import Checkpoint
from hpo.worker.frozen import Frozen
from hpo.worker.heartbeat import Beat
from hpo.worker.job import Job
from hpo.worker.session import Session, split_of
from hpo.worker.training import Learned, training
from models.candidate import HyperCandidate
from models.own.registry import hyper_of
from models.training.recipe import Epoch, NonFiniteLoss
from studies.outcomes import Measurement

if TYPE_CHECKING:
    from models.own.hyper_network import Built
    from models.own.hyper_prefix import Prefix
    from models.own.hyper_space import Asked
    from models.training.fitting import Examples


def explore(config: StudyConfig) -> "Asked":
    """In a worker: what a study's HyperModel asks for.

    Raises:
        ModelError: it cannot be built with its defaults.
    """
    from models.own import hyper_space

    facts = session.current().facts(config)
    return hyper_space.explore(hyper_of(config.backbone), facts.shape, len(facts.class_names))


def learn_hyper(
    job: Job, measurement: Callable[[], Measurement], begun: Checkpoint | None, until: int, beat: Beat, here: Session
) -> Learned | NonFiniteLoss:
    """Train a trial to the end of epoch `until`, or to where its `fit` ends, and leave a checkpoint if it goes on.

    A HyperModel with a `fit` of its own is trained in one go, and stopped at a rung where its judge says so.
    """
    from models.build import build_hyper
    from models.training import fitting

    assert isinstance(job.candidate, HyperCandidate)
    config, parts = job.config, split_of(job, here)
    built, curve = build_hyper(job.candidate, here.task(job), job.seed), tuple[Epoch, ...]()
    if begun is not None:
        with contextlib.suppress(ValueError):  # a checkpoint of another version
            fitting.resume(built, begun.arrays)
            curve = tuple(begun.curve)
    (train, val), prefix, from_where = _examples(job, built, parts, beat, here)
    length = fitting.Length(config.epochs, config.epochs if job.judge else until, config.batch_size, job.seed)

    def why_stop(curve: Sequence[Epoch]) -> str:
        best = max(point.val_accuracy or 0.0 for point in curve)
        return job.judge(len(curve), best, measurement()) if job.judge and len(curve) < config.epochs else ""

    try:
        fitted = fitting.run(built, train, val, curve, length, prefix, training(beat), why_stop)
    except NonFiniteLoss as error:
        return error
    if not fitted.ended and not fitted.stopped and len(fitted.curve) < config.epochs:
        checkpoints.save(job.checkpoint_path, Checkpoint(fitting.state(built), fitted.curve))
    plan = _plan(built, job.candidate, from_where)
    return Learned(fitted.curve, built.trainable_parameters, plan, ended=fitted.ended, stopped=fitted.stopped)


def train_hyper(job: Job, parts: Split, epochs: int, beat: Beat, here: Session) -> tuple[Any, Sequence[Epoch]]:
    """A final model, trained on all of these pictures and judged by none, as a classifier of pictures; and its curve.

    Raises:
        NonFiniteLoss: the loss became infinite or NaN.
    """
    from models.build import build_hyper
    from models.training import fitting

    assert isinstance(job.candidate, HyperCandidate)
    config = job.config
    built = build_hyper(job.candidate, here.task(job), config.seed)
    (train, none), prefix, _ = _examples(job, built, parts, beat, here)
    length = fitting.Length(config.epochs, epochs, config.batch_size, config.seed)
    fitted = fitting.run(built, train, none, (), length, prefix, training(beat))
    return built.classifier, fitted.curve


def _examples(
    job: Job, built: "Built", parts: Split, beat: Beat, here: Session
) -> "tuple[tuple[Examples, Examples], Prefix | None, str]":
    """What to train and to validate on, behind what the HyperModel froze itself where storing that pays; and why."""
    from models.own.hyper_prefix import find_prefix
    from models.training.fitting import Examples

    data = here.data(job.config, job.side)

    def examples(features: Callable[[np.ndarray], np.ndarray]) -> tuple[Examples, Examples]:
        train, val = (Examples(features(rows), data.labels[rows]) for rows in (parts.train, parts.val))
        return train, val

    pictures, why = examples(lambda rows: data.images[rows]), ""
    prefix = None if built.fits_itself else find_prefix(built)
    if prefix is None:
        return pictures, None, why
    store = Frozen(job, prefix, data, beat)
    decision = store.plan(len(parts.train), len(parts.val))
    if decision.store:
        try:
            return examples(store.load), prefix, f"behind {prefix.layer}: {decision.why}"
        except OSError as error:  # another process took the room, or the disk is full
            why = f"no store, {error}; "
    return pictures, None, why + decision.why


def _plan(built: "Built", candidate: HyperCandidate, from_where: str) -> str:
    """Who trained it, from where, and what of it was not searched."""
    who = "trained by its own fit" if built.fits_itself else "trained by Keras' fit"
    others = [name for name in built.asked if name not in candidate.settings()]
    left = f"not searched, at their defaults: {', '.join(others)}" if others else ""
    return "; ".join(filter(None, (who, from_where, left)))
