"""Trials of a KerasTuner HyperModel in a worker: what it asks for, and how one is trained."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Standing:
    """A trial at a rung: its model, built and traced, where the curve ends."""

    built: "Built"
    prefix: "Prefix | None"
    curve: tuple[Epoch, ...] = ()


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
    from models.training import fitting

    config, parts, stands = job.config, split_of(job, here), _where_it_stands(job, begun, here)
    built = stands.built
    (train, val), prefix, from_where = _examples(job, stands, parts, beat, here)
    length = fitting.Length(config.epochs, config.epochs if job.judge else until, config.batch_size, job.seed)

    def why_stop(curve: Sequence[Epoch]) -> str:
        best = max(point.val_accuracy or 0.0 for point in curve)
        return job.judge(len(curve), best, measurement()) if job.judge and len(curve) < config.epochs else ""

    try:
        fitted = fitting.run(built, train, val, stands.curve, length, prefix, training(beat), why_stop)
    except NonFiniteLoss as error:
        return error
    if not fitted.ended and not fitted.stopped and len(fitted.curve) < config.epochs:
        checkpoints.save(job.checkpoint_path, Checkpoint(fitting.state(built), fitted.curve))
        here.under_way[job.study_id, job.number] = replace(stands, curve=tuple(fitted.curve))
    plan = _plan(built, from_where, job.candidate.settings())
    return Learned(fitted.curve, built.trainable_parameters, plan, ended=fitted.ended, stopped=fitted.stopped)


def _where_it_stands(job: Job, begun: Checkpoint | None, here: Session) -> Standing:
    """As this worker left it, or built anew and put where the checkpoint is: both are the same."""
    from models.training import fitting

    kept = here.under_way.pop((job.study_id, job.number), None)
    if kept is not None and begun is not None and kept.curve == tuple(begun.curve):
        return kept
    here.under_way.clear()  # at most one: a network and its traces take memory
    fresh = _fresh(job, job.seed, here)
    if begun is not None:
        try:
            fitting.resume(fresh.built, begun.arrays)
            return replace(fresh, curve=tuple(begun.curve))
        except ValueError as error:  # a checkpoint of another version
            _log.warning("trial %d begins anew: %s", job.number, error)
    return fresh


def _fresh(job: Job, seed: int, here: Session) -> Standing:
    from models.build import build_hyper
    from models.own.hyper_prefix import find_prefix

    assert isinstance(job.candidate, HyperCandidate)
    built = build_hyper(job.candidate, here.task(job), seed)
    return Standing(built, None if built.fits_itself else find_prefix(built))


def train_hyper(job: Job, parts: Split, epochs: int, beat: Beat, here: Session) -> tuple[Any, Sequence[Epoch]]:
    """A final model, trained on all of these pictures and judged by none, as a classifier of pictures; and its curve.

    Raises:
        NonFiniteLoss: the loss became infinite or NaN.
    """
    from models.training import fitting

    config, stands = job.config, _fresh(job, job.seed, here)
    (train, none), prefix, _ = _examples(job, stands, parts, beat, here)
    length = fitting.Length(config.epochs, epochs, config.batch_size, config.seed)
    fitted = fitting.run(stands.built, train, none, (), length, prefix, training(beat))
    return stands.built.classifier, fitted.curve


def _examples(
    job: Job, stands: Standing, parts: Split, beat: Beat, here: Session
) -> "tuple[tuple[Examples, Examples], Prefix | None, str]":
    """What to train and to validate on, behind what the HyperModel froze itself where storing that pays; and why."""
    from models.training.fitting import Examples

    data = here.data(job.config, job.side)

    def examples(features: Callable[[np.ndarray], np.ndarray]) -> tuple[Examples, Examples]:
        train, val = (Examples(features(rows), data.labels[rows]) for rows in (parts.train, parts.val))
        return train, val

    prefix, why = stands.prefix, ""
    if prefix is None:
        return examples(lambda rows: data.images[rows]), None, why
    store = Frozen(job, prefix, data, beat)
    decision = store.plan(len(parts.train), len(parts.val))
    if decision.store:
        try:
            return examples(store.load), prefix, f"behind {prefix.layer}: {decision.why}"
        except OSError as error:  # another process took the room, or the disk is full
            why = f"no store, {error}; "
    return examples(lambda rows: data.images[rows]), None, why + decision.why


def _plan(built: "Built", from_where: str, values: Mapping[str, Any]) -> str:
    """Who trained it, from where, and what of it was not searched."""
    who = "trained by its own fit" if built.fits_itself else "trained by Keras' fit"
    others = [name for name in built.asked if name not in values]
    left = f"not searched, at their defaults: {', '.join(others)}" if others else ""
    return "; ".join(filter(None, (who, from_where, left)))
