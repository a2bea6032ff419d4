"""How a worker trains: where from (see `hpo.planner`), heads together or a tail alone, and to which rung."""

import contextlib
import functools
import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from datasets.augmentation import light, view
from hpo import checkpoints
from hpo.checkpoints import Checkpoint
from hpo.facts import opened, split_of, task_of
from hpo.planner import FLOPS_PER_RESIZED_VALUE, Plan, Work, expected_uses, plan
from models.candidate import Candidate
from models.examples import Examples, Transform
from models.heads import Head, initial_head, train_heads
from models.prefix_cache import Key, PrefixCache
from models.recipe import Epoch, NonFiniteLoss, Recipe

if TYPE_CHECKING:
    from hpo.evaluation import Job
    from models.build import Network, Task
    from models.features import Features
    from models.training import Trainer

NETWORKS = 4  # built and traced networks that a worker keeps
IN_MEMORY = 1 << 30  # bytes of pooled features that are kept in memory if there is no room on disk
OnStep = Callable[..., None]


@dataclass(frozen=True)
class Learned:
    """A trial at a rung, or at its end. `plan` says where training started from and why."""

    curve: Sequence[Epoch]
    trainable_parameters: int
    plan: str


@functools.lru_cache(maxsize=NETWORKS)
def _base(candidate: Candidate, task: "Task", seed: int) -> Any:
    from models.build import build_frozen

    return build_frozen(candidate, task, seed)


@functools.lru_cache(maxsize=NETWORKS)
def _network(candidate: Candidate, task: "Task", seed: int) -> "Network":
    from models.build import attach_head

    return attach_head(_base(replace(candidate, head_width=0), task, seed), candidate, task, seed)


@functools.lru_cache(maxsize=NETWORKS)
def _trainer(candidate: Candidate, task: "Task", seed: int, start: str) -> "Trainer":
    from models.features import cut_tensors
    from models.training import Trainer

    network = _network(candidate, task, seed)
    return Trainer(network, cut_tensors(network)[start])


def architecture(candidate: Candidate) -> Candidate:
    """The candidate without what training alone depends on: networks are built and traced once for each of these."""
    return replace(candidate, dropout=0.0, learning_rate=1e-3, lr_schedule="constant")


def network_of(job: "Job") -> "Network":
    """The job's network as it was first built; shared by all jobs of one architecture, so never changed."""
    return _network(architecture(job.candidate), _task(job), job.seed)


def learn(
    jobs: Sequence["Job"], begun: Sequence[Checkpoint | None], until: int, on_step: Callable[[str], OnStep]
) -> list[Learned | NonFiniteLoss]:
    """Train each job on to the end of epoch `until` and leave a checkpoint if that is not its last.

    Several jobs must be heads on one resolution; those that are equally far are trained together.

    Args:
        begun: where each of them stands; what does not fit, of another version of this program, is not used.
        on_step: from the name of a phase to what is called after each of its steps.
    """
    if jobs[0].candidate.unfreeze_depth == 0:
        return _learn_heads(jobs, begun, until, on_step)
    return [_learn_tail(job, one, until, on_step) for job, one in zip(jobs, begun, strict=True)]


def recipe_of(job: "Job") -> Recipe:
    candidate, config = job.candidate, job.config
    return Recipe(
        candidate.learning_rate,
        candidate.lr_schedule,
        config.epochs,
        config.batch_size,
        job.seed,
        candidate.dropout,
    )


def _learn_heads(
    jobs: Sequence["Job"], begun: Sequence[Checkpoint | None], until: int, on_step: Callable[[str], OnStep]
) -> list[Learned | NonFiniteLoss]:
    sets = _Sets(jobs[0])
    pooled = sets.pooled(on_step("extract"))
    if pooled is None:
        return [_learn_tail(job, one, until, on_step) for job, one in zip(jobs, begun, strict=True)]
    train_set, val_set, why = pooled
    width = val_set.take(val_set.indices[:1]).shape[-1]
    heads = [_head(job, one, width) for job, one in zip(jobs, begun, strict=True)]
    failed: dict[int, NonFiniteLoss] = {}
    standing = [len(head.curve) for head in heads]  # one that is tried again may be further than the others
    for epochs in sorted(set(standing)):
        numbers = [number for number, own in enumerate(standing) if own == epochs]
        found = train_heads([heads[number] for number in numbers], train_set, val_set, until, on_step("train"))
        failed |= {numbers[position]: error for position, error in found.items()}
    results: list[Learned | NonFiniteLoss] = []
    for number, (job, head) in enumerate(zip(jobs, heads, strict=True)):
        if number in failed:
            results.append(failed[number])
            continue
        _leave(job, Checkpoint(head.arrays(), head.curve))
        results.append(Learned(head.curve, sum(array.size for array in head.weights), why))
    return results


def _head(job: "Job", begun: Checkpoint | None, features: int) -> Head:
    task = _task(job)
    head = Head(initial_head(job.seed, features, job.candidate.head_width, task.n_logits), recipe_of(job))
    if begun is not None:
        with contextlib.suppress(ValueError):  # a checkpoint of another shape
            head.resume(begun.arrays, begun.curve)
    return head


def _learn_tail(
    job: "Job", begun: Checkpoint | None, until: int, on_step: Callable[[str], OnStep]
) -> Learned | NonFiniteLoss:
    from models.features import PICTURES

    sets, recipe = _Sets(job), recipe_of(job)
    start, train_set, val_set, why = sets.start(on_step("extract"))
    # On-line augmentation changes raw pictures, so it needs them; stored views are changed already.
    transform = sets.transform if start == PICTURES else None
    trainer = _trainer(architecture(job.candidate), _task(job), job.seed, start)
    state = trainer.begin()
    if begun is not None:
        with contextlib.suppress(ValueError):  # a checkpoint of another shape
            state = trainer.resume(begun.arrays, begun.curve, len(train_set), recipe)
    try:
        trainer.run(state, train_set, val_set, recipe, until, on_step("train"), transform=transform)
    except NonFiniteLoss as error:
        return error
    _leave(job, Checkpoint(state.arrays(), state.curve))
    return Learned(state.curve, trainer.parameters, f"{start}: {why}")


def _leave(job: "Job", checkpoint: Checkpoint) -> None:
    """A checkpoint where training will go on."""
    if len(checkpoint.curve) < job.config.epochs:
        checkpoints.save(job.checkpoint_path, checkpoint)


def _task(job: "Job") -> "Task":
    return task_of(job.config, opened(job.config, job.facts.resolutions[-1]))


class _Sets:
    """The training and validation pictures of a job's study, at any cut of its network."""

    def __init__(self, job: "Job"):
        self.job, self.config = job, job.config
        side = job.facts.resolutions[-1]
        self.data, self.parts = opened(self.config, side), split_of(self.config, side)
        self.cache = PrefixCache(self.config.cache_dir, int(self.config.cache_gib * 2**30))
        self.transform: Transform | None = None if self.config.augment == "none" else light(job.facts.dataset)

    def features(self, cut: str) -> list["Features"]:
        """Training pictures (each view), then validation pictures."""
        from models.features import RESIZED, Features

        job, config, task = self.job, self.config, _task(self.job)
        images, found = self.data.images, []
        views = [""] if self.transform is None else [f"light {n} seed {config.seed}" for n in range(config.views)]
        for number, (rows, name, split) in enumerate(
            [(self.parts.train, name, "train") for name in views] + [(self.parts.val, "", "val")]
        ):
            shared = cut == RESIZED  # the same for every backbone
            key = Key(
                backbone="" if shared else job.candidate.backbone,
                weights="" if shared else job.facts.weights_digest,
                cut=cut,
                resolution=job.candidate.resolution,
                preprocessing=task.resizing(job.candidate.resolution),
                dataset=job.facts.dataset_digest,
                split=split,
                subset=hashlib.sha256(rows.tobytes()).hexdigest()[:32],
                view=name,
                dtype=config.cache_dtype,
            )

            def pictures(rows=rows, name=name, number=number) -> Iterator[np.ndarray]:
                if name and self.transform is not None:
                    return view(images, rows, self.transform, number, config.seed)
                return (images[rows[start : start + 1024]] for start in range(0, len(rows), 1024))

            found.append(Features(self.cache, key, len(rows), lambda: network_of(job), pictures))
        return found

    def choose(self) -> tuple[str, Plan]:
        """The cut to start from, and why."""
        from models.features import PICTURES, RESIZED, cut_name, cut_tensors

        tensors = cut_tensors(network_of(self.job))
        wanted = cut_name(self.job.candidate.unfreeze_depth)
        decision = Plan(False, "every block is trained")
        if wanted in tensors:
            decision = plan(self._work(wanted))
            if decision.store:
                return wanted, decision
        if RESIZED in tensors and self.transform is None:
            resized = plan(self._work(RESIZED))
            return (RESIZED if resized.store else PICTURES), Plan(resized.store, f"{decision.why}; {resized.why}")
        return PICTURES, decision

    def _work(self, cut: str) -> Work:
        import keras

        from models import flops
        from models.features import PICTURES, RESIZED, cut_tensors

        job, config = self.job, self.config
        network = network_of(job)
        tensors = cut_tensors(network)
        found = self.features(cut)
        present = all(one.present() for one in found)
        origins = {one.origin() for one in found}
        resizing = FLOPS_PER_RESIZED_VALUE * math.prod(network.resized.shape[1:]) if RESIZED in tensors else 0
        below = flops.count(keras.Model(tensors[PICTURES], tensors[cut])).flops + resizing
        missing = max(origin.flops + (resizing if origin.cut == PICTURES else 0) for origin in origins)
        whole = flops.count(network.logits).flops
        cells = (job.facts.blocks + 1) * len(job.facts.resolutions)
        return Work(
            n_train=len(self.parts.train),
            n_val=len(self.parts.val),
            epochs=config.epochs,
            uses=expected_uses(config.trials, job.number, cells),
            views=len(found) - 1,
            below=below,
            missing=0 if present else missing,
            above=whole + resizing - below,
            bytes=math.prod(tensors[cut].shape[1:]) * np.dtype(config.cache_dtype).itemsize,
            room=self.cache.room(),
        )

    def pooled(self, on_step: OnStep) -> tuple[Examples, Examples, str] | None:
        """Examples behind global pooling, and where they come from; None if there is room for them nowhere."""
        from models.features import POOLED

        found = self.features(POOLED)
        missing = sum(one.bytes() for one in found if not one.present())
        why = "no room on disk"
        if missing <= self.cache.room():
            try:
                where = "stored" if missing else "read from the store"
                return *self._examples(found, on_step, store=True), f"pooled features {where}"
            except OSError as error:  # another process took the room, or the disk is full
                why = str(error)
        if missing > IN_MEMORY:
            return None
        return *self._examples(found, on_step, store=False), f"pooled features in memory, {why}"

    def start(self, on_step: OnStep) -> tuple[str, Examples, Examples, str]:
        """The cut to start from, the examples there, and why there."""
        from models.features import PICTURES

        start, decision = self.choose()
        why = decision.why
        if start != PICTURES:
            try:
                return start, *self._examples(self.features(start), on_step, store=True), why
            except OSError as error:  # another process took the room, or the disk is full
                why = f"no store, {error}; {why}"
        images, labels = self.data.images, self.data.labels
        return PICTURES, Examples(images, labels, self.parts.train), Examples(images, labels, self.parts.val), why

    def _examples(self, found: Sequence["Features"], on_step: OnStep, store: bool) -> tuple[Examples, Examples]:
        def load(number: int) -> np.ndarray:
            return found[number].load(lambda share: on_step((number + share) / len(found)), store)

        *views, val = [load(number) for number in range(len(found))]
        sets = []
        for x, rows in ((views[0] if len(views) == 1 else tuple(views), self.parts.train), (val, self.parts.val)):
            sets.append(Examples(x, self.data.labels[rows], np.arange(len(rows))))
        return sets[0], sets[1]
