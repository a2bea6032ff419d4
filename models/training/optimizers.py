"""Adam and SGD with momentum on one flat vector of weights; what each step needs besides, worked out on the host.

Both do what Keras' own do, decoupled weight decay included (Loshchilov and Hutter 2019): before the step the weights
shrink by rate x decay, all of them. Rate and decay may be one number, or a vector with a number for each weight; where
the rate is 0 nothing changes, not even the moments.
"""

from typing import Any

import numpy as np
from keras import ops

from models.training.recipe import BETA_1, BETA_2, EPSILON, MOMENTUM

MOMENTS = {"adam": 2, "sgd": 1}  # vectors (n_weights,) float32 beside the weights


def adam(weights: Any, moments: Any, gradient: Any, rate: Any, decay_factor: Any) -> tuple[Any, Any]:
    """One step of Kingma and Ba 2015, `rate` being corrected for the moments' bias: (weights, moments)."""
    first, second = moments
    if len(rate.shape):
        gradient = ops.where(rate > 0, gradient, 0.0)  # of what is frozen nothing is remembered
    first = first + (gradient - first) * (1 - BETA_1)
    second = second + (gradient * gradient - second) * (1 - BETA_2)
    return weights * decay_factor - rate * first / (ops.sqrt(second) + EPSILON), (first, second)


def sgd(weights: Any, moments: Any, gradient: Any, rate: Any, decay_factor: Any) -> tuple[Any, Any]:
    """One step of stochastic gradient descent with momentum (Sutskever et al. 2013): (weights, moments)."""
    (velocity,) = moments
    velocity = velocity * MOMENTUM - rate * gradient
    return weights * decay_factor + velocity, (velocity,)


STEPS = {"adam": adam, "sgd": sgd}


def correction(optimizer: str, steps: int | np.ndarray) -> float | np.ndarray:
    """Factor on the rate at a step, counted from 1: Adam's moments begin at 0 and are too small at first."""
    if optimizer == "sgd":
        return 1.0
    return np.sqrt(1 - np.float64(BETA_2) ** steps) / (1 - np.float64(BETA_1) ** steps)
