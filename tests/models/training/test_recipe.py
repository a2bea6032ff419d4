"""The recipe: a rate for every step, and the plateau that changes them."""

import numpy as np
import pytest

from models.training import schedules
from models.training.recipe import Epoch, NonFiniteLoss, Recipe


def point(epoch, val_loss):
    return Epoch(epoch, 1.0, 0.5, val_loss, 0.5, 0.1)


@pytest.mark.parametrize("name", schedules.LR_SCHEDULES)
def test_a_rate_for_every_step(name):
    recipe = Recipe(0.1, name, 3, 32, 0)
    rates = recipe.rates(70)  # three steps an epoch, the last one short
    assert rates.tolist() == pytest.approx([0.1 * scale for scale in schedules.step_scales(name, 9)])
    assert rates.dtype == np.float32


def test_only_a_plateau_schedule_heeds_the_curve():
    curve = [point(1, 1.0), point(2, 1.1), point(3, 1.2)]
    assert Recipe(0.1, "reduce_on_plateau", 5, 32, 0).plateau(curve) == 0.5
    assert Recipe(0.1, "cosine", 5, 32, 0).plateau(curve) == 1.0
    repeated = Recipe(0.1, "reduce_on_plateau", 5, 32, 0, plateaus=(1.0, 1.0, 0.5))
    assert [repeated.plateau(curve[:epochs]) for epochs in range(3)] == [1.0, 1.0, 0.5]


@pytest.mark.parametrize(
    ("epochs", "stages", "expected"),
    [
        (8, 3, [0, 0, 1, 1, 2, 2, 3, 3]),
        (8, 2, [0, 0, 1, 1, 1, 2, 2, 2]),
        (2, 5, [2, 5]),
        (1, 5, [5]),
        (3, 0, [0, 0, 0]),
    ],
)
def test_progressive_unfreezing_gives_each_stage_its_share(epochs, stages, expected):
    recipe = Recipe(0.1, "cosine", epochs, 32, 0, strategy="progressive")
    assert [recipe.depth(epoch, stages) for epoch in range(1, epochs + 1)] == expected
    begun = [recipe.first_epoch(depth, stages) for depth in expected]
    assert begun == [expected.index(depth) + 1 for depth in expected]
    plain = Recipe(0.1, "cosine", epochs, 32, 0)
    assert {plain.depth(epoch, stages) for epoch in range(1, epochs + 1)} == {stages}
    assert plain.first_epoch(stages, stages) == 1


def test_the_error_keeps_the_epochs_before():
    error = NonFiniteLoss("why", [point(1, 1.0)])
    assert error.curve == (point(1, 1.0),)
    assert str(error) == "why"
