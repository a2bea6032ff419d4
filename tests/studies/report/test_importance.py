"""PED-ANOVA on studies whose answer is known."""

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from studies.objectives import DIRECTIONS
from studies.report.importance import importances

DISTRIBUTIONS = {"dropout": FloatDistribution(0, 0.6), "resolution": IntDistribution(8, 64)}


def study_of(rows):
    study = optuna.create_study(directions=DIRECTIONS)
    for dropout, resolution, values in rows:
        study.add_trial(
            optuna.trial.create_trial(
                params={"dropout": dropout, "resolution": resolution}, distributions=DISTRIBUTIONS, values=values
            )
        )
    return study


def test_what_decides_an_objective_matters_for_it():
    """Dropout alone decides accuracy, resolution alone the costs; they are independent of each other."""
    rows = [
        (drop / 10, side, [1 - drop / 10, side / 10, side**2]) for drop in range(6) for side in (8, 16, 24, 32, 48, 64)
    ]
    found = importances(study_of(rows))
    assert found.why == ""
    assert found.quantile == pytest.approx(5 / 36)
    for shares in found.shares.values():
        assert sum(shares.values()) == pytest.approx(1)
    assert found.shares["val_accuracy"]["dropout"] > 0.8
    assert found.shares["latency_ms"] == found.shares["flops"] == {"resolution": 1.0}


def test_few_trials_say_so():
    found = importances(study_of([(0.1, 8, [0.5, 1, 1])] * 9))
    assert found.shares == {}
    assert found.why == "importances need at least 10 complete trials; there are 9"


def test_ties_say_so():
    found = importances(study_of([(n / 20, 8, [0.5, 1, 1]) for n in range(12)]))
    assert found.shares == {}
    assert found.why.startswith("all complete trials have the same numbers")


def test_one_resolution_alone_cannot_matter():
    study = optuna.create_study(directions=DIRECTIONS)
    single = DISTRIBUTIONS | {"resolution": CategoricalDistribution([16])}
    for n in range(12):
        values = [n / 20, 1 + n % 3, 1 + n % 3]
        study.add_trial(
            optuna.trial.create_trial(params={"dropout": n / 20, "resolution": 16}, distributions=single, values=values)
        )
    assert list(importances(study).shares) == ["val_accuracy"]


def test_parameters_that_only_some_trials_have():
    """As the learning rates of two optimizers."""
    study = optuna.create_study(directions=DIRECTIONS)
    for n in range(24):
        rate = "learning_rate" if n % 2 else "sgd_learning_rate"
        optimizer = CategoricalDistribution(["adam", "sgd"])
        study.add_trial(
            optuna.trial.create_trial(
                params={"optimizer": "adam" if n % 2 else "sgd", rate: n / 40},
                distributions={"optimizer": optimizer, rate: FloatDistribution(0, 1)},
                values=[n / 40, 1, 1],
            )
        )
    assert set(importances(study).shares["val_accuracy"]) == {"optimizer", "learning_rate", "sgd_learning_rate"}
