"""Training: a network, examples and a recipe in; a learning curve and trained weights out.

One step is traced once for a network and serves every recipe: learning rate, dropout and label smoothing are arguments
of the traced function, and weights are arguments too, so a new run begins with a copy of the first ones.

All weights that are trained lie in one flat vector. Adam is then a handful of operations on one array, not ten on each
of a hundred small ones, which was half the time of a step of MobileNetV2's last stage. Progressive unfreezing gives the
stages that wait a rate of 0.

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

from models.build import Network
from models.training.backend import compiled, fused, pointwise_products, value_and_gradient
from models.training.batches import DropoutNoise, Examples, Transform, keep_mask, padded, training_batches
from models.training.divergence import Watch
from models.training.loss import cross_entropy
from models.training.optimizers import MOMENTS, STEPS
from models.training.recipe import Epoch, Recipe, pack, share
from models.training.unfreezing import depths_of, step_rates

EVALUATION_BATCH = 128


@dataclass
class State:
    """A run between two epochs: all that is needed to go on. Arrays of the backend or NumPy's."""

    weights: Any  # (n_weights,) float32, all trained weights one after the other
    moments: tuple[Any, ...]  # of the optimizer, each like weights
    others: list[Any]  # not trained: statistics of BatchNormalization, seeds of random layers
    steps: int = 0
    curve: list[Epoch] = field(default_factory=list)
    diverged: str = ""  # how, if it has


class Trainer:
    """One traced training step of a network, from its pictures or from the tensor `start` to its logits.

    It serves every recipe with its optimizer. One logit: binary cross-entropy; more: softmax cross-entropy.

    Args:
        network: gives the layers and their first weights; `restore` alone changes it.
        start: the tensor that examples enter; None for the pictures.
        optimizer: `adam` or `sgd`.
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
        self._depths = depths_of(network, self._trained)
        self._first = [ops.convert_to_numpy(variable) for variable in (*self._trained, *self._others)]
        loss_and_gradient, change = value_and_gradient(self._loss), fused(STEPS[optimizer])

        def step(weights: Any, moments: Any, others: Any, batch: Any, smoothing: Any, rate: Any, decay: Any) -> Any:
            (loss, (others, hits)), gradient = loss_and_gradient(weights, others, *batch, smoothing)  # (n_weights,)
            weights, moments = change(weights, moments, gradient, self._spread(rate), self._spread(decay))
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

    def begin(self, head: Sequence[np.ndarray] | None = None) -> State:
        """A run's beginning: the weights that the network was built with; `head` in place of its last layer's."""
        count = len(self._trained)
        first = [*self._first[: count - 2], *(head or self._first[count - 2 : count])]
        weights = np.concatenate([value.ravel() for value in first])  # (n_weights,) float32
        moments = tuple(np.zeros_like(weights) for _ in range(MOMENTS[self.optimizer]))
        return State(weights, moments, self._first[count:])

    def arrays(self, state: State) -> list[np.ndarray]:
        """Weights, moments and the others in one list, for a checkpoint; empty ones for what has not changed."""
        begun = self._first[len(self._trained) :]
        others = [ops.convert_to_numpy(array) for array in state.others]
        changed = [
            np.empty(0, "float32") if np.array_equal(array, first) else array
            for array, first in zip(others, begun, strict=True)
        ]
        return [ops.convert_to_numpy(array) for array in (state.weights, *state.moments)] + changed

    def resume(self, arrays: Sequence[np.ndarray], curve: Sequence[Epoch], n_train: int, recipe: Recipe) -> State:
        """Go on from what `arrays` and the curve were, also if that run started from another cut of the network.

        It then held other frozen weights, and this network's own take their place: nothing that is not trained changes
        where layers are frozen. What does change lies above the deeper of the two cuts, statistics of a head's
        BatchNormalization and seeds of random layers, and those are the last ones of either network.

        Args:
            arrays: of the same architecture, see `arrays`.
            curve: of the epochs behind it.
            n_train: number of training examples.
            recipe: the same as before.

        Raises:
            ValueError: it is another network's.
        """
        begun = self.begin()
        count = 1 + len(begun.moments)
        if [array.shape for array in arrays[:count]] != [begun.weights.shape] * count:
            raise ValueError("a checkpoint of another network")
        weights, *moments = arrays[:count]
        others = list(begun.others)
        for index, array in zip(reversed(range(len(others))), reversed(arrays[count:]), strict=False):
            if array.size and array.shape == others[index].shape:
                others[index] = array
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
        watch: Watch | None = None,
    ) -> None:
        """Train a run on, in place.

        Args:
            state: from `begin` or `resume`.
            train_set: x (n, ...) as they enter, y (n,).
            val_set: the same; where it is empty nothing is validated.
            recipe: all but the weights.
            until: last epoch, counted from 1; None for all of the recipe's.
            on_step: called with epoch and share of it after each step.
            on_epoch: called with each point of the learning curve.
            transform: augmentation of a batch (n, h, w, c) uint8.
            watch: ends a run that diverges: its last epoch is then a part of one, and `state.diverged` says how.

        Raises:
            ValueError: the recipe is for another optimizer.
            NonFiniteLoss: at the end of the epoch in which the loss is no longer finite.
        """
        if recipe.optimizer != self.optimizer:
            raise ValueError(f"the recipe's optimizer must be {self.optimizer}. Received: {recipe.optimizer}")
        rates = recipe.rates(len(train_set))
        for epoch in range(len(state.curve) + 1, (until or recipe.epochs) + 1):
            loss, accuracy, rate = self._epoch(state, train_set, recipe, epoch, rates, on_step, transform, watch)
            val_loss = val_accuracy = None
            val_right = ""
            if len(val_set):
                val_loss, right = self.answers(state, val_set, functools.partial(on_step, epoch, 1.0))
                val_accuracy, val_right = share(right), pack(right)
            point = Epoch(epoch, loss, accuracy, val_loss, val_accuracy, rate, val_right)
            point.check(state.curve)
            state.curve.append(point)
            on_epoch(point)
            if state.diverged:
                return

    def evaluate(
        self, state: State, examples: Examples, on_step: Callable[[], None] = lambda: None
    ) -> tuple[float, float]:
        """(mean loss, accuracy) of a state over the examples, without dropout, smoothing or augmentation."""
        loss, right = self.answers(state, examples, on_step)
        return loss, share(right)

    def answers(
        self, state: State, examples: Examples, on_step: Callable[[], None] = lambda: None
    ) -> tuple[float, np.ndarray]:
        """Mean loss, and (n,) bool which examples are right, as `evaluate`."""
        losses, hits = [], []
        for start in range(0, len(examples), EVALUATION_BATCH):
            rows = examples.indices[start : start + EVALUATION_BATCH]
            batch = padded(EVALUATION_BATCH, examples.take(rows), examples.y[rows])
            loss, hit = self._check(state.weights, state.others, *batch)
            losses.append(loss)
            hits.append(hit)  # (EVALUATION_BATCH,), on the device
            on_step()
        total = sum(float(ops.convert_to_numpy(loss)) for loss in losses)
        right = np.concatenate([ops.convert_to_numpy(hit) for hit in hits])[: len(examples)] > 0
        return total / len(examples), right

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
        watch: Watch | None,
    ) -> tuple[float, float, float]:
        """(mean loss, accuracy, last rate) of one epoch, or of as much of it as there was; changes the state."""
        noise = DropoutNoise(recipe.seed, epoch, self.hidden)
        losses, hits, counts = [], [], []
        factor = recipe.plateau(state.curve)
        rate = 0.0
        for x, y in training_batches(train_set, recipe.batch_size, recipe.seed, epoch, transform):
            mask = keep_mask(noise.draw(len(x), self.width), recipe.dropout)  # (n, width) float32
            batch = padded(min(recipe.batch_size, len(train_set)), x, y, mask)
            rate = float(rates[state.steps]) * factor
            state.steps += 1
            state.weights, state.moments, state.others, loss, hit = self._step(
                state.weights,
                state.moments,
                state.others,
                batch,
                np.float32(recipe.label_smoothing),
                *step_rates(recipe, self._depths, len(train_set), state.steps, rate),
            )
            losses.append(loss)  # (), on the device: reading it here would wait for every step
            hits.append(hit)
            counts.append(len(x))
            on_step(epoch, sum(counts) / len(train_set))
            if watch is not None and (said := watch.step(loss, hit, len(x))):
                state.diverged = said
                break
        mean = float(np.dot([float(ops.convert_to_numpy(loss)) for loss in losses], counts)) / sum(counts)
        return mean, sum(float(ops.convert_to_numpy(hit)) for hit in hits) / sum(counts), rate

    def _spread(self, values: Any) -> Any:
        """A number for each variable -> one for each weight; a single number stays one."""
        if not len(values.shape):
            return values
        parts = [ops.broadcast_to(values[i], (size,)) for i, size in enumerate(self._sizes)]
        return ops.concatenate(parts)  # (n_weights,)

    def _split(self, weights: Any) -> list[Any]:
        """(n_weights,) -> the variables, each in its shape."""
        parts = ops.split(weights, np.cumsum(self._sizes)[:-1].tolist())
        return [ops.reshape(part, shape) for part, shape in zip(parts, self._shapes, strict=True)]

    def _logits(self, weights: Any, others: Any, x: Any, mask: Any, training: bool) -> tuple[Any, Any]:
        values = self._split(weights)
        count = len(self._trained) - len(self.last.trainable_variables)
        x = ops.cast(x, self.trunk.inputs[0].dtype)  # (n, h, w, c) pictures, or (n, ...) what leaves the cut
        with pointwise_products(self.trunk):
            h, others = self.trunk.stateless_call(values[:count], others, x, training=training)  # (n, width)
        logits, _ = self.last.stateless_call(values[count:], [], h if mask is None else h * mask)  # (n, classes or 1)
        return logits, others

    def _loss(self, weights: Any, others: Any, x: Any, y: Any, real: Any, mask: Any, smoothing: Any) -> Any:
        logits, others = self._logits(weights, others, x, mask, training=True)
        losses, hits = cross_entropy(logits, y, smoothing)  # (n,), (n,)
        return ops.sum(losses * real) / ops.sum(real), (others, ops.sum(hits * real))

    def _evaluate(self, weights: Any, others: Any, x: Any, y: Any, real: Any) -> tuple[Any, Any]:
        logits, _ = self._logits(weights, others, x, None, training=False)
        losses, hits = cross_entropy(logits, y, 0.0)  # (n,), (n,)
        return ops.sum(losses * real), hits


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
