"""Has a run diverged? A test on each 60 steps, which no run that learns fails.

A run has diverged if all of these hold for its last `WINDOW` steps:

1. its loss is above what it began with, and above that of naming each class as often as it occurs: in three of four
   steps, which of 60 happens once in ten thousand times where it is above as often as below. Of a run that was far
   above (by a quarter, in one of four steps of an earlier window) it is enough that three of four steps are above the
   loss of chance: what it began with is gone.
2. its accuracy is at chance: no more right answers than always naming the most frequent class gives, or so many more
   as that has in one of twenty windows (the binomial distribution, by its normal approximation);
3. it is not on its way back: its loss, by the median, is no lower in the second half of the window than in the first.
   One that stays where it is passes every other look by chance, and is ended at one of the next.

A run that learns has an accuracy above chance or a falling loss. One that has learned nothing yet, at a small rate or
behind dead units, has the loss of its beginning or that of chance, and goes on.
"""

import math
from typing import Any

import numpy as np

WINDOW = 60  # steps between two looks
MOST, SOME = 0.75, 0.25  # shares of the steps
FAR = 1.25  # times the loss of the beginning, or that of chance
ONE_OF_TWENTY = 1.645  # quantile of a normal distribution


class Watch:
    """Looks at a run every `WINDOW` steps.

    Args:
        y: class numbers of the training examples, (n,).
        first_loss: of the run's first step in nats; of its first epoch where a run goes on; None before the first.
    """

    def __init__(self, y: np.ndarray, first_loss: float | None = None):
        shares = np.bincount(y) / len(y)
        self._most, shares = float(shares.max()), shares[shares > 0]
        self._chance_loss = float(-(shares * np.log(shares)).sum())
        self._first_loss, self._was_far = first_loss, False
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
        if self._first_loss is None:
            self._first_loss = float(losses[0])
        if not np.isfinite(losses).all():
            return ""  # the end of the epoch says so
        above = max(self._first_loss, self._chance_loss)
        rises = (losses > above).mean() >= MOST
        lost = self._was_far and (losses > self._chance_loss).mean() >= MOST
        self._was_far = self._was_far or bool((losses > FAR * above).mean() >= SOME)
        n, half = float(sizes.sum()), len(losses) // 2
        by_chance = n * self._most + ONE_OF_TWENTY * math.sqrt(n * self._most * (1 - self._most))
        falls = np.median(losses[half:]) < np.median(losses[:half])
        if not (rises or lost) or falls or hits.sum() > by_chance:
            return ""
        return (
            f"loss {np.median(losses):.3g} over {len(losses)} steps after {self._first_loss:.3g} at the start, "
            f"accuracy {hits.sum() / n:.3f} at chance"
        )
