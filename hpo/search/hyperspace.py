"""The search space of a KerasTuner HyperModel: beside `hpo.search.space` the only place that suggests."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from hpo.integrations.hyperparameters import HyperParameter, Parameter, parameter_of, read
from hpo.search.space import Space
from models.candidate import AnyCandidate, HyperCandidate

if TYPE_CHECKING:
    from models.own.hyper_space import Asked


@dataclass(frozen=True)
class HyperSpace:
    """What a study of a HyperModel searches.

    Attributes:
        backbone: the HyperModel's name.
        asked: the hyperparameters that it asks for, each behind those that its conditions name.
        fits_itself: whether it has a `fit` of its own, so that trials are trained in one go.
    """

    backbone: str
    asked: Sequence[HyperParameter]
    fits_itself: bool = False

    @classmethod
    def of(cls, backbone: str, found: "Asked") -> "HyperSpace":
        """From what `models.own.hyper_space.explore` found."""
        return cls(backbone, tuple(map(read, found.hyperparameters)), found.fits_itself)

    def describe(self) -> dict[str, str]:
        """For the fingerprint: by parameter of Optuna its values in words; a fixed hyperparameter's by its own name."""
        found = {}
        for each in self.asked:
            parameter = parameter_of(each)
            if parameter is None:
                found[each.name_with_conditions] = f"fixed: {each.settings['value']}"
            else:
                found[parameter.name] = _in_words(parameter.distribution)
        return found

    def suggest(self, trial: optuna.Trial | optuna.trial.FixedTrial) -> HyperCandidate:
        """What the study's sampler proposes: a value for each hyperparameter whose conditions are met."""
        return self._candidate(lambda each, parameter: parameter.suggest(trial))

    def parameters(self, candidate: AnyCandidate) -> dict[str, Any]:
        """What `suggest` would have to draw to get this candidate: for Optuna's queue."""
        values, found = candidate.settings(), dict[str, Any]()

        def remember(each: HyperParameter, parameter: Parameter) -> Any:
            if each.name in values:
                found[parameter.name] = parameter.from_value(values[each.name])
            return values.get(each.name)

        self._candidate(remember)
        return found

    def first_candidates(self) -> Sequence[HyperCandidate]:
        """The one of all defaults, as KerasTuner begins."""
        return (self._candidate(lambda each, parameter: each.default),)

    def _candidate(self, value_of: Callable[[HyperParameter, Parameter], Any]) -> HyperCandidate:
        """With a value for each hyperparameter whose conditions are met by those before it, fixed ones included."""
        values: dict[str, Any] = {}
        drawn: dict[str, Any] = {}
        for each in self.asked:
            if each.name in values or not each.is_active(values):
                continue
            parameter = parameter_of(each)
            if parameter is None:
                values[each.name] = each.settings["value"]
            else:
                values[each.name] = drawn[each.name] = value_of(each, parameter)
        known = {name: value for name, value in drawn.items() if value is not None}
        return HyperCandidate(backbone=self.backbone, values=tuple(known.items()))


AnySpace = Space | HyperSpace


def _in_words(kind: BaseDistribution) -> str:
    if isinstance(kind, CategoricalDistribution):
        return ", ".join(map(str, kind.choices))
    assert isinstance(kind, IntDistribution | FloatDistribution)
    steps = f" in steps of {kind.step:g}" if kind.step not in (None, 1) else ""
    return f"{kind.low:g} to {kind.high:g}{steps}{', logarithmic' if kind.log else ''}"
