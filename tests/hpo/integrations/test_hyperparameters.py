"""KerasTuner's hyperparameters under Optuna: the same values, no others."""

from __future__ import annotations

from typing import Any

import keras_tuner
import optuna
import pytest
from keras_tuner.engine import hyperparameters as kinds
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from hpo.integrations.hyperparameters import Parameter, described, parameter_of, params_of


def found(kind: str, *values: Any, **settings: Any) -> Parameter:
    parameter = parameter_of(described(getattr(kinds, kind)("a", *values, **settings)))
    assert parameter is not None
    return parameter


@pytest.mark.parametrize(
    ("kind", "values", "settings", "name", "distribution"),
    [
        ("Boolean", (), {}, "a", CategoricalDistribution((False, True))),
        ("Choice", (["x", "y"],), {}, "a", CategoricalDistribution(("x", "y"))),
        ("Int", (2, 9), {}, "a", IntDistribution(2, 9)),
        ("Int", (2, 9), {"step": 3}, "a", IntDistribution(2, 8, step=3)),
        ("Int", (2, 9), {"sampling": "log"}, "a", IntDistribution(2, 9, log=True)),
        ("Int", (1, 100), {"sampling": "log", "step": 10}, "a, step", IntDistribution(0, 2)),
        ("Int", (1, 9), {"sampling": "reverse_log"}, "a, mirrored", IntDistribution(1, 9, log=True)),
        ("Float", (0, 1), {}, "a", FloatDistribution(0.0, 1.0)),
        ("Float", (0, 1), {"step": 0.2}, "a", FloatDistribution(0.0, 1.0, step=0.2)),
        ("Float", (0, 10), {"step": 3}, "a", FloatDistribution(0.0, 9.0, step=3)),
        ("Float", (1e-4, 1e-2), {"sampling": "log"}, "a", FloatDistribution(1e-4, 1e-2, log=True)),
        ("Float", (1e-3, 10), {"sampling": "log", "step": 10}, "a, step", IntDistribution(0, 4)),
        ("Float", (1, 9), {"sampling": "reverse_log"}, "a, mirrored", FloatDistribution(1, 9, log=True)),
    ],
)
def test_each_kind_has_its_distribution(
    kind: str, values: tuple[Any, ...], settings: dict[str, Any], name: str, distribution: Any
) -> None:
    parameter = found(kind, *values, **settings)
    assert (parameter.name, parameter.distribution) == (name, distribution)


@pytest.mark.parametrize(
    ("kind", "values", "settings", "expected"),
    [
        ("Boolean", (), {}, {False, True}),
        ("Choice", ([3, 1, 2],), {}, {1, 2, 3}),
        ("Int", (2, 9), {"step": 3}, {2, 5, 8}),
        ("Int", (1, 100), {"sampling": "log", "step": 10}, {1, 10, 100}),
        ("Int", (1, 100), {"sampling": "reverse_log", "step": 10}, {100, 91, 1}),
        ("Float", (0, 1), {"step": 0.25}, {0.0, 0.25, 0.5, 0.75, 1.0}),
        ("Float", (0.01, 1), {"sampling": "log", "step": 10}, {0.01, 0.1, 1.0}),
    ],
)
def test_all_values_and_no_others(
    kind: str, values: tuple[Any, ...], settings: dict[str, Any], expected: set[Any]
) -> None:
    parameter, study = found(kind, *values, **settings), optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    drawn = [parameter.suggest(study.ask()) for _ in range(60)]
    assert sorted(set(drawn)) == pytest.approx(sorted(expected))
    assert {type(value) for value in drawn} == {type(value) for value in expected}
    for value in expected:
        assert parameter.to_value(parameter.from_value(value)) == pytest.approx(value)


def test_a_reversed_logarithm_is_dense_at_the_top() -> None:
    """Of momentum from 0.9 to 0.99, say: half of the values lie above low + high - sqrt(low * high)."""
    parameter, study = (
        found("Float", 1.0, 100.0, sampling="reverse_log"),
        optuna.create_study(sampler=optuna.samplers.RandomSampler(0)),
    )
    drawn = [parameter.suggest(study.ask()) for _ in range(400)]
    assert all(1 <= value <= 100 for value in drawn)
    assert sum(value > 91 for value in drawn) / 400 == pytest.approx(0.5, abs=0.05)
    assert parameter.from_value(91.0) == 10.0


def test_values_are_kerastuners_to_the_last_bit() -> None:
    hyperparameter = kinds.Float("a", 0, 1, step=0.1)
    parameter = parameter_of(described(hyperparameter))
    assert parameter is not None
    own = set(hyperparameter.values)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    drawn = {parameter.suggest(study.ask()) for _ in range(200)}
    assert own <= drawn and len(drawn) == 11


def test_a_fixed_one_is_not_searched() -> None:
    assert parameter_of(described(kinds.Fixed("a", 7))) is None


def test_a_kind_of_ones_own_is_refused() -> None:
    class Odd(kinds.HyperParameter):
        pass

    with pytest.raises(TypeError, match="a must be fixed, boolean, choice, int or float"):
        parameter_of(described(Odd("a")))


def conditional() -> keras_tuner.HyperParameters:
    space = keras_tuner.HyperParameters()
    space.Choice("kind", ["small", "large"])
    with space.conditional_scope("kind", ["small"]):
        space.Int("width", 1, 4)
    with space.conditional_scope("kind", ["large"]):
        space.Int("width", 10, 40)
    space.Fixed("depth", 3)
    return space


def test_one_name_under_two_conditions_is_kept_apart() -> None:
    for kind, width in (("small", 2), ("large", 20)):
        params, distributions = params_of(conditional(), {"kind": kind, "width": width, "depth": 3})
        assert params == {"kind": kind, f"width (kind = {kind})": width}
        assert distributions[f"width (kind = {kind})"] == (
            IntDistribution(1, 4) if kind == "small" else IntDistribution(10, 40)
        )


def test_what_a_distribution_does_not_have_is_left_out() -> None:
    space = keras_tuner.HyperParameters()
    space.Int("odd", 10, 100, step=20, default=64)
    space.Float("last", 0, 0.3, step=0.1)
    space.Choice("kind", ["a", "b"])
    values = {"odd": 64, "last": 3 * 0.1, "kind": "b"}
    params, distributions = params_of(space, values)
    assert params == {"last": 0.3, "kind": "b"} and set(distributions) == set(params)
    optuna.create_study().add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=1.0))
