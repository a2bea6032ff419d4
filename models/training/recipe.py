"""What one run of training is asked to do, and what it tells: recipe, learning curve, and the way it can go wrong."""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.training import schedules

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7  # Adam as in Kingma and Ba 2015, epsilon as in Keras
MOMENTUM = 0.9  # of sgd, as He et al. 2016 train from scratch


@dataclass(frozen=True)
class Recipe:
    """How to train. `seed` rules the order of examples and the dropout.

    Optimizer, weight decay, label smoothing and strategy as in `models.candidate.Candidate`. `plateaus` are the factors
    that reduce_on_plateau had in each epoch of an earlier run, to repeat it without validation.
    """

    learning_rate: float
    lr_schedule: str
    epochs: int
    batch_size: int
    seed: int
    dropout: float = 0.0
    label_smoothing: float = 0.0
    optimizer: str = "adam"
    weight_decay: float = 0.0
    strategy: str = "plain"
    plateaus: tuple[float, ...] = ()

    def rates(self, n_train: int) -> np.ndarray:
        """(epochs x steps,) float32: the rate of every step; reduce_on_plateau is applied to it while training."""
        steps = self.epochs * math.ceil(n_train / self.batch_size)
        return np.asarray(schedules.step_scales(self.lr_schedule, steps), "float32") * self.learning_rate

    def plateau(self, curve: Sequence["Epoch"]) -> float:
        """Factor on the rates after these epochs."""
        if self.lr_schedule != "reduce_on_plateau":
            return 1.0
        if self.plateaus:
            return self.plateaus[len(curve)]
        return schedules.plateau_scale([point.val_loss for point in curve if point.val_loss is not None])

    def depth(self, epoch: int, stages: int) -> int:
        """Stages from the top that are trained in an epoch, counted from 1, of those that shall be in the end.

        Progressive: each of the 1 + `stages` phases has its share of the epochs, the head alone being the first. With
        fewer epochs than phases some begin together; the last epoch trains all.
        """
        if self.strategy == "plain":
            return stages
        return math.ceil(epoch * (1 + stages) / self.epochs) - 1

    def first_epoch(self, depth: int, stages: int) -> int:
        """The epoch, from 1, in which the stage at this depth (1 is the top one, 0 the head) begins to be trained."""
        return next(epoch for epoch in range(1, self.epochs + 1) if self.depth(epoch, stages) >= depth)


@dataclass(frozen=True)
class Epoch:
    """One point of a learning curve. Losses in nats, accuracies 0 to 1, rate as at the epoch's last step.

    `val_loss` and `val_accuracy` are None where nothing is validated on. `val_right` says which validation pictures are
    right, as `pack` writes it, so that trials can be compared picture by picture.
    """

    epoch: int  # from 1
    loss: float
    accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    learning_rate: float
    val_right: str = ""

    def numbers(self) -> dict[str, Any]:
        """All but which pictures are right, by name."""
        return {name: value for name, value in vars(self).items() if name != "val_right"}

    def check(self, before: Sequence["Epoch"]) -> None:
        """Make sure that the losses are numbers.

        Raises:
            NonFiniteLoss: one is infinite or NaN; it carries the epochs `before`.
        """
        if not all(math.isfinite(loss) for loss in (self.loss, self.val_loss) if loss is not None):
            text = f"the loss is not finite in epoch {self.epoch}: loss {self.loss}, val_loss {self.val_loss}"
            raise NonFiniteLoss(text, before)


def pack(right: np.ndarray) -> str:
    """(n,) bool as text: eight to a byte, the first one its highest bit, in base64."""
    return base64.b64encode(np.packbits(right).tobytes()).decode("ascii")


def share(right: np.ndarray) -> float:
    """Of (n,) bool that is true."""
    return int(right.sum()) / len(right)


class NonFiniteLoss(ArithmeticError):
    """The loss became infinite or NaN; the message says in which epoch, `curve` has the epochs before it."""

    def __init__(self, message: str, curve: Sequence["Epoch"] = ()):
        super().__init__(message)
        self.curve = tuple(curve)
