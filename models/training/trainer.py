"""Training: a network, examples and a recipe in; a learning curve and trained weights out.

One step is traced once for a network and serves every recipe: learning rate, dropout and label smoothing are arguments
of the traced function, and weights are arguments too, so a new run begins with a copy of the first ones.

All weights that are trained lie in one flat vector. Adam is then a handful of operations on one array, not ten on each
of a hundred small ones, which was half the time of a step of MobileNetV2's last block. Progressive unfreezing gives the
blocks that wait a rate of 0.

Randomness is drawn on the host from (seed, epoch) alone: order of examples, dropout, augmented views. So a run can be
broken off after any epoch and continued, and training from stored features sees what training the whole network sees.
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import ops

from models import cuts
from models.build import Network
from models.training.backend import compiled, fused, value_and_gradient
from models.training.batches import DropoutNoise, Examples, Transform, keep_mask, training_batches
from models.training.optimizers import MOMENTS, STEPS, correction
from models.training.recipe import Epoch, Recipe

EVALUATION_BATCH = 128


@dataclass
class State:
    """A run between two epochs: all that is needed to go on. Arrays of the backend or NumPy's."""

    weights: Any  # (n_weights,) float32, all trained weights one after the other
    moments: tuple[Any, ...]  # of the optimizer, each like weights
    others: list[Any]  # not trained: statistics of BatchNormalization, seeds of random layers
    steps: int = 0
    curve: list[Epoch] = field(default_factory=list)


class Trainer:
    """One traced training step of a network, from its pictures or from the tensor `start` to its logits.

    It serves every recipe with its optimizer.

    One logit: binary cross-entropy; more: softmax cross-entropy. Errors of `run`: NonFiniteLoss at the end of the epoch
    in which the loss is no longer finite.
    """

    def __init__(self, network: Network, start: keras.KerasTensor | None = None, optimizer: str = "adam"):
        self.optimizer = optimizer
        begin, end = network.logits.input if start is None else start, network.logits.get_layer("head_dropout").input
        if begin is end:  # a head without hidden layer on pooled features: Keras makes no model of nothing
            end = keras.layers.Identity()(end)
        self.trunk = keras.Model(begin, end)
        self.last = network.logits.get_layer("logits")
        self.hidden = bool(network.head_width)
        self._trained = [*self.trunk.trainable_variables, *self.last.trainable_variables]
        self._others = list(self.trunk.non_trainable_variables)
        self._shapes = [tuple(variable.shape) for variable in self._trained]
        self._sizes = [math.prod(shape) for shape in self._shapes]
        self._depths = _depths(network, self._trained)
        self._first = [ops.convert_to_numpy(variable) for variable in (*self._trained, *self._others)]
        gradient, change = value_and_gradient(self._loss), fused(STEPS[optimizer])

        def step(weights: Any, moments: Any, others: Any, batch: Any, smoothing: Any, rate: Any, kept: Any) -> Any:
            (loss, (others, hits)), slope = gradient(weights, others, *batch, smoothing)
            weights, moments = change(weights, moments, slope, self._spread(rate), self._spread(kept))
            return weights, moments, others, loss, hits

        self._step, self._check = compiled(step), compiled(self._evaluate)

    @property
    def parameters(self) -> int:
        """Weights that are trained."""
        return sum(self._sizes)

    @property
    def width(self) -> int:
        """Elements that dropout acts on."""
        return int(self.trunk.output_shape[-1])

    def begin(self) -> State:
        """A run's beginning: the weights that the network was built with."""
        count = len(self._trained)
        weights = np.concatenate([value.ravel() for value in self._first[:count]])
        moments = tuple(np.zeros_like(weights) for _ in range(MOMENTS[self.optimizer]))
        return State(weights, moments, self._first[count:])

    def arrays(self, state: State) -> list[np.ndarray]:
        """Weights, moments and the others in one list, for a checkpoint; empty ones for what has not changed."""
        begun = self._first[len(self._trained) :]
        others = [ops.convert_to_numpy(array) for array in state.others]
        changed = [
            np.empty(0, "float32") if np.array_equal(one, first) else one
            for one, first in zip(others, begun, strict=True)
        ]
        return [ops.convert_to_numpy(array) for array in (state.weights, *state.moments)] + changed

    def resume(self, arrays: Sequence[np.ndarray], curve: Sequence[Epoch], n_train: int, recipe: Recipe) -> State:
        """Go on from what `arrays` and the curve were, also if that run started from another cut of the network.

        It then held other frozen weights, and this network's own take their place: nothing that is not trained changes
        where layers are frozen. What does change lies above the deeper of the two cuts, statistics of a head's
        BatchNormalization and seeds of random layers, and those are the last ones of either network. Errors: ValueError
        if it is another network's.
        """
        begun = self.begin()
        count = 1 + len(begun.moments)
        if [array.shape for array in arrays[:count]] != [begun.weights.shape] * count:
            raise ValueError("a checkpoint of another network")
        weights, *moments = arrays[:count]
        others = list(begun.others)
        for place, one in zip(reversed(range(len(others))), reversed(arrays[count:]), strict=False):
            if one.size and one.shape == others[place].shape:
                others[place] = one
        steps = len(curve) * math.ceil(n_train / recipe.batch_size)
        return State(weights, tuple(moments), others, steps, list(curve))

    def run(
        self,
        state: State,
        train_set: Examples,
        val_set: Examples,
        recipe: Recipe,
        until: int | None = None,
        on_step: Callable[[int, float], None] = lambda epoch, share: None,
        on_epoch: Callable[[Epoch], None] = lambda epoch: None,
        transform: Transform | None = None,
    ) -> None:
        """Train `state` on to the end of epoch `until`, counted from 1; all of the recipe's epochs without it.

        With an empty `val_set` nothing is validated. Errors: ValueError if the recipe is for another optimizer.
        """
        if recipe.optimizer != self.optimizer:
            raise ValueError(f"the recipe's optimizer must be {self.optimizer}. Received: {recipe.optimizer}")
        rates = recipe.rates(len(train_set))
        for epoch in range(len(state.curve) + 1, (until or recipe.epochs) + 1):
            loss, accuracy, rate = self._epoch(state, train_set, recipe, epoch, rates, on_step, transform)
            val_loss = val_accuracy = None
            if len(val_set):
                val_loss, val_accuracy = self.evaluate(state, val_set, functools.partial(on_step, epoch, 1.0))
            point = Epoch(epoch, loss, accuracy, val_loss, val_accuracy, rate)
            point.check(state.curve)
            state.curve.append(point)
            on_epoch(point)

    def evaluate(
        self, state: State, examples: Examples, on_step: Callable[[], None] = lambda: None
    ) -> tuple[float, float]:
        """(mean loss, accuracy) of a state over the examples, without dropout, smoothing or augmentation."""
        losses, hits = [], []
        for start in range(0, len(examples), EVALUATION_BATCH):
            rows = examples.indices[start : start + EVALUATION_BATCH]
            batch = _padded(EVALUATION_BATCH, examples.take(rows), examples.y[rows])
            loss, hit = self._check(state.weights, state.others, *batch)
            losses.append(loss)
            hits.append(hit)
            on_step()
        total, right = (sum(float(ops.convert_to_numpy(one)) for one in found) for found in (losses, hits))
        return total / len(examples), right / len(examples)

    def restore(self, state: State) -> None:
        """Give the network's variables the state's weights."""
        values = [*np.split(ops.convert_to_numpy(state.weights), np.cumsum(self._sizes)[:-1]), *state.others]
        for variable, value in zip([*self._trained, *self._others], values, strict=True):
            variable.assign(ops.reshape(value, variable.shape))

    def _epoch(
        self,
        state: State,
        train_set: Examples,
        recipe: Recipe,
        epoch: int,
        rates: np.ndarray,
        on_step: Callable[[int, float], None],
        transform: Transform | None,
    ) -> tuple[float, float, float]:
        """(mean loss, accuracy, last rate) of one epoch; changes the state."""
        noise = DropoutNoise(recipe.seed, epoch, self.hidden)
        losses, hits, counts = [], [], []
        factor = recipe.plateau(state.curve)
        rate = 0.0
        for x, y in training_batches(train_set, recipe.batch_size, recipe.seed, epoch, transform):
            mask = keep_mask(noise.draw(len(x), self.width), recipe.dropout)
            batch = _padded(min(recipe.batch_size, len(train_set)), x, y, mask)
            rate = float(rates[state.steps]) * factor
            state.steps += 1
            state.weights, state.moments, state.others, loss, hit = self._step(
                state.weights,
                state.moments,
                state.others,
                batch,
                np.float32(recipe.label_smoothing),
                *self._rates(recipe, len(train_set), state.steps, rate),
            )
            losses.append(loss)  # on the device: reading them here would wait for every step
            hits.append(hit)
            counts.append(len(x))
            on_step(epoch, sum(counts) / len(train_set))
        mean = float(np.dot([float(ops.convert_to_numpy(loss)) for loss in losses], counts)) / len(train_set)
        return mean, sum(float(ops.convert_to_numpy(hit)) for hit in hits) / len(train_set), rate

    def _rates(self, recipe: Recipe, n_train: int, steps: int, rate: float) -> tuple[Any, Any]:
        """(rate, share of the weights that decay leaves) of a step: one number, or one for each variable."""
        if recipe.strategy == "plain":
            return np.float32(rate * correction(self.optimizer, steps)), np.float32(1 - rate * recipe.weight_decay)
        blocks, per_epoch = max(self._depths), math.ceil(n_train / recipe.batch_size)
        begun = np.array([(recipe.first_epoch(depth, blocks) - 1) * per_epoch for depth in range(blocks + 1)])
        free = np.where(begun < steps, rate, 0.0)
        rates = free * correction(self.optimizer, np.maximum(steps - begun, 1))
        kept = 1 - free * recipe.weight_decay
        return rates[self._depths].astype("float32"), kept[self._depths].astype("float32")

    def _spread(self, values: Any) -> Any:
        """A number for each variable -> one for each weight; a single number stays one."""
        if not len(values.shape):
            return values
        parts = [ops.broadcast_to(values[i], (size,)) for i, size in enumerate(self._sizes)]
        return ops.concatenate(parts)

    def _split(self, weights: Any) -> list[Any]:
        parts = ops.split(weights, np.cumsum(self._sizes)[:-1].tolist())
        return [ops.reshape(part, shape) for part, shape in zip(parts, self._shapes, strict=True)]

    def _logits(self, weights: Any, others: Any, x: Any, mask: Any, training: bool) -> tuple[Any, Any]:
        values = self._split(weights)
        count = len(self._trained) - len(self.last.trainable_variables)
        x = ops.cast(x, self.trunk.inputs[0].dtype)
        h, others = self.trunk.stateless_call(values[:count], others, x, training=training)
        logits, _ = self.last.stateless_call(values[count:], [], h if mask is None else h * mask)
        return logits, others

    def _loss(self, weights: Any, others: Any, x: Any, y: Any, here: Any, mask: Any, smoothing: Any) -> Any:
        logits, others = self._logits(weights, others, x, mask, training=True)
        losses, hits = cross_entropy(logits, y, smoothing)
        return ops.sum(losses * here) / ops.sum(here), (others, ops.sum(hits * here))

    def _evaluate(self, weights: Any, others: Any, x: Any, y: Any, here: Any) -> tuple[Any, Any]:
        logits, _ = self._logits(weights, others, x, None, training=False)
        losses, hits = cross_entropy(logits, y, 0.0)
        return ops.sum(losses * here), ops.sum(hits * here)


def train(
    network: Network,
    train_set: Examples,
    val_set: Examples,
    recipe: Recipe,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    transform: Transform | None = None,
) -> tuple[Epoch, ...]:
    """Train the whole of `network` from its pictures, leave the weights in it, and return the learning curve."""
    trainer = Trainer(network, optimizer=recipe.optimizer)
    state = trainer.begin()
    trainer.run(state, train_set, val_set, recipe, on_epoch=on_epoch, transform=transform)
    trainer.restore(state)
    return tuple(state.curve)


def evaluate(network: Network, examples: Examples) -> tuple[float, float]:
    """(mean loss, accuracy) of a network as it stands."""
    trainer = Trainer(network)
    return trainer.evaluate(trainer.begin(), examples)


def cross_entropy(logits: Any, y: Any, smoothing: Any) -> tuple[Any, Any]:
    """(losses in nats, 1.0 where right), both (n,), of logits (n, classes), or (n, 1) for two classes.

    Label smoothing as in Szegedy et al. 2016: the share `smoothing` of each target is spread over all classes.
    """
    if logits.shape[-1] == 1:
        z, target = logits[:, 0], ops.cast(y, "float32")
        hits = ops.cast((z > 0) == (target > 0.5), "float32")
        target = target * (1 - smoothing) + smoothing / 2
        return ops.softplus(z) - target * z, hits
    classes = logits.shape[-1]
    hits = ops.cast(ops.cast(ops.argmax(logits, -1), "int32") == ops.cast(y, "int32"), "float32")
    target = ops.one_hot(y, classes, dtype="float32") * (1 - smoothing) + smoothing / classes
    return -ops.sum(target * ops.log_softmax(logits), -1), hits


def _depths(network: Network, trained: Sequence[keras.Variable]) -> list[int]:
    """For each variable the depth at which it is trained: 0 for the head, 1 for the top block, and so on."""
    layers = {layer.name: layer for layer in network.logits.layers}
    found: dict[int, int] = {}
    if "pool" in layers:
        for depth, block in enumerate(reversed(cuts.blocks(network.base())), start=1):
            for name in block.layers:
                found |= dict.fromkeys((id(one) for one in getattr(layers.get(name), "variables", ())), depth)
    return [found.get(id(variable), 0) for variable in trained]


def _padded(size: int, x: np.ndarray, y: np.ndarray, *more: np.ndarray) -> tuple[np.ndarray, ...]:
    """(x, y, here, ...) with `size` rows, so that a short last batch needs no second trace; `here` is 0 for added rows.

    It is filled up with the batch's own rows, which keeps the statistics of a BatchNormalization that is trained.
    """
    rows = np.resize(np.arange(len(x)), size)
    here = (np.arange(size) < len(x)).astype("float32")
    return (x[rows], y[rows].astype("int32"), here, *(one[rows] for one in more))
