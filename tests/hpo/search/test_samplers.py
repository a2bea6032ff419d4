"""Samplers by name, and with some parameters fixed."""

import optuna
import pytest

from hpo.search.samplers import make_sampler


def test_unknown_sampler():
    with pytest.raises(ValueError, match="sampler must be .*Received: 'cmaes'"):
        make_sampler("cmaes", 0)
    assert isinstance(make_sampler("tpe", 0), optuna.samplers.TPESampler)


@pytest.mark.parametrize("name", ["tpe", "nsga2", "nsga3", "random"])
def test_what_is_fixed_is_not_proposed(name):
    def drawn(fixed):
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=optuna.samplers.RandomSampler(seed=1))
        for number in range(12):  # TPE draws at random for the first ten
            trial = study.ask({"side": optuna.distributions.CategoricalDistribution([16, 32])})
            trial.suggest_int("depth", 0, 5)
            study.tell(trial, [number, -number])
        study.sampler = make_sampler(name, 0, fixed)
        trial = study.ask()
        return (
            trial.suggest_int("depth", 0, 5),
            trial.suggest_categorical("side", [16, 32]),
            trial.suggest_float("x", 0, 1),
        )

    assert [drawn({"depth": depth, "side": side})[:2] for depth in (0, 5) for side in (16, 32)] == [
        (0, 16),
        (0, 32),
        (5, 16),
        (5, 32),
    ]
    assert drawn({"depth": 3}) == drawn({"depth": 3})
