"""Many heads on the same frozen features, trained in one pass over them.

A head is what stands behind the pooled features: a hidden layer with ReLU or none, dropout, one dense layer. Heads of
one group share every batch and its dropout noise, so a batch is read once; their hidden layers lie side by side as the
columns of one matrix, so widths need no padding and one product serves all. Their rates, schedules, dropout, weight
decay and label smoothing differ; all are trained by Adam. A head learns the same in any company, up to the rounding of
sums.

The gradient of so small a network is a few lines, and written in NumPy it costs neither tracing nor calls into a graph.
Most of the time of a wide head goes into Adam, which reads and writes far more than it computes: that is compiled.
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import expit

from models.training.batches import DropoutNoise, Examples, keep_mask, training_batches
from models.training.recipe import BETA_1, BETA_2, EPSILON, Epoch, NonFiniteLoss, Recipe, pack, share

EVALUATION_BATCH = 1024
# Numbers below 1e-38 are denormal, and arithmetic with them some fifty times slower on a CPU. The gradients of units
# that ReLU has switched off end there. Both bounds are far below what Adam's epsilon of 1e-7 or a float32 sum can feel.
TINY = np.float32(1e-16)  # added to gradients: a thousandth of its square is no denormal
LEAST_LOGIT = np.float32(-60)  # below the largest, in powers of e


def initial_head(seed: int, features: int, width: int, outputs: int) -> list[np.ndarray]:
    """[hidden kernel (features, width), hidden bias,] kernel (features or width, outputs), bias; all float32.

    Kernels are uniform as in Glorot and Bengio 2010, Keras' default; biases are 0. From the seed and the shape alone.
    """
    rng = np.random.default_rng([seed, features, width, outputs])
    arrays = []
    for inputs, units in ([(features, width)] if width else []) + [(width or features, outputs)]:
        limit = math.sqrt(6 / (inputs + units))
        kernel = rng.uniform(-limit, limit, (inputs, units)).astype("float32")
        arrays += [kernel, np.zeros(units, "float32")]
    return arrays


@dataclass
class Head:
    """One head between two epochs: `weights` as of `initial_head`, Adam's two moments of the same shapes."""

    weights: list[np.ndarray]
    recipe: Recipe
    moments: tuple[list[np.ndarray], list[np.ndarray]] | None = None
    curve: list[Epoch] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.moments is None:
            first, second = ([np.zeros_like(array) for array in self.weights] for _ in range(2))
            self.moments = (first, second)

    @property
    def width(self) -> int:
        """Units of the hidden layer; 0 without one."""
        return self.weights[0].shape[1] if len(self.weights) == 4 else 0

    def arrays(self) -> list[np.ndarray]:
        """Weights and moments in one list, for a checkpoint."""
        assert self.moments is not None
        return [*self.weights, *self.moments[0], *self.moments[1]]

    def resume(self, arrays: Sequence[np.ndarray], curve: Sequence[Epoch]) -> None:
        """Go on from what `arrays` and `curve` of an equal head were.

        Raises:
            ValueError: shapes differ.
        """
        if [array.shape for array in arrays] != [array.shape for array in self.arrays()]:
            raise ValueError("a checkpoint of another head")
        n = len(self.weights)
        self.weights, self.moments = list(arrays[:n]), (list(arrays[n : 2 * n]), list(arrays[2 * n :]))
        self.curve = list(curve)


def train_heads(
    heads: Sequence[Head],
    train_set: Examples,
    val_set: Examples,
    until: int,
    on_step: Callable[[int, float], None] = lambda epoch, share: None,
) -> dict[int, NonFiniteLoss]:
    """Train all heads on; their weights, moments and curves change.

    Args:
        heads: with the same number of epochs behind them; they agree in batch size, seed and number of epochs.
        train_set: pooled features (n, features), float16 or float32.
        val_set: the same of the validation pictures.
        until: last epoch, counted from 1.
        on_step: called with epoch and share of it after each step.

    Returns:
        By index the heads whose loss became infinite or NaN; they stop there, the others go on.

    Raises:
        ValueError: the heads do not agree.
    """
    begun = {(len(head.curve), head.recipe.batch_size, head.recipe.seed, head.recipe.epochs) for head in heads}
    if len(begun) != 1:
        raise ValueError(f"heads trained together must agree in epochs, batch size and seed. Received: {sorted(begun)}")
    failed: dict[int, NonFiniteLoss] = {}
    alive = list(range(len(heads)))
    group = _Group([heads[index] for index in alive], len(train_set))
    for epoch in range(len(heads[0].curve) + 1, until + 1):
        points = group.epoch(epoch, train_set, val_set, on_step)
        for index, point in zip(alive, points, strict=True):
            try:
                point.check(heads[index].curve)
                heads[index].curve.append(point)
            except NonFiniteLoss as error:
                failed[index] = error
        if any(index in failed for index in alive):
            group.write_back()
            alive = [index for index in alive if index not in failed]
            if not alive:
                return failed
            group = _Group([heads[index] for index in alive], len(train_set))
    group.write_back()
    return failed


class _Group:
    """Heads whose hidden layers stand side by side in one matrix while they are trained together."""

    def __init__(self, heads: Sequence[Head], n_train: int):
        self.heads = heads
        self.rates = [head.recipe.rates(n_train) for head in heads]
        self.steps = len(heads[0].curve) * math.ceil(n_train / heads[0].recipe.batch_size)
        ends = np.cumsum([0, *(head.width for head in heads)])
        self.columns = [slice(ends[i], ends[i + 1]) for i in range(len(heads))]  # of each head in the matrix
        deep = [head for head in heads if head.width]
        # (features, sum of widths) float32: kernels, and Adam's moments of them; nothing if no head is deep
        self.hidden: list[np.ndarray] = []
        if deep:
            self.hidden = [np.concatenate([head.arrays()[4 * kind] for head in deep], axis=1) for kind in range(3)]

    def write_back(self) -> None:
        """The columns of the matrices to the heads they belong to."""
        for head, columns in zip(self.heads, self.columns, strict=True):
            if head.width:
                assert head.moments is not None
                for arrays, matrix in zip((head.weights, *head.moments), self.hidden, strict=True):
                    arrays[0] = np.ascontiguousarray(matrix[:, columns])

    def epoch(
        self, epoch: int, train_set: Examples, val_set: Examples, on_step: Callable[[int, float], None]
    ) -> list[Epoch]:
        recipe = self.heads[0].recipe
        noise = {hidden: DropoutNoise(recipe.seed, epoch, hidden) for hidden in (False, True)}
        factors = [head.recipe.plateau(head.curve) for head in self.heads]
        rates = [0.0] * len(self.heads)
        sums = np.zeros((len(self.heads), 2))  # loss, hits
        seen = 0
        for x, y in training_batches(train_set, recipe.batch_size, recipe.seed, epoch):
            rates = [float(table[self.steps]) * factor for table, factor in zip(self.rates, factors, strict=True)]
            sums += self._step(x.astype("float32"), y, noise, rates)  # (heads, 2)
            seen += len(y)
            on_step(epoch, seen / len(train_set))
        val_losses, val_right = self._evaluate(val_set)
        return [
            Epoch(epoch, loss / seen, hits / seen, val_loss, share(right), rate, pack(right))
            for (loss, hits), val_loss, right, rate in zip(sums.tolist(), val_losses, val_right, rates, strict=True)
        ]

    def _step(
        self, x: np.ndarray, y: np.ndarray, noise: dict[bool, DropoutNoise], rates: Sequence[float]
    ) -> list[tuple[float, float]]:
        """One step of Adam for every head on x (n, features) float32, y (n,); (summed loss, hits) of each."""
        self.steps += 1
        h = _hidden_layer(x, self.hidden[0], self._biases()) if self.hidden else None  # (n, sum of widths) float32
        widths = [head.width for head in self.heads]
        drawn = {  # (n, largest width) and (n, features) float32
            deep: noise[deep].draw(len(x), max(widths) if deep else x.shape[1])
            for deep in {width > 0 for width in widths}
        }
        gradient_h = None if h is None else np.empty_like(h)  # (n, sum of widths), filled head by head
        sums = []
        for head, columns, rate in zip(self.heads, self.columns, rates, strict=True):
            deep = head.width > 0
            entering = h[:, columns] if deep and h is not None else x  # (n, width or features)
            mask = keep_mask(drawn[deep][:, : entering.shape[1]], head.recipe.dropout)  # (n, width or features)
            dropped = entering * mask
            last, bias = head.weights[-2:]  # (width or features, outputs), (outputs,)
            loss, hits, gradient = _loss(dropped @ last + bias, y, head.recipe.label_smoothing)  # gradient (n, outputs)
            sums.append((loss, float(hits.sum())))
            gradient /= np.float32(len(x))
            if deep and gradient_h is not None:
                own = gradient_h[:, columns]  # (n, width), a view
                np.multiply(gradient @ last.T, mask, out=own)
                own *= entering > 0
                self._adam(head, 1, own.sum(0), rate)  # (width,)
            self._adam(head, -2, dropped.T @ gradient, rate)  # (width or features, outputs)
            self._adam(head, -1, gradient.sum(0), rate)  # (outputs,)
        if gradient_h is not None:
            column_rates = np.repeat(rates, widths)  # (sum of widths,)
            decays = np.repeat([head.recipe.weight_decay for head in self.heads], widths)
            kernel, first, second = self.hidden
            adam(kernel, first, second, x.T @ gradient_h, column_rates, decays, self.steps)  # (features, sum of widths)
        return sums

    def _biases(self) -> np.ndarray:
        """(sum of widths,) float32."""
        return np.concatenate([head.weights[1] for head in self.heads if head.width])

    def _adam(self, head: Head, index: int, gradient: np.ndarray, rate: float) -> None:
        """One step of the array `index` of a head's weights."""
        assert head.moments is not None
        weights, first, second = (kind[index] for kind in (head.weights, *head.moments))
        adam(weights, first, second, gradient, rate, head.recipe.weight_decay, self.steps)

    def _evaluate(self, val_set: Examples) -> tuple[list[float], np.ndarray]:
        """Mean loss of each head, and (heads, n) bool which examples are right."""
        losses, answers = [0.0] * len(self.heads), np.empty((len(self.heads), len(val_set)), bool)
        for start in range(0, len(val_set), EVALUATION_BATCH):
            rows = val_set.indices[start : start + EVALUATION_BATCH]
            x = val_set.take(rows).astype("float32")  # (n, features)
            h = _hidden_layer(x, self.hidden[0], self._biases()) if self.hidden else None  # (n, sum of widths)
            for index, (head, columns) in enumerate(zip(self.heads, self.columns, strict=True)):
                entering = h[:, columns] if head.width and h is not None else x
                last, bias = head.weights[-2:]
                loss, right, _ = _loss(entering @ last + bias, val_set.y[rows], 0.0)
                losses[index] += loss
                answers[index, start : start + len(rows)] = right
        return [loss / len(val_set) for loss in losses], answers


def adam(
    weights: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    gradient: np.ndarray,
    rate: float | np.ndarray,
    decay: float | np.ndarray,
    steps: int,
) -> None:
    """One step of Adam (Kingma and Ba 2015) in place, with decoupled weight decay (Loshchilov and Hutter 2019).

    Args:
        weights: contiguous, at most two axes, float32; so are the next three, of the same shape.
        first: first moments.
        second: second moments.
        gradient: of the loss.
        rate: learning rate of all elements, or one for each column.
        decay: weight decay, the same.
        steps: from 1, this step counted.
    """
    scale = math.sqrt(1 - BETA_2**steps) / (1 - BETA_1**steps)
    columns = weights.shape[-1]
    rates, decay_factors = np.empty((2, columns), np.float32)
    rates[:], decay_factors[:] = rate * scale, 1 - rate * decay
    w, m, v, g = (array.reshape(-1, columns) for array in (weights, first, second, gradient))
    _compiled_change()(w, m, v, g, rates, decay_factors)


@functools.cache
def _compiled_change() -> Callable[..., None]:
    """`_change`, compiled at the first call ever, then read from a cache folder where one can be written."""
    import numba  # here, because a parent process and most commands never train a head

    try:
        return numba.njit(_change, error_model="numpy", cache=True)
    except RuntimeError:  # no folder for the cache
        return numba.njit(_change, error_model="numpy")


def _change(
    w: np.ndarray, m: np.ndarray, v: np.ndarray, g: np.ndarray, rates: np.ndarray, decay_factors: np.ndarray
) -> None:
    """Adam in one pass over memory, where NumPy needs thirteen.

    On one core: it is as fast as memory is, and waiting for a second one costs milliseconds where that has other work.
    w, m, v and g are weights, first and second moments and gradient, (rows, columns) float32; rates and decay_factors
    are (columns,) float32.
    """
    for i in range(w.shape[0]):
        for j in range(w.shape[1]):
            gradient = g[i, j] + TINY
            m[i, j] += (gradient - m[i, j]) * np.float32(1 - BETA_1)
            v[i, j] += (gradient * gradient - v[i, j]) * np.float32(1 - BETA_2)
            w[i, j] = w[i, j] * decay_factors[j] - rates[j] * m[i, j] / (np.sqrt(v[i, j]) + np.float32(EPSILON))


def _hidden_layer(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """(n, features) -> (n, units), behind ReLU."""
    h = x @ kernel
    h += bias
    return np.maximum(h, 0, out=h)


def _loss(logits: np.ndarray, y: np.ndarray, smoothing: float) -> tuple[float, np.ndarray, np.ndarray]:
    """Summed loss, which are right (n,) bool, and the gradient (n, outputs) of logits (n, outputs).

    See `models.training.loss`.
    """
    if logits.shape[1] == 1:
        z = logits[:, 0]  # (n,)
        target = (y * (1 - smoothing) + smoothing / 2).astype("float32")
        loss = np.logaddexp(0, z) - target * z
        return float(loss.sum()), (z > 0) == (y > 0), (expit(z) - target)[:, None]
    shifted = logits - logits.max(1, keepdims=True)
    powers = np.exp(np.maximum(shifted, LEAST_LOGIT))  # (n, outputs)
    sums = powers.sum(1, keepdims=True)  # (n, 1)
    target = np.full_like(logits, smoothing / logits.shape[1])
    rows = np.arange(len(y))
    target[rows, y] += 1 - smoothing
    loss = np.log(sums).sum() - (target * shifted).sum()
    return float(loss), logits.argmax(1) == y, powers / sums - target
