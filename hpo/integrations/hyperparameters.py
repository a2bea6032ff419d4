"""KerasTuner's hyperparameters as parameters of Optuna, one for each.

A value is the same in both, but for scales that Optuna does not have: what grows by a factor from step to step is
searched by the number of the step, and a reversed logarithm by what is left to the sum of both ends, on a logarithm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import optuna
from keras_tuner.engine import hyperparameters as kinds
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution


@dataclass(frozen=True)
class Parameter:
    """A hyperparameter as Optuna searches it.

    Attributes:
        name: the hyperparameter's, with its conditions, since Optuna allows a name one set of values; and the scale
            where that is not the hyperparameter's.
        distribution: of it.
        to_value: from Optuna's value to that of KerasTuner.
        from_value: the way back.
    """

    name: str
    distribution: BaseDistribution
    to_value: Callable[[Any], Any]
    from_value: Callable[[Any], Any]

    def suggest(self, trial: optuna.Trial) -> Any:
        """A value as KerasTuner has it."""
        kind = self.distribution
        if isinstance(kind, CategoricalDistribution):
            return self.to_value(trial.suggest_categorical(self.name, kind.choices))
        assert isinstance(kind, IntDistribution | FloatDistribution)
        ask: Any = trial.suggest_int if isinstance(kind, IntDistribution) else trial.suggest_float
        return self.to_value(ask(self.name, kind.low, kind.high, step=kind.step, log=kind.log))


def parameter_of(hyperparameter: Any) -> Parameter | None:
    """How Optuna searches a hyperparameter; None of one that is fixed.

    Args:
        hyperparameter: a `keras_tuner.engine.hyperparameters.HyperParameter`.

    Raises:
        TypeError: it is of a kind of the user's own.
    """
    name = _name(hyperparameter)
    if isinstance(hyperparameter, kinds.Fixed):
        return None
    if isinstance(hyperparameter, kinds.Boolean):
        return Parameter(name, CategoricalDistribution((False, True)), bool, bool)
    if isinstance(hyperparameter, kinds.Choice):
        return Parameter(name, CategoricalDistribution(tuple(dict.fromkeys(hyperparameter.values))), _same, _same)
    if not isinstance(hyperparameter, kinds.Int | kinds.Float):
        raise TypeError(f"{name} must be fixed, boolean, choice, int or float. Received: {type(hyperparameter)}")
    if hyperparameter.sampling == "linear":
        return _linear(name, hyperparameter)
    return _on_a_logarithm(name, hyperparameter) if hyperparameter.step is None else _by_factors(name, hyperparameter)


def params_of(space: Any, values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """What Optuna has for values of KerasTuner: parameters and their distributions.

    Args:
        space: a `keras_tuner.HyperParameters`, with the conditions under which each is active.
        values: by hyperparameter, of those that are active.
    """
    own = space.copy()
    own.values = dict(values)
    params, distributions = {}, {}
    for each in own.space:
        parameter = parameter_of(each)
        if parameter is not None and own.is_active(each) and each.name in values:
            value = parameter.from_value(values[each.name])
            if _allowed(parameter.distribution, value):  # KerasTuner does not look whether a default is
                params[parameter.name], distributions[parameter.name] = value, parameter.distribution
    return params, distributions


def _allowed(distribution: BaseDistribution, value: Any) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    steps = (value - distribution.low) / (distribution.step or 1)
    on_step = distribution.step is None or abs(steps - round(steps)) < 1e-8
    return distribution.low <= value <= distribution.high and on_step


def ensure_active_values(space: Any) -> None:
    """A value for each active hyperparameter and none for others, as `keras_tuner.HyperParameters` means it.

    KerasTuner 1.4.8 takes the value of a name away, or draws another one, where the name stands under several
    conditions of which one is not met.

    Args:
        space: a `keras_tuner.HyperParameters`.
    """
    for each in space.space:
        if space.is_active(each) and each.name not in space.values:
            space.values[each.name] = each.random_sample()
        elif not space.is_active(each.name):  # under none of its conditions
            space.values.pop(each.name, None)


def _name(hyperparameter: Any) -> str:
    """With the conditions under which it is active: the same name under others is another parameter."""
    conditions = [f"{each.name} = {' or '.join(map(str, each.values))}" for each in hyperparameter.conditions]
    return hyperparameter.name + (f" ({' and '.join(conditions)})" if conditions else "")


def _same(value: Any) -> Any:
    return value


def _linear(name: str, hyperparameter: Any) -> Parameter:
    low, high, step = hyperparameter.min_value, hyperparameter.max_value, hyperparameter.step
    if isinstance(hyperparameter, kinds.Int):
        return Parameter(name, IntDistribution(low, low + (high - low) // step * step, step=step), int, int)
    if step is None:
        return Parameter(name, FloatDistribution(low, high), float, float)
    exact = [Decimal(str(value)) for value in (low, high, step)]
    last = exact[0] + (exact[1] - exact[0]) // exact[2] * exact[2]

    def to_value(x: float) -> float:
        return low + round((x - low) / step) * step  # to the last bit what KerasTuner has

    def from_value(value: float) -> float:
        return min(float(value), float(last))  # KerasTuner's 3 * 0.1 is above 0.3

    return Parameter(name, FloatDistribution(low, float(last), step=step), to_value, from_value)


def _on_a_logarithm(name: str, hyperparameter: Any) -> Parameter:
    low, high = hyperparameter.min_value, hyperparameter.max_value
    number, kind = (int, IntDistribution) if isinstance(hyperparameter, kinds.Int) else (float, FloatDistribution)
    if hyperparameter.sampling == "log":
        return Parameter(name, kind(low, high, log=True), number, number)

    def mirrored(x: Any) -> Any:
        return number(min(max(low + high - x, low), high))

    return Parameter(f"{name}, mirrored", kind(low, high, log=True), mirrored, mirrored)


def _by_factors(name: str, hyperparameter: Any) -> Parameter:
    """From one value to the next by a factor, `step`: from the lowest on, or from the highest where it is reversed."""
    low, high, factor = hyperparameter.min_value, hyperparameter.max_value, hyperparameter.step
    number = int if isinstance(hyperparameter, kinds.Int) else float
    last = int(math.log(high / low, factor) + 1e-8)

    def to_value(index: int) -> Any:
        grown = low * math.pow(factor, index)
        return number(grown if hyperparameter.sampling == "log" else high + low - grown)

    def from_value(value: Any) -> int:
        return min(range(last + 1), key=lambda index: abs(to_value(index) - value))

    return Parameter(f"{name}, step", IntDistribution(0, last), to_value, from_value)
