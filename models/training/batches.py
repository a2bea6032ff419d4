"""Examples and the randomness of training them: order, views and dropout noise, each from (seed, epoch) alone."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from models.candidate import HEAD_WIDTHS

# Streams drawn from one seed, kept apart so that the draw of one never shifts another's.
ORDER_STREAM, INPUT_DROPOUT_STREAM, HIDDEN_DROPOUT_STREAM, VIEW_STREAM = 1, 2, 3, 4


@dataclass(frozen=True)
class Examples:
    """Rows `indices` of a store that may be larger than memory (np.memmap): only batches are ever read.

    Attributes:
        x: (n, ...) pictures as uint8 or features as floats; or several such arrays, augmented views of the same
            pictures, of which training draws one for each picture and epoch.
        y: (n,) class numbers.
        indices: (m,) rows that belong to this split.
    """

    x: np.ndarray | tuple[np.ndarray, ...]
    y: np.ndarray
    indices: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)

    def take(self, rows: np.ndarray, views: np.ndarray | None = None) -> np.ndarray:
        """(len(rows), ...): each row from the view that `views` names for it, without `views` from the first."""
        if not isinstance(self.x, tuple):
            return np.asarray(self.x[rows])
        if views is None:
            return np.asarray(self.x[0][rows])
        batch = np.empty((len(rows), *self.x[0].shape[1:]), self.x[0].dtype)
        for view, store in enumerate(self.x):
            of_view = views == view  # (len(rows),) bool
            batch[of_view] = store[rows[of_view]]
        return batch


Transform = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def training_batches(
    examples: Examples, batch_size: int, seed: int, epoch: int, transform: Transform | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches (x, y) of one epoch in an order, with views and changes by `transform`, from (seed, epoch)."""
    order = np.random.default_rng([seed, ORDER_STREAM, epoch]).permutation(examples.indices)
    rng = np.random.default_rng([seed, VIEW_STREAM, epoch])
    views = rng.integers(0, len(examples.x), len(order)) if isinstance(examples.x, tuple) else None
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        x = examples.take(rows, None if views is None else views[start : start + batch_size])
        yield (x if transform is None else transform(x, rng)), examples.y[rows]


def padded(size: int, x: np.ndarray, y: np.ndarray, *more: np.ndarray) -> tuple[np.ndarray, ...]:
    """A batch of `size` rows, so that a short last one needs no second trace.

    It is filled up with its own rows, which keeps the statistics of a BatchNormalization that is trained.

    Args:
        size: rows of every batch but the last.
        x: (n, ...), n at most `size`.
        y: (n,) class numbers.
        more: further arrays of n rows.

    Returns:
        x (size, ...), y (size,) int32, `real` (size,) float32, which is 0 for rows that were added, then `more`.
    """
    rows = np.resize(np.arange(len(x)), size)
    real = (np.arange(size) < len(x)).astype("float32")
    return (x[rows], y[rows].astype("int32"), real, *(array[rows] for array in more))


class DropoutNoise:
    """Uniform noise for dropout: element i of an example is dropped where its noise is not below 1 - rate.

    The noise of an epoch depends on the seed and on nothing a candidate decides, and the noise of a narrow hidden layer
    is the beginning of a wide one's: candidates differ by their rates, not by their luck (common random numbers), and
    many heads can share it.
    """

    def __init__(self, seed: int, epoch: int, hidden: bool):
        stream = HIDDEN_DROPOUT_STREAM if hidden else INPUT_DROPOUT_STREAM
        self._rng = np.random.Generator(np.random.SFC64([seed, stream, epoch]))
        self._hidden = hidden

    def draw(self, examples: int, width: int) -> np.ndarray:
        """(examples, width) float32 in [0, 1) for the next step."""
        drawn = int(HEAD_WIDTHS.high) if self._hidden else width
        return self._rng.random((examples, drawn), dtype=np.float32)[:, :width]


def keep_mask(noise: np.ndarray, dropout: float) -> np.ndarray:
    """Factor for each element: 0 where it is dropped, else 1 / (1 - dropout) (Srivastava et al. 2014, inverted)."""
    return (noise < 1 - dropout) * np.float32(1 / (1 - dropout))
