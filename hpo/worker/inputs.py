"""Where a trial's pictures come from: the data set itself, or stored features (see `hpo.worker.reuse_plan`)."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from datasets.augmentation import augmentation, view
from datasets.splits import Split
from hpo.worker.heartbeat import Beat, Phase, SignOfLife
from hpo.worker.job import Job
from hpo.worker.reuse_plan import FLOPS_PER_RESIZED_VALUE, Plan, Work, expected_epochs, expected_uses, plan
from hpo.worker.rungs import rungs_of
from hpo.worker.session import Session, split_of
from models.reuse.activations import ActivationStore, Key
from models.training.batches import Examples, Transform

if TYPE_CHECKING:
    from models.reuse.features import Features

IN_MEMORY = 1 << 30  # bytes of pooled features that are kept in memory if there is no room on disk


class Sources:
    """The training and validation pictures of a job's study, at any cut of its network."""

    def __init__(self, job: Job, session: Session, parts: Split | None = None):
        """`parts` in place of the study's split; its validation part may be empty."""
        self.job, self.config, self.session = job, job.config, session
        self.data, self.parts = session.data(self.config, job.side), parts or split_of(job, session)
        self.cache = ActivationStore(self.config.cache_dir, int(self.config.cache_gib * 2**30))
        facts = job.facts
        self.transform: Transform | None = augmentation(job.of_backbone.augmentation, facts.dataset, facts.class_names)

    def features(self, cut: str) -> list["Features"]:
        """Training pictures (each view), then validation pictures."""
        from models.reuse.features import RESIZED, Features

        job, config = self.job, self.config
        images, sets, traced = self.data.images, [], {}  # type: ignore[var-annotated]
        kind = job.of_backbone.augmentation
        views = [""] if self.transform is None else [f"{kind} {n} seed {config.seed}" for n in range(config.views)]
        wanted = [(self.parts.train, name, "train") for name in views]
        if len(self.parts.val):
            wanted.append((self.parts.val, "", "val"))
        for number, (rows, name, split) in enumerate(wanted):
            shared = cut == RESIZED  # the same for every backbone
            key = Key(
                backbone="" if shared else job.of_backbone.backbone,
                weights="" if shared else job.facts.frozen,
                cut=cut,
                resolution=job.of_backbone.resolution,
                preprocessing=self.session.task(job).resizing(job.of_backbone.resolution),
                dataset=self.data.digest,  # at the side that it comes at: the same in studies that end at other sides
                split=split,
                subset=hashlib.sha256(rows.tobytes()).hexdigest()[:32],
                view=name,
                dtype=config.cache_dtype,
            )

            def pictures(rows=rows, name=name, number=number) -> Iterator[np.ndarray]:
                if name and self.transform is not None:
                    return view(images, rows, self.transform, number, config.seed)
                return (images[rows[start : start + 1024]] for start in range(0, len(rows), 1024))

            sets.append(Features(self.cache, key, len(rows), lambda: self.session.network(job), pictures, traced))
        return sets

    def choose(self) -> tuple[str, Plan]:
        """The cut to start from, and why."""
        from models.reuse.features import PICTURES, RESIZED, cut_tensors

        tensors = cut_tensors(self.session.network(self.job))
        wanted = self._deepest()
        decision = Plan(False, "every stage is trained")
        if wanted in tensors:
            decision = plan(self._work(wanted))
            if decision.store:
                return wanted, decision
        if RESIZED in tensors and self.transform is None:
            resized = plan(self._work(RESIZED))
            return (RESIZED if resized.store else PICTURES), Plan(resized.store, f"{decision.why}; {resized.why}")
        return PICTURES, decision

    def _deepest(self) -> str:
        """The cut behind which the candidate is trained."""
        from models.reuse.features import cut_name

        candidate, stages = self.job.of_backbone, self.job.facts.stages
        above = stages[-1] - stages[candidate.keep_blocks - 1]
        return cut_name(candidate.unfreeze_depth, candidate.pooling, candidate.keep_blocks, above)

    def _work(self, cut: str) -> Work:
        from models.reuse.features import PICTURES, RESIZED, cut_tensors

        job, config = self.job, self.config
        network = self.session.network(job)
        tensors = cut_tensors(network)
        sets = self.features(cut)
        present = all(features.present() for features in sets)
        origins = {features.origin() for features in sets}
        resizing = FLOPS_PER_RESIZED_VALUE * math.prod(network.resized.shape[1:]) if RESIZED in tensors else 0
        below = self.session.flops(job, PICTURES, cut) + resizing
        missing = max(origin.flops + (resizing if origin.cut == PICTURES else 0) for origin in origins)
        stops = rungs_of(config)
        cells = (job.facts.stages[-1] + 1) * len(job.facts.resolutions) * len(config.augment)
        return Work(
            n_train=len(self.parts.train),
            n_val=len(self.parts.val),
            epochs=expected_epochs(config.epochs, stops, config.reduction_factor),
            # with a limit in seconds nobody knows how many trials will come
            uses=1.0 if config.timeout else expected_uses(config.trials, job.number, cells),
            views=len([features for features in sets if features.key.split == "train"]),
            below=below,
            missing=0 if present else missing,
            above=self.session.flops(job, cut),
            bytes=math.prod(tensors[cut].shape[1:]) * np.dtype(config.cache_dtype).itemsize,
            room=self.cache.room(),
        )

    def pooled(self, beat: Beat) -> tuple[Examples, Examples, str] | None:
        """Examples behind global pooling, and where they come from; None if there is room for them nowhere."""
        sets = self.features(self._deepest())
        missing = sum(features.bytes() for features in sets if not features.present())
        why = "no room on disk"
        if missing <= self.cache.room():
            try:
                where = "stored" if missing else "read from the store"
                return *self._examples(sets, beat, store=True), f"pooled features {where}"
            except OSError as error:  # another process took the room, or the disk is full
                why = str(error)
        if missing > IN_MEMORY:
            return None
        keys = tuple(features.key for features in sets)
        in_memory = self.session.in_memory  # for the next rung or head
        if keys not in in_memory:
            in_memory.clear()
            in_memory[keys] = self._examples(sets, beat, store=False)
        return *in_memory[keys], f"pooled features in memory, {why}"

    def start(self, beat: Beat) -> tuple[str, Examples, Examples, str]:
        """The cut to start from, the examples there, and why there."""
        from models.reuse.features import PICTURES

        start, decision = self.choose()
        why = decision.why
        if start != PICTURES:
            try:
                return start, *self._examples(self.features(start), beat, store=True), why
            except OSError as error:  # another process took the room, or the disk is full
                why = f"no store, {error}; {why}"
        images, labels = self.data.images, self.data.labels
        return PICTURES, Examples(images, labels, self.parts.train), Examples(images, labels, self.parts.val), why

    def _examples(self, features: Sequence["Features"], beat: Beat, store: bool) -> tuple[Examples, Examples]:
        def load(number: int) -> np.ndarray:
            return features[number].load(
                lambda share: beat(SignOfLife(Phase.EXTRACT, share=(number + share) / len(features))), store
            )

        loaded = [load(number) for number in range(len(features))]
        val = loaded.pop() if len(self.parts.val) else loaded[0][:0]
        sets = []
        for x, rows in ((loaded[0] if len(loaded) == 1 else tuple(loaded), self.parts.train), (val, self.parts.val)):
            sets.append(Examples(x, self.data.labels[rows], np.arange(len(rows))))
        return sets[0], sets[1]
