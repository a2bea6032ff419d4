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
from jobs import Job

from hpo.config import StudyConfig, make_config
from hpo.search.space import Space, make_space
from hpo.worker.facts import task_of
from hpo.worker.session import Session
from models import flops
from models.build import Task, build_network
from models.candidate import Candidate
from models.training.schedules import PLATEAU_FACTOR, PLATEAU_PATIENCE, step_scales
from studies.paths import write_text

WARM_UP_CALLS, CALLS = 3, 30
SEARCHED = ("unfreeze_depth", "head_width", "dropout", "learning_rate", "lr_schedule", "resolution")


@dataclass(frozen=True)
class Setup:
    """What is the same for all trials of a run: epochs, batch size and seed, what is searched, pictures and classes."""

    config: StudyConfig
    space: Space
    task: Task

    def candidate(self, values: Mapping[str, Any]) -> Candidate:
        """From a tuner's values, which may hold more; of the space with whole networks and one range of rates."""
        return Candidate(backbone=self.config.backbone, **{name: values[name] for name in SEARCHED})


@dataclass(frozen=True)
class Pictures:
    """(n, h, w, c) uint8 and (n,) int64."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray


def open_run(job: Job, data_dir: Path, seed: int, whole: bool) -> tuple[Setup, Pictures]:
    """The pictures, cut as a study with this seed cuts them, and the space: of whole networks, or ours."""
    words = {"keep": "full", "rates": "one"} if whole else {}
    # one array for all of its networks, which resize inside; their latencies on record are those without that
    config = make_config({**job.settings(data_dir), "seed": seed, "decode": "largest", **words})
    session = Session()
    facts = session.facts(config)
    side = facts.resolutions[-1]
    data, parts = session.data(config, side), session.split(config, side)
    pictures = Pictures(*((kind[part]) for part in (parts.train, parts.val) for kind in (data.images, data.labels)))
    return Setup(config, make_space(config, facts.stages, facts.resolutions), task_of(config, data)), pictures


class TimeIsUp(BaseException):
    """Not an Exception: tuners catch those, count the trial as failed and go on."""


class Journal:
    """The clock of a method and the trials whose numbers were known in time.

    The file is whole after every trial.

    Args:
        path: of the file.
        seconds: that the method has.
        begun: when it did, as `time.time` has it.
        facts: for the file.
    """

    def __init__(self, path: Path, seconds: float, begun: float, facts: Mapping[str, Any]):
        self._path, self._seconds, self._start = path, seconds, begun
        self.result: dict[str, Any] = {**facts, "seconds": seconds, "trials": []}
        self.write()

    def left(self) -> float:
        return self._seconds - (time.time() - self._start)

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
    network = build_network(candidate, setup.task, setup.config.seed)
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


def compile_for(
    logits: keras.Model, candidate: Candidate, config: StudyConfig, n_train: int, first_epoch: int = 0
) -> None:
    """Adam with the candidate's schedule over all of the study's epochs, also where a method trains fewer."""
    steps = math.ceil(n_train / config.batch_size)
    rate: Any = candidate.learning_rate
    if candidate.lr_schedule not in ("constant", "reduce_on_plateau"):
        scales = step_scales(candidate.lr_schedule, config.epochs * steps)
        rate = _Table([candidate.learning_rate * scale for scale in scales], first_epoch * steps)
    binary = logits.output_shape[-1] == 1
    kind = keras.losses.BinaryCrossentropy if binary else keras.losses.SparseCategoricalCrossentropy
    accuracy = keras.metrics.BinaryAccuracy("accuracy", threshold=0.0) if binary else "accuracy"
    logits.compile(optimizer=keras.optimizers.Adam(rate), loss=kind(from_logits=True), metrics=[accuracy])


def fit(
    logits: keras.Model,
    candidate: Candidate,
    config: StudyConfig,
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
        batch_size=config.batch_size,
        callbacks=callbacks,
        **{"epochs": config.epochs, "verbose": 0, **options},
    )
    return history, time.monotonic() - start


def best_accuracy(history: keras.callbacks.History) -> float:
    """After the best epoch, as this project counts too."""
    return max(history.history["val_accuracy"])


def costs(model: keras.Model, task: Task) -> tuple[float, int]:
    """Latency in milliseconds as it is commonly measured (median of 30 calls, batch 1), and FLOPs in closed form."""
    forward = tf.function(lambda x: model(x, training=False))
    picture = tf.constant(
        np.random.default_rng(0).integers(0, 256, (1, task.height, task.width, task.channels), dtype=np.uint8)
    )
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
