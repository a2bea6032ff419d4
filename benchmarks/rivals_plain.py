"""One trial as a user would write it in plain Keras, and the clock and file of a method. For rivals.py.

Nothing is reused between trials: the full network with ImageNet weights is built, frozen below the candidate's depth,
and fitted whole in every epoch on the raw pictures, which are resized inside it. Only the graph itself is this
project's (`models.build`), so that all methods search the very same networks. `models.training.trainer` is not used.
"""

import json
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from datasets.registry import open_dataset
from datasets.splits import split
from hpo.config import make_config
from hpo.search.space import Space, make_space
from hpo.worker.facts import default_resolutions
from models import flops
from models.backbones import get_backbone
from models.build import Task, build_network
from models.candidate import Candidate
from models.reuse.store import picture_store
from models.training.schedules import PLATEAU_FACTOR, PLATEAU_PATIENCE, step_scales
from studies.paths import write_text

SIDE, CLASSES, SPLIT_SEED = 32, 10, 0  # CIFAR-10; the split is the same for all methods and seeds
WARM_UP_CALLS, CALLS = 3, 30
SEARCHED = ("unfreeze_depth", "head_width", "dropout", "learning_rate", "lr_schedule", "resolution")


@dataclass(frozen=True)
class Setup:
    """What is the same for all trials of a run."""

    backbone: str
    epochs: int
    batch_size: int
    seed: int

    def space(self) -> Space:
        found = get_backbone(self.backbone)
        resolutions = default_resolutions(found.min_resolution, found.native_resolution, SIDE)
        config = make_config({"backbone": self.backbone, "keep": "full"})
        return make_space(config, (found.stages,) * found.blocks, resolutions)

    def candidate(self, values: Mapping[str, Any]) -> Candidate:
        """From a tuner's values, which may hold more."""
        return Candidate(backbone=self.backbone, **{name: values[name] for name in SEARCHED})


@dataclass(frozen=True)
class Pictures:
    """(n, 32, 32, 3) uint8 and (n,) int64."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray

    def save(self, path: Path) -> None:
        np.savez(path, **vars(self))

    @classmethod
    def load(cls, path: Path) -> "Pictures":
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**arrays)


def open_pictures(data_dir: Path, train_size: int, val_size: int) -> Pictures:
    data = open_dataset("cifar10", data_dir, picture_store(data_dir), None)
    parts = split(data.labels, train_size=train_size, val_size=val_size, seed=SPLIT_SEED)
    return Pictures(data.images[parts.train], data.labels[parts.train], data.images[parts.val], data.labels[parts.val])


class TimeIsUp(BaseException):
    """Not an Exception: tuners catch those, count the trial as failed and go on."""


class Journal:
    """The clock of a method, which starts here, and the trials whose numbers were known in time.

    The file is whole after every trial.
    """

    def __init__(self, path: Path, seconds: float, facts: Mapping[str, Any]):
        self._path, self._seconds = path, seconds
        self.result: dict[str, Any] = {**facts, "seconds": seconds, "trials": []}
        self._start = time.monotonic()
        self.write()

    def left(self) -> float:
        return self._seconds - (time.monotonic() - self._start)

    def check(self) -> None:
        """Errors: TimeIsUp."""
        if self.left() < 0:
            raise TimeIsUp

    def add(
        self,
        candidate: Candidate,
        epochs: int,
        val_accuracy: float,
        train_seconds: float,
        costs: tuple[float, int] | None,
    ) -> None:
        """Write down a trial at this moment; `costs` are latency_ms and flops, None if measured later. TimeIsUp."""
        self.check()
        latency_ms, count = costs or (None, None)
        self.result["trials"].append(
            {
                "t": self._seconds - self.left(),
                "epochs": epochs,
                "candidate": candidate.to_dict(),
                "val_accuracy": val_accuracy,
                "latency_ms": latency_ms,
                "flops": count,
                "train_seconds": train_seconds,
            }
        )
        self.write()

    def write(self) -> None:
        write_text(self._path, json.dumps(self.result, indent=1) + "\n")


def build(candidate: Candidate, setup: Setup) -> tuple[keras.Model, keras.Model]:
    """A fresh network, once with probabilities and once with logits; layers below the depth are frozen."""
    keras.backend.clear_session()
    network = build_network(candidate, Task(SIDE, SIDE, 3, CLASSES, "pretrained"), setup.seed)
    return network.model, network.logits


class _Table(keras.optimizers.schedules.LearningRateSchedule):
    """The rate of every step, from step `first` on for a trial that goes on from another one's weights."""

    def __init__(self, rates: Sequence[float], first: int):
        super().__init__()
        self.rates, self.first = np.asarray(rates, "float32"), first

    def __call__(self, step):
        place = keras.ops.cast(step, "int32") + self.first
        return keras.ops.take(self.rates, keras.ops.minimum(place, len(self.rates) - 1))

    def get_config(self) -> dict[str, Any]:
        return {"rates": self.rates.tolist(), "first": self.first}


def compile_for(logits: keras.Model, candidate: Candidate, setup: Setup, n_train: int, first_epoch: int = 0) -> None:
    """Adam with the candidate's schedule over all of the setup's epochs, also where a method trains fewer."""
    steps = math.ceil(n_train / setup.batch_size)
    rate: Any = candidate.learning_rate
    if candidate.lr_schedule not in ("constant", "reduce_on_plateau"):
        scales = step_scales(candidate.lr_schedule, setup.epochs * steps)
        rate = _Table([candidate.learning_rate * scale for scale in scales], first_epoch * steps)
    logits.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )


def fit(
    logits: keras.Model,
    candidate: Candidate,
    setup: Setup,
    pictures: Pictures,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    **options: Any,
) -> tuple[keras.callbacks.History, float]:
    """`model.fit` on a compiled model, and its seconds. Options are those of Keras: epochs, initial_epoch, verbose."""
    callbacks = list(callbacks)
    if candidate.lr_schedule == "reduce_on_plateau":
        callbacks.append(
            keras.callbacks.ReduceLROnPlateau(factor=PLATEAU_FACTOR, patience=PLATEAU_PATIENCE, min_delta=0)
        )
    start = time.monotonic()
    history = logits.fit(
        pictures.x_train,
        pictures.y_train,
        validation_data=(pictures.x_val, pictures.y_val),
        batch_size=setup.batch_size,
        callbacks=callbacks,
        **{"epochs": setup.epochs, "verbose": 0, **options},
    )
    return history, time.monotonic() - start


def best_accuracy(history: keras.callbacks.History) -> float:
    """After the best epoch, as this project counts too."""
    return max(history.history["val_accuracy"])


def costs(model: keras.Model) -> tuple[float, int]:
    """Latency in milliseconds as it is commonly measured (median of 30 calls, batch 1), and FLOPs in closed form."""
    forward = tf.function(lambda x: model(x, training=False))
    picture = tf.constant(np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3), dtype=np.uint8))
    for _ in range(WARM_UP_CALLS):
        forward(picture).numpy()
    seconds = []
    for _ in range(CALLS):
        start = time.perf_counter()
        forward(picture).numpy()
        seconds.append(time.perf_counter() - start)
    return 1e3 * statistics.median(seconds), flops.count(model).flops


class Cut(keras.callbacks.Callback):
    """Ends a trial that overruns the method's time."""

    def __init__(self, journal: Journal):
        super().__init__()
        self._journal = journal

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._journal.check()
