"""Stored features behind what a HyperModel froze itself."""

import hashlib
from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from datasets.dataset import Dataset
from hpo.worker.heartbeat import Beat, Phase, SignOfLife
from hpo.worker.job import Job
from hpo.worker.reuse_plan import Plan, Work, expected_epochs, plan
from hpo.worker.rungs import rungs_of
from models.reuse.activations import ActivationStore, FeatureOverflow, Key

if TYPE_CHECKING:
    from models.own.hyper_prefix import Prefix

BATCH = 128


class Frozen:
    """The features of a job's pictures behind a prefix: computed once, stored as those of backbones are.

    Args:
        job: of a HyperModel.
        prefix: behind which they are.
        data: the development part.
        beat: hears signs of life.
    """

    def __init__(self, job: Job, prefix: "Prefix", data: Dataset, beat: Beat):
        self._job, self._prefix, self._data, self._beat = job, prefix, data, beat
        self._store = ActivationStore(job.config.cache_dir, int(job.config.cache_gib * 2**30))

    def plan(self, n_train: int, n_val: int) -> Plan:
        """Whether storing pays for this trial alone: that of others may be frozen elsewhere."""
        config, prefix = self._job.config, self._prefix
        return plan(
            Work(
                n_train=n_train,
                n_val=n_val,
                epochs=expected_epochs(config.epochs, rungs_of(config), config.reduction_factor),
                uses=1.0,
                views=1,
                below=prefix.below,
                missing=prefix.below,
                above=prefix.above,
                bytes=prod(prefix.base.output.shape[1:]) * np.dtype(config.cache_dtype).itemsize,
                room=self._store.room(),
            )
        )

    def load(self, rows: np.ndarray) -> np.ndarray:
        """(n, ...) float16 or float32, of pictures in the order of `rows`; memory-mapped.

        Raises:
            OSError: there is no room.
        """
        shape = (len(rows), *self._prefix.base.output.shape[1:])
        if not len(rows):
            return np.empty(shape, "float32")
        for dtype in dict.fromkeys((self._job.config.cache_dtype, "float32")):
            key = self._key(rows, dtype)
            try:
                return self._store.get(key, shape, lambda: self._computed(rows), self._wait)
            except FeatureOverflow:
                continue
        raise AssertionError("float32 holds what was computed in it")

    def _key(self, rows: np.ndarray, dtype: str) -> Key:
        return Key(
            backbone=self._job.candidate.backbone,
            weights=self._prefix.digest,
            cut="frozen",
            resolution=self._job.side,
            preprocessing=self._job.facts.source or "",
            dataset=self._data.digest,
            split="",
            subset=hashlib.sha256(rows.tobytes()).hexdigest()[:32],
            view="",
            dtype=dtype,
        )

    def _wait(self) -> None:
        self._beat(SignOfLife(Phase.EXTRACT))

    def _computed(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        from models.reuse.frozen import run_frozen

        run = run_frozen(self._prefix.base, len(rows), BATCH)
        for begin in range(0, len(rows), BATCH):
            pictures = self._data.images[rows[begin : begin + BATCH]]
            short = BATCH - len(pictures)
            padded = np.concatenate([pictures, np.repeat(pictures[-1:], short, axis=0)]) if short else pictures
            (features,) = run(padded)
            yield features[: len(pictures)]
            self._beat(SignOfLife(Phase.EXTRACT, share=min(1.0, (begin + BATCH) / len(rows))))
