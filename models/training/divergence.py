"""Has a run diverged? A test on each 60 steps, which no run that learns fails.

A run has diverged if all of these hold for its last `WINDOW` steps:

1. its loss is far above what it began with, and above that of naming each class as often as it occurs: by a quarter of
   it, in three of four steps. Of a run that was far above in one of four steps of an earlier window it is enough that
   three of four are above the loss of chance: what it began with is gone.
2. its accuracy is at chance: no more right answers than always naming the most frequent class gives, or so many more
   as that has in one of twenty windows (the binomial distribution, by its normal approximation);
3. it is not on its way back: its loss, by the median, is no lower in the second half of the window than in the first.
   One that stays where it is passes every other look by chance, and is ended at one of the next.

A run that was above chance once, in a window or in an epoch, is not ended: what it reached counts. One that has learned
nothing yet, at a small rate or behind dead units, has the loss of its beginning or that of chance, and goes on.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from models.training.recipe import Epoch

WINDOW = 60  # steps between two looks
MOST, SOME = 0.75, 0.25  # shares of the steps
FAR = 1.25  # times the loss of the beginning, or that of chance
ONE_OF_TWENTY = 1.645  # quantile of a normal distribution


class Watch:
    """Looks at a run every `WINDOW` steps.

    Args:
        y: class numbers of the training examples, (n,).
        curve: of the epochs behind a run that goes on.
    """

    def __init__(self, y: np.ndarray, curve: Sequence[Epoch] = ()):
        shares = np.bincount(y) / len(y)
        self._most, shares = float(shares.max()), shares[shares > 0]
        self._chance_loss = float(-(shares * np.log(shares)).sum())
        # Where a run goes on, its first step is not known: that of chance stands for it.
        self._first_loss = self._chance_loss if curve else None
        self._was_far = any(point.loss > FAR * self._chance_loss for point in curve)
        self._learned = any(self._is_above_chance(point.accuracy * len(y), len(y)) for point in curve)
        self._steps: list[tuple[Any, Any, int]] = []

    def step(self, loss: Any, hits: Any, size: int) -> str:
        """How the run has diverged, in words for its record; empty if it has not, and between two looks.

        Args:
            loss: mean loss of a step in nats, a scalar of the backend, which is read at the next look.
            hits: right answers in it, the same.
            size: examples in it.
        """
        self._steps.append((loss, hits, size))
        if len(self._steps) < WINDOW:
            return ""
        seen = np.array([[float(value) for value in step] for step in self._steps])  # (WINDOW, 3)
        self._steps.clear()
        return self._look(*seen.T)

    def _look(self, losses: np.ndarray, hits: np.ndarray, sizes: np.ndarray) -> str:
        if not np.isfinite(losses).all():
            return "the loss is not finite"
        if self._first_loss is None:
            self._first_loss = float(losses[0])
        above = FAR * max(self._first_loss, self._chance_loss)
        half = len(losses) // 2
        far = (losses > above).mean() >= MOST
        lost = self._was_far and (losses > self._chance_loss).mean() >= MOST
        falls = np.median(losses[half:]) < np.median(losses[:half])
        self._was_far = self._was_far or bool((losses > above).mean() >= SOME)
        self._learned = self._learned or self._is_above_chance(hits.sum(), sizes.sum())
        if self._learned or falls or not (far or lost):
            return ""
        return (
            f"loss {np.median(losses):.3g} over {len(losses)} steps after {self._first_loss:.3g} at the start, "
            f"accuracy {hits.sum() / sizes.sum():.3f} at chance"
        )

    def _is_above_chance(self, hits: float, n: float) -> bool:
        expected = n * self._most
        return hits > expected + ONE_OF_TWENTY * math.sqrt(expected * (1 - self._most))
