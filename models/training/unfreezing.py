"""Progressive unfreezing: at which depth a variable is trained, and what rate it has in a step."""

import math
from collections.abc import Sequence

import keras
import numpy as np

from models import cuts
from models.build import Network
from models.training.optimizers import correction
from models.training.recipe import Recipe


def depths_of(network: Network, variables: Sequence[keras.Variable]) -> list[int]:
    """For each variable the depth at which it is trained: 0 for the head, 1 for the top stage, and so on."""
    layers = {layer.name: layer for layer in network.logits.layers}
    depths: dict[int, int] = {}  # by the identity of a variable
    if "pool" in layers:
        for depth, stage in enumerate(reversed(cuts.stages(network.base())), start=1):
            for name in stage.layers:
                depths |= dict.fromkeys(map(id, getattr(layers.get(name), "variables", ())), depth)
    return [depths.get(id(variable), 0) for variable in variables]


def step_rates(
    recipe: Recipe, depths: Sequence[int], n_train: int, steps: int, rate: float
) -> tuple[np.ndarray | np.float32, np.ndarray | np.float32]:
    """What one step of the recipe's optimizer takes besides the gradient.

    Args:
        recipe: with its strategy, optimizer and weight decay.
        depths: of each variable, see `depths_of`.
        n_train: number of training examples.
        steps: from 1, this step counted.
        rate: by the schedule.

    Returns:
        The rate, corrected for the optimizer's moments, and the share of the weights that decay leaves: float32, one
        number each, or (variables,) where stages begin one after the other.
    """
    if recipe.strategy == "plain":
        return np.float32(rate * correction(recipe.optimizer, steps)), np.float32(1 - rate * recipe.weight_decay)
    stages, per_epoch = max(depths), math.ceil(n_train / recipe.batch_size)
    # all (stages + 1,): one number for each depth, the head's first
    begun = np.array([(recipe.first_epoch(depth, stages) - 1) * per_epoch for depth in range(stages + 1)])
    free = np.where(begun < steps, rate, 0.0)
    rates = free * correction(recipe.optimizer, np.maximum(steps - begun, 1))
    decay_factors = 1 - free * recipe.weight_decay
    return rates[depths].astype("float32"), decay_factors[depths].astype("float32")
