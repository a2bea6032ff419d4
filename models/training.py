"""Training: a compiled model, examples and a recipe in; a learning curve out."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from models import schedules

EVALUATION_BATCH = 128


class NonFiniteLoss(ArithmeticError):
    """The loss became infinite or NaN; the message says in which epoch, `curve` has the epochs before it."""

    def __init__(self, message: str, curve: Sequence["Epoch"] = ()):
        super().__init__(message)
        self.curve = tuple(curve)


@dataclass(frozen=True)
class Recipe:
    learning_rate: float
    lr_schedule: str
    epochs: int
    batch_size: int
    seed: int


@dataclass(frozen=True)
class Epoch:
    """One point of a learning curve. Losses in nats, accuracies 0 to 1, rate as at the epoch's last step."""

    epoch: int  # from 1
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    learning_rate: float


@dataclass(frozen=True)
class Examples:
    """Rows `indices` of a store that may be larger than memory (np.memmap): only batches are ever read.

    Attributes:
        x: (n, ...) pictures as uint8 or features as float32.
        y: (n,) class numbers.
        indices: (m,) rows that belong to this split.
    """

    x: np.ndarray
    y: np.ndarray
    indices: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)


Transform = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class Batches(keras.utils.PyDataset):
    """Batches of examples, in a new seeded order each epoch when `seed` is given, else in their own order.

    `transform` (batch of x, generator) -> batch of x changes training pictures, from the same seed.
    """

    def __init__(
        self, examples: Examples, batch_size: int, seed: int | None = None, transform: Transform | None = None
    ):
        super().__init__()
        self.examples, self.batch_size, self._transform = examples, batch_size, transform
        self._rng = None if seed is None else np.random.default_rng(seed)
        self._order = np.asarray(examples.indices)
        self.on_epoch_begin()

    @property
    def num_batches(self) -> int:
        return math.ceil(len(self.examples) / self.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self._order[index * self.batch_size : (index + 1) * self.batch_size]
        x = self.examples.x[rows]
        if self._transform is not None and self._rng is not None:
            x = self._transform(x, self._rng)
        return x, self.examples.y[rows].astype("float32")

    def on_epoch_begin(self) -> None:
        if self._rng is not None:
            self._order = self._rng.permutation(self.examples.indices)


class _Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """Any step-wise schedule as a table in the graph: the same on every backend, nothing to set between steps."""

    def __init__(self, recipe: Recipe, steps: int):
        super().__init__()
        self._recipe, self._steps = recipe, steps
        self._rates = np.asarray(schedules.step_scales(recipe.lr_schedule, steps), "float32") * recipe.learning_rate

    def __call__(self, step):
        last = keras.ops.cast(self._steps - 1, "int32")
        return keras.ops.take(self._rates, keras.ops.minimum(keras.ops.cast(step, "int32"), last))

    def get_config(self) -> dict:
        return {"recipe": self._recipe, "steps": self._steps}


class _Watch(keras.callbacks.Callback):
    """Collects the learning curve, lowers the rate on a plateau, and reports every step to `on_step`."""

    def __init__(
        self,
        recipe: Recipe,
        n_train: int,
        n_val: int,
        on_step: Callable[[int, float], None],
        report_epoch: Callable[[Epoch], None],
    ):
        super().__init__()
        self.recipe, self.n_train, self.n_val = recipe, n_train, n_val
        self.steps = math.ceil(n_train / recipe.batch_size)
        self.on_step, self.report_epoch = on_step, report_epoch
        self.curve: list[Epoch] = []

    def on_train_batch_end(self, batch: int, logs=None) -> None:
        self.on_step(len(self.curve) + 1, (batch + 1) / self.steps)

    def on_test_batch_end(self, batch: int, logs=None) -> None:
        self.on_step(len(self.curve) + 1, 1.0)

    def on_epoch_end(self, epoch: int, logs=None) -> None:
        values = {name: float(value) for name, value in logs.items()}
        if not (math.isfinite(values["loss"]) and math.isfinite(values["val_loss"])):
            text = f"the loss is not finite in epoch {epoch + 1}: "
            raise NonFiniteLoss(text + f"loss {values['loss']}, val_loss {values['val_loss']}", self.curve)
        self.curve.append(
            Epoch(
                epoch + 1,
                values["loss"],
                _share(values["accuracy"], self.n_train),
                values["val_loss"],
                _share(values["val_accuracy"], self.n_val),
                self._rate_of(epoch),
            )
        )
        self.report_epoch(self.curve[-1])
        if self.recipe.lr_schedule == "reduce_on_plateau":
            factor = schedules.plateau_scale([point.val_loss for point in self.curve])
            self.model.optimizer.learning_rate = self.recipe.learning_rate * factor

    def _rate_of(self, epoch: int) -> float:
        if self.recipe.lr_schedule == "reduce_on_plateau":
            return self.recipe.learning_rate * schedules.plateau_scale([point.val_loss for point in self.curve])
        last_step = ((epoch + 1) * self.steps - 0.5) / (self.recipe.epochs * self.steps)
        return self.recipe.learning_rate * schedules.scale(self.recipe.lr_schedule, last_step)


def train(
    model: keras.Model,
    train_set: Examples,
    val_set: Examples,
    recipe: Recipe,
    on_step: Callable[[int, float], None] = lambda epoch, share: None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    transform: Transform | None = None,
) -> tuple[Epoch, ...]:
    """Train `model`, which ends in logits, with Adam (Kingma and Ba 2015) and return its learning curve.

    One logit: binary cross-entropy; more: softmax cross-entropy. `on_step(epoch, share of the epoch done)` is
    called after every step, validation steps too: it is the sign of life. `on_epoch` gets each new point of the curve.

    Errors: NonFiniteLoss at the end of the epoch in which the loss is no longer finite.
    """
    batches = Batches(train_set, recipe.batch_size, recipe.seed, transform)
    stepwise = recipe.lr_schedule not in ("constant", "reduce_on_plateau")
    rate = _Schedule(recipe, recipe.epochs * batches.num_batches) if stepwise else recipe.learning_rate
    binary = model.output_shape[-1] == 1
    loss = (
        keras.losses.BinaryCrossentropy(from_logits=True)
        if binary
        else keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    accuracy = (
        keras.metrics.BinaryAccuracy("accuracy", threshold=0.0)
        if binary
        else keras.metrics.SparseCategoricalAccuracy("accuracy")
    )
    model.compile(optimizer=keras.optimizers.Adam(rate), loss=loss, metrics=[accuracy])
    watch = _Watch(recipe, len(train_set), len(val_set), on_step, on_epoch)
    model.fit(
        batches,
        validation_data=Batches(val_set, EVALUATION_BATCH),
        epochs=recipe.epochs,
        callbacks=[watch],
        verbose=0,
        shuffle=False,
    )
    return tuple(watch.curve)


def extract(prefix: keras.Model, examples: Examples, on_step: Callable[[float], None] = lambda share: None) -> Examples:
    """Run the frozen prefix over the examples once: the same rows as float32 features, in the order of `indices`."""
    batches = Batches(examples, EVALUATION_BATCH)
    features = np.empty((len(examples), *prefix.output_shape[1:]), "float32")
    for index in range(batches.num_batches):
        start = index * EVALUATION_BATCH
        features[start : start + EVALUATION_BATCH] = prefix.predict_on_batch(batches[index][0])
        on_step((index + 1) / batches.num_batches)
    return Examples(features, examples.y[examples.indices], np.arange(len(examples)))


def evaluate(model: keras.Model, examples: Examples) -> tuple[float, float]:
    """(loss, accuracy) of a model that `train` has compiled, over the examples."""
    values = model.evaluate(Batches(examples, EVALUATION_BATCH), verbose=0, return_dict=True)
    return float(values["loss"]), _share(values["accuracy"], len(examples))


def _share(accuracy: float, n: int) -> float:
    """The accuracy as what it is, a count over n: Keras' float32 mean is off in the eighth digit."""
    return round(float(accuracy) * n) / n
