"""KerasTuner's hyperparameters as parameters of Optuna, one for each. KerasTuner itself is not imported.

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
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

KINDS = ("Fixed", "Boolean", "Choice", "Int", "Float")


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

    def suggest(self, trial: optuna.Trial | optuna.trial.FixedTrial) -> Any:
        """A value as KerasTuner has it."""
        kind = self.distribution
        if isinstance(kind, CategoricalDistribution):
            return self.to_value(trial.suggest_categorical(self.name, kind.choices))
        assert isinstance(kind, IntDistribution | FloatDistribution)
        ask: Any = trial.suggest_int if isinstance(kind, IntDistribution) else trial.suggest_float
        return self.to_value(ask(self.name, kind.low, kind.high, step=kind.step, log=kind.log))


@dataclass(frozen=True)
class Condition:
    """Under which a hyperparameter is active: where that of `name` has one of `values`."""

    name: str
    values: tuple[Any, ...]

    def is_met(self, values: Mapping[str, Any]) -> bool:
        """By values of active hyperparameters."""
        return self.name in values and values[self.name] in self.values


@dataclass(frozen=True)
class HyperParameter:
    """A hyperparameter as KerasTuner describes it.

    Attributes:
        kind: Fixed, Boolean, Choice, Int or Float.
        settings: its own, such as `min_value`, by name.
    """

    kind: str
    name: str
    conditions: tuple[Condition, ...]
    settings: Mapping[str, Any]

    @property
    def default(self) -> Any:
        """The value where nobody says otherwise: if its code does not, the lowest, the first, or False."""
        if self.settings["default"] is not None:
            return self.settings["default"]
        return False if self.kind == "Boolean" else (self.settings.get("values") or [self.settings.get("min_value")])[0]

    @property
    def name_with_conditions(self) -> str:
        """Its name, and the conditions under which it is active: under others it is another parameter."""
        conditions = [f"{each.name} = {' or '.join(map(str, each.values))}" for each in self.conditions]
        return self.name + (f" ({' and '.join(conditions)})" if conditions else "")

    def is_active(self, values: Mapping[str, Any]) -> bool:
        """Whether all of its conditions are met by the values of those before it."""
        return all(condition.is_met(values) for condition in self.conditions)


def read(described: Mapping[str, Any]) -> HyperParameter:
    """From `{"class_name": ..., "config": ...}`, as a `keras_tuner.HyperParameters.get_config()` has it."""
    settings = described["config"]
    conditions = [each["config"] for each in settings["conditions"]]
    found = tuple(Condition(each["name"], tuple(each["values"])) for each in conditions)
    return HyperParameter(described["class_name"], settings["name"], found, settings)


def described(hyperparameter: Any) -> HyperParameter:
    """Of a `keras_tuner.engine.hyperparameters.HyperParameter`; a class of the user's own is what it is made from."""
    kind = next((each for each in type(hyperparameter).__mro__ if each.__name__ in KINDS), type(hyperparameter))
    return read({"class_name": kind.__name__, "config": hyperparameter.get_config()})


def parameter_of(hyperparameter: HyperParameter) -> Parameter | None:
    """How Optuna searches a hyperparameter; None of one that is fixed.

    Raises:
        TypeError: it is of a kind of the user's own.
    """
    name, settings = hyperparameter.name_with_conditions, hyperparameter.settings
    match hyperparameter.kind:
        case "Fixed":
            return None
        case "Boolean":
            return Parameter(name, CategoricalDistribution((False, True)), bool, bool)
        case "Choice":
            return Parameter(name, CategoricalDistribution(tuple(dict.fromkeys(settings["values"]))), _same, _same)
        case "Int" | "Float":
            if settings["sampling"] == "linear":
                return _linear(name, hyperparameter)
            make = _on_a_logarithm if settings["step"] is None else _by_factors
            return make(name, hyperparameter)
    raise TypeError(f"{name} must be fixed, boolean, choice, int or float. Received: {hyperparameter.kind}")


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
        parameter = parameter_of(described(each))
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


def _same(value: Any) -> Any:
    return value


def _linear(name: str, hyperparameter: HyperParameter) -> Parameter:
    low, high, step = (hyperparameter.settings[key] for key in ("min_value", "max_value", "step"))
    if hyperparameter.kind == "Int":
        step = step or 1
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


def _on_a_logarithm(name: str, hyperparameter: HyperParameter) -> Parameter:
    low, high = hyperparameter.settings["min_value"], hyperparameter.settings["max_value"]
    number, kind = (int, IntDistribution) if hyperparameter.kind == "Int" else (float, FloatDistribution)
    if hyperparameter.settings["sampling"] == "log":
        return Parameter(name, kind(low, high, log=True), number, number)

    def mirrored(x: Any) -> Any:
        return number(min(max(low + high - x, low), high))

    return Parameter(f"{name}, mirrored", kind(low, high, log=True), mirrored, mirrored)


def _by_factors(name: str, hyperparameter: HyperParameter) -> Parameter:
    """From one value to the next by a factor, `step`: from the lowest on, or from the highest where it is reversed."""
    low, high, factor = (hyperparameter.settings[key] for key in ("min_value", "max_value", "step"))
    number = int if hyperparameter.kind == "Int" else float
    last = int(math.log(high / low, factor) + 1e-8)

    def to_value(index: int) -> Any:
        grown = low * math.pow(factor, index)
        return number(grown if hyperparameter.settings["sampling"] == "log" else high + low - grown)

    def from_value(value: Any) -> int:
        return min(range(last + 1), key=lambda index: abs(to_value(index) - value))

    return Parameter(f"{name}, step", IntDistribution(0, last), to_value, from_value)
