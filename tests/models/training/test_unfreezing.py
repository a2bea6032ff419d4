"""models/training/unfreezing.py: which stage a variable belongs to, and the rate it has once its stage has begun."""

import math

import numpy as np
import pytest

from models.build import Task, build_network
from models.candidate import Candidate
from models.training.recipe import Recipe
from models.training.unfreezing import depths_of, step_rates


def recipe(**changes):
    return Recipe(**{"learning_rate": 0.1, "lr_schedule": "constant", "epochs": 4, "batch_size": 10, "seed": 0,
                     "dropout": 0.0, "weight_decay": 0.5, **changes})  # fmt: skip


def test_variables_know_their_depth():
    candidate = Candidate(
        backbone="custom_cnn",
        unfreeze_depth=2,
        head_width=8,
        dropout=0.0,
        learning_rate=1e-3,
        lr_schedule="constant",
        resolution=16,
    )
    network = build_network(candidate, Task(16, 16, 3, 4, "none"), seed=0)
    named = {layer.name: depths_of(network, layer.trainable_variables) for layer in network.logits.layers}
    assert named["logits"] == [0, 0]
    assert {depth for depths in named.values() for depth in depths} == {0, 1, 2}


def test_all_at_once_it_is_one_number():
    rate, decay = step_rates(recipe(), [0, 1, 2], n_train=20, steps=1, rate=0.1)
    assert (rate.dtype, decay.dtype, decay) == (np.float32, np.float32, np.float32(0.95))
    assert rate == pytest.approx(0.1 * math.sqrt(1 - 0.999) / (1 - 0.9), rel=1e-6)
    assert step_rates(recipe(optimizer="sgd"), [0, 1, 2], 20, 1, 0.1)[0] == np.float32(0.1)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [(1, [0.1, 0, 0, 0]), (2, [0.1, 0, 0, 0]), (3, [0.1, 0.1, 0, 0]), (5, [0.1, 0.1, 0.1, 0]), (8, [0.1] * 4)],
)
def test_one_block_begins_after_the_other(steps, expected):
    """Two steps an epoch; what has not begun has no rate and keeps its weights."""
    depths = [3, 0, 2, 1, 1]
    rates, decays = step_rates(recipe(strategy="progressive", optimizer="sgd"), depths, 20, steps, 0.1)
    assert (rates.dtype, decays.dtype) == (np.float32, np.float32)
    assert rates.tolist() == [np.float32(expected[depth]) for depth in depths]
    assert decays.tolist() == [np.float32(1 - 0.5 * expected[depth]) for depth in depths]


def test_adam_is_corrected_from_the_step_at_which_a_block_begins():
    rates, _ = step_rates(recipe(strategy="progressive"), [0, 1], n_train=20, steps=5, rate=0.1)

    def corrected(count: int) -> float:
        return 0.1 * math.sqrt(1 - 0.999**count) / (1 - 0.9**count)

    assert rates.tolist() == pytest.approx([corrected(5), corrected(1)], rel=1e-6)
