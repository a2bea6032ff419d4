"""What one run of training is asked to do, and what it tells: recipe, learning curve, and the way it can go wrong."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models import schedules

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7  # Adam as in Kingma and Ba 2015, epsilon as in Keras


@dataclass(frozen=True)
class Recipe:
    """How to train. `seed` rules the order of examples and the dropout; rates are those of Adam."""

    learning_rate: float
    lr_schedule: str
    epochs: int
    batch_size: int
    seed: int
    dropout: float = 0.0
    label_smoothing: float = 0.0

    def rates(self, n_train: int) -> np.ndarray:
        """(epochs x steps,) float32: the rate of every step; reduce_on_plateau is applied to it while training."""
        steps = self.epochs * math.ceil(n_train / self.batch_size)
        return np.asarray(schedules.step_scales(self.lr_schedule, steps), "float32") * self.learning_rate

    def plateau(self, curve: Sequence["Epoch"]) -> float:
        """Factor on the rates after these epochs."""
        if self.lr_schedule != "reduce_on_plateau":
            return 1.0
        return schedules.plateau_scale([point.val_loss for point in curve])


@dataclass(frozen=True)
class Epoch:
    """One point of a learning curve. Losses in nats, accuracies 0 to 1, rate as at the epoch's last step."""

    epoch: int  # from 1
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    learning_rate: float


class NonFiniteLoss(ArithmeticError):
    """The loss became infinite or NaN; the message says in which epoch, `curve` has the epochs before it."""

    def __init__(self, message: str, curve: Sequence["Epoch"] = ()):
        super().__init__(message)
        self.curve = tuple(curve)
