"""How well a linear classifier does on frozen features, without a training step: ridge regression on the classes.

Features are standardised, classes are targets of 0 and 1, and the strength of the penalty (Hoerl and Kennard 1970) is
the one with the least squared error when each training picture is predicted by all others: leave-one-out has a closed
form (Allen 1974), so that one eigendecomposition serves all strengths. With more features than pictures the dual form
decomposes the smaller matrix.

It ranks places in a network, and a trained head (`models.training.heads`) does as well or a little better.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

# Of the penalty, in units of the mean eigenvalue of the features' covariance.
STRENGTHS = tuple(float(10.0**power) for power in np.arange(-5, 3.01, 0.5))
SCALES = tuple(float(scale) for scale in np.geomspace(0.25, 32, 43))  # of scores, to logits
LEAST_SHARE = 1e-7  # of the largest eigenvalue: below it there is nothing but rounding
# Leave-one-out errors are computed for so many pictures, and so many classes of all strengths, at once.
ROWS, COLUMNS = 4096, 512
FIT_BYTES = 32  # that a fit takes for each value of its features, about
ROOM = 2**30  # bytes that fits side by side may take


@dataclass(frozen=True)
class Probe:
    """A linear classifier.

    Attributes:
        weights: (d, classes) float32, of the features as they are.
        bias: (classes,) float32.
        strength: of the penalty, one of `STRENGTHS`.
        scale: that makes logits of scores, so that the softmax of those of left-out pictures is right most often in the
            sense of cross-entropy (temperature scaling, Guo et al. 2017).
    """

    weights: np.ndarray
    bias: np.ndarray
    strength: float
    scale: float

    def scores(self, features: np.ndarray) -> np.ndarray:
        """(n, d) features to (n, classes): what of each class is expected, 0 to 1 on average."""
        return np.asarray(features, "float32") @ self.weights + self.bias

    def head(self, n_logits: int) -> list[np.ndarray]:
        """Kernel (d, n_logits) and bias of a dense layer that says the same, one logit for two classes."""
        kernel, bias = self.scale * self.weights, self.scale * (self.bias - self.bias.mean())
        if n_logits == 1:
            kernel, bias = kernel[:, 1:] - kernel[:, :1], bias[1:] - bias[:1]
        return [kernel.astype("float32"), bias.astype("float32")]

    def accuracy(self, features: np.ndarray, labels: np.ndarray) -> float:
        """Share of pictures whose class has the largest score."""
        return float(np.mean(self.scores(features).argmax(1) == labels))


def fit(features: np.ndarray, labels: np.ndarray, n_classes: int) -> Probe:
    """The best ridge classifier of these pictures.

    Args:
        features: (n, d), real.
        labels: (n,) integers from 0.
        n_classes: at least 2.

    Raises:
        ValueError: fewer than two pictures, or features that are not finite.
    """
    x = np.asarray(features, "float32")
    if len(x) < 2 or not np.isfinite(x).all():
        raise ValueError(f"features must be finite, of at least 2 pictures. Received: {len(x)} pictures")
    mean, scale = x.mean(0, dtype="float64"), x.std(0, dtype="float64")
    scale[scale < 1e-6 * max(scale.max(), 1e-12)] = np.inf  # what never changes says nothing
    x = ((x - mean) / scale).astype("float32")
    targets = np.eye(n_classes)[labels]
    prior = targets.mean(0)
    y = targets - prior

    values, left = _decompose(x)  # (r,), (n, r)
    seen = left.T @ y  # (r, classes)
    strength, penalty, left_out = _best(values, left, seen, y)
    standardised = x.T @ (left @ (seen / (values + penalty)[:, None]))  # (d, classes)
    weights = standardised / scale[:, None]
    bias = (prior - mean @ weights).astype("float32")
    return Probe(weights.astype("float32"), bias, strength, _scale(prior + left_out, labels))


def fit_all(
    features: Sequence[np.ndarray], labels: np.ndarray, n_classes: int, on_step: Callable[[], None] = lambda: None
) -> list[Probe]:
    """`fit` of each of these features of the same pictures, in their order; `on_step` is called after each.

    They are fitted side by side by as many threads as linear algebra would have, each with one: where others compute,
    too, threads that share a matrix wait for each other.
    """
    threads = max((each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"), default=1)
    beside = ROOM // max(1, FIT_BYTES * max((each.size for each in features), default=0))
    found = []
    with (
        threadpool_limits(limits=1, user_api="blas"),
        ThreadPoolExecutor(max(1, min(threads, beside))) as pool,
    ):
        for probe in pool.map(lambda each: fit(each, labels, n_classes), features):
            found.append(probe)
            on_step()
    return found


def _decompose(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of x xᵀ that are not 0 and their eigenvectors (n, r), by the smaller of x xᵀ and xᵀ x."""
    if x.shape[1] >= len(x):
        values, left = np.linalg.eigh((x @ x.T).astype("float64"))
        kept = values > LEAST_SHARE * max(values.max(), 1e-12)
        return values[kept], left[:, kept]
    values, right = np.linalg.eigh((x.T @ x).astype("float64"))
    kept = values > LEAST_SHARE * max(values.max(), 1e-12)
    return values[kept], x @ right[:, kept] / np.sqrt(values[kept])


def _best(values: np.ndarray, left: np.ndarray, seen: np.ndarray, y: np.ndarray) -> tuple[float, float, np.ndarray]:
    """The strength with the least error when each picture is left out, its penalty, and what is predicted then."""
    if not len(values):  # features that say nothing
        return STRENGTHS[-1], 1.0, np.zeros_like(y)
    unit = float(values.mean())
    shares = values / (values + unit * np.asarray(STRENGTHS)[:, None])  # (strengths, r)
    together = max(1, COLUMNS // y.shape[1])  # strengths
    blocks = [slice(start, start + ROWS) for start in range(0, len(y), ROWS)]

    def residuals(rows: slice, shares: np.ndarray) -> np.ndarray:
        """Of pictures that are left out, (n, strengths, classes)."""
        leverage = 1 / len(y) + left[rows] ** 2 @ shares.T  # (n, strengths), the mean counts too
        weights = (shares.T[:, :, None] * seen[:, None]).reshape(len(values), -1)  # (r, strengths * classes)
        fitted = (left[rows] @ weights).reshape(-1, len(shares), y.shape[1])
        return (y[rows][:, None] - fitted) / np.maximum(1 - leverage, 1e-6)[:, :, None]

    def errors(shares: np.ndarray) -> np.ndarray:
        """Sums of the squares of all residuals, (strengths,)."""
        return np.sum([(residuals(rows, shares) ** 2).sum((0, 2)) for rows in blocks], axis=0)

    groups = (shares[start : start + together] for start in range(0, len(shares), together))
    best = int(np.argmin(np.concatenate([errors(group) for group in groups])))
    left_out = np.concatenate([residuals(rows, shares[best : best + 1])[:, 0] for rows in blocks])
    return STRENGTHS[best], STRENGTHS[best] * unit, y - left_out


def _scale(scores: np.ndarray, labels: np.ndarray) -> float:
    """Of `SCALES` the one with the least cross-entropy of scores (n, classes) times it."""
    scores = scores - scores.max(1, keepdims=True)
    true = scores[np.arange(len(labels)), labels]
    losses = [float(np.mean(np.log(np.exp(scale * scores).sum(1)) - scale * true)) for scale in SCALES]
    return SCALES[int(np.argmin(losses))]
