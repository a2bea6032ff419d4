"""Training what a KerasTuner HyperModel builds: by its own `fit`, or by Keras', from one rung to the next.

A callback counts epochs, classifies the validation pictures after each, and ends the run at the rung, or where it is
told to. From a rung a later call goes on with the weights and the optimizer's variables.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from models.own.hyper_network import Built, accepted
from models.own.hyper_prefix import Prefix
from models.training.backend import pointwise_products
from models.training.recipe import Epoch, pack, share

BATCH = 256  # pictures that are classified at once
JUDGED = 1000  # training pictures that stand for all where `fit` tells no accuracy or loss
# What `fit` may tell of an epoch; other metrics are the user's own affair.
TOLD = ("loss", "accuracy", "acc", "sparse_categorical_accuracy", "categorical_accuracy", "binary_accuracy")
SMALLEST = 1e-7  # probability in a logarithm, as in Keras


@dataclass(frozen=True)
class Examples:
    """What is trained on, or validated on: none where nothing is.

    Attributes:
        x: (n, ...) raw pictures, uint8, or features behind what is frozen.
        labels: (n,).
    """

    x: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Length:
    """How far, and in which steps.

    Attributes:
        epochs: of the whole run, as `fit` is told.
        until: the epoch, from 1, at which to end now.
        batch_size: pictures in a step; a `fit` of the user's has its own.
        seed: of the order of pictures and of dropout.
    """

    epochs: int
    until: int
    batch_size: int
    seed: int


@dataclass(frozen=True)
class Fitted:
    """Where a run stands: `ended` where its `fit` came to its end before; `stopped` says why it was stopped."""

    curve: Sequence[Epoch]
    ended: bool
    stopped: str = ""


def state(built: Built) -> list[np.ndarray]:
    """All that a run goes on with: the model's variables and the optimizer's."""
    return [keras.ops.convert_to_numpy(variable) for variable in _variables(built)]


def resume(built: Built, arrays: Sequence[np.ndarray]) -> None:
    """Put the model where `state` was taken.

    Raises:
        ValueError: the arrays are not those of this model.
    """
    variables = _variables(built)
    if [array.shape for array in arrays] != [tuple(variable.shape) for variable in variables]:
        raise ValueError("the arrays are of another model")
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def run(
    built: Built,
    train: Examples,
    val: Examples,
    curve: Sequence[Epoch],
    length: Length,
    prefix: Prefix | None = None,
    on_step: Callable[[int, float], None] = lambda epoch, done: None,
    why_stop: Callable[[Sequence[Epoch]], str] = lambda curve: "",
) -> Fitted:
    """Train on to the end of epoch `length.until`, or to where `fit` ends itself.

    Args:
        built: what is trained, standing where the curve ends.
        train: pictures.
        val: pictures to judge by after each epoch; none where nothing is judged. A `fit` of the user's gets them, too,
            and where there are none the training pictures in their place.
        curve: of the epochs before.
        length: how far.
        prefix: behind which it is trained, on features; None on pictures. Only without a `fit` of the user's.
        on_step: called after each step with the epoch, from 1, and the share of it that is done.
        why_stop: asked after each epoch; a reason ends the run.

    Raises:
        NonFiniteLoss: the loss became infinite or NaN.
    """
    keras.utils.set_random_seed((length.seed + len(curve)) % 2**32)
    model = prefix.tail if prefix else built.model
    x, y = train.x if prefix else built.prepare(train.x), built.targets(train.labels)
    recorder = _Recorder(model, (prefix or built).judge, train, val, curve, length.until, on_step, why_stop)
    told = {"epochs": length.epochs, "initial_epoch": len(curve), "callbacks": [recorder], "verbose": 0}
    told |= _own_fit_gets(built, train, val) if built.fits_itself else {"batch_size": length.batch_size}
    fit = built.hypermodel.fit
    try:
        with pointwise_products(model):
            fit(built.values, model, x, y, **(accepted(fit, told) if built.fits_itself else told))
    except _Over:
        pass
    except SystemExit as error:  # of the user's code: an error of this trial, not the end of the worker
        raise RuntimeError(f"fit called for an exit: {error}") from error
    if len(recorder.curve) == len(curve):  # a `fit` that calls no callbacks
        recorder.judge({})
    return Fitted(recorder.curve, len(recorder.curve) < length.until and not recorder.stopped, recorder.stopped)


def _own_fit_gets(built: Built, train: Examples, val: Examples) -> dict[str, Any]:
    """What only a `fit` of the user's is told; batches are its own affair."""
    judge = val if len(val.labels) else train
    return {"validation_data": (built.prepare(judge.x), built.targets(judge.labels))}


def _variables(built: Built) -> list[Any]:
    optimizer = built.model.optimizer
    if not optimizer.built:  # again it would make some variables twice
        optimizer.build(built.model.trainable_variables)
    return [*built.model.variables, *optimizer.variables]


class _Over(Exception):
    """The rung is reached, and a `fit` that does not heed `stop_training` goes on all the same."""


class _Recorder(keras.callbacks.Callback):
    """Judges after each epoch, and ends the run at the rung."""

    def __init__(
        self,
        model: keras.Model,
        run: Callable[[np.ndarray], np.ndarray],
        train: Examples,
        val: Examples,
        curve: Sequence[Epoch],
        until: int,
        on_step: Callable[[int, float], None],
        why_stop: Callable[[Sequence[Epoch]], str],
    ):
        super().__init__()
        self.curve, self.stopped, self._why_stop = tuple(curve), "", why_stop
        self._trained, self._run, self._train, self._val = model, run, train, val
        self._until, self._on_step = until, on_step

    @property
    def _is_over(self) -> bool:
        return len(self.curve) >= self._until or self.stopped != ""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self._is_over:
            raise _Over

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._is_over:
            raise _Over
        steps = (self.params or {}).get("steps") or math.inf
        self._on_step(len(self.curve) + 1, min(1.0, (batch + 1) / steps))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self._is_over:
            raise _Over
        self._on_step(len(self.curve) + 1, 1.0)  # a loop of the user's may tell of epochs alone
        self.judge(logs or {})
        self.stopped = self._why_stop(self.curve)
        if self._is_over:
            self._trained.stop_training = True

    def judge(self, logs: dict[str, Any]) -> None:
        """Add a point to the curve."""
        told = {name: float(value) for name, value in logs.items() if name in TOLD and np.ndim(value) == 0}
        accuracy = next((value for name, value in told.items() if name != "loss"), None)
        loss = told.get("loss")
        if accuracy is None or loss is None:
            sample = Examples(self._train.x[:JUDGED], self._train.labels[:JUDGED])
            own_loss, hits = self._look(sample)
            loss, accuracy = own_loss if loss is None else loss, share(hits) if accuracy is None else accuracy
        val_loss, right = self._look(self._val) if len(self._val.labels) else (None, None)
        optimizer = getattr(self._trained, "optimizer", None)  # none where a `fit` of the user's has its own
        rate = keras.ops.convert_to_numpy(optimizer.learning_rate) if optimizer else 0.0
        point = Epoch(
            epoch=len(self.curve) + 1,
            loss=loss,
            accuracy=accuracy,
            val_loss=val_loss,
            val_accuracy=None if right is None else share(right),
            learning_rate=float(rate),
            val_right="" if right is None else pack(right),
        )
        point.check(self.curve)
        self.curve += (point,)

    def _look(self, examples: Examples) -> tuple[float, np.ndarray]:
        """Mean cross-entropy in nats, and which pictures are right."""
        begins = range(0, len(examples.labels), BATCH)
        shares = np.concatenate([self._run(examples.x[begin : begin + BATCH]) for begin in begins])
        own = shares[np.arange(len(shares)), examples.labels]
        # NaN stays NaN, and is told
        return float(-np.log(np.maximum(own, SMALLEST)).mean()), shares.argmax(1) == examples.labels
