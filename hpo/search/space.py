"""The search space: the only place that suggests. What Optuna decides, and the known good candidates to begin with."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from hpo.config import StudyConfig
from models.candidate import DIMENSIONS, ONE_RATE, RATES_BY_PART, AnyCandidate, Candidate
from models.dimension import Dimension, Range, Searched, Values, share


@dataclass(frozen=True)
class Space:
    """What a study searches.

    Attributes:
        searched: the values of each dimension that is searched, by its name.
        fixed: fields of a candidate that the configuration decides.
        stages: that the backbone has behind its first block, its second, ..., all.
    """

    backbone: str
    searched: Mapping[str, Values]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    stages: Sequence[int] = ()

    @property
    def depths(self) -> Range:
        """The allowed unfreeze depths, one only when training from scratch."""
        depths = self.searched["unfreeze_depth"]
        assert isinstance(depths, Range)
        return depths

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Sides in pixels, ascending."""
        sides = self.searched["resolution"]
        assert isinstance(sides, tuple)
        return sides

    def kept(self, blocks: int) -> int:
        """The field of a candidate that keeps so many blocks: 0 for all."""
        return 0 if blocks == len(self.stages) else blocks

    def stages_of(self, keep_blocks: int) -> int:
        """How many stages can be unfrozen of what a candidate keeps."""
        return self.stages[keep_blocks - 1]

    def suggest(self, trial: optuna.Trial | optuna.trial.FixedTrial) -> Candidate:
        """See the function of this name."""
        return suggest(trial, self)

    def parameters(self, candidate: AnyCandidate) -> dict[str, Any]:
        """See the function of this name."""
        assert isinstance(candidate, Candidate)
        return parameters(candidate, self)

    def first_candidates(self) -> Sequence[Candidate]:
        """See the function of this name."""
        return first_candidates(self)

    def describe(self) -> dict[str, Any]:
        """For the fingerprint: trials of a study with another description cannot be compared.

        What the study decides comes first, then what is always searched, choices, ranges, and what is fixed.
        """

        def rank(name: str) -> int:
            dimension = DIMENSIONS[name]
            if dimension.of_study:
                return 0
            if dimension.searched == Searched.ALWAYS and not dimension.sets:
                return 1
            return 3 if isinstance(dimension.values, Range) else 2

        return {name: _described(self.searched[name]) for name in sorted(self.searched, key=rank)} | dict(self.fixed)


def _described(values: Values) -> list[Any]:
    if isinstance(values, tuple):
        return list(values)
    # that integers are one apart goes without saying
    return [values.low, values.high, *([values.step] if values.step not in (None, 1) else [])]


def make_space(
    config: StudyConfig, stages: Sequence[int], resolutions: tuple[int, ...], class_token: bool = False
) -> Space:
    """From scratch every stage is trained, and the optimizer is searched; else any number of stages from the top.

    Args:
        config: of the study.
        stages: that the backbone has behind its first block, its second, ..., all.
        resolutions: sides in pixels, ascending.
        class_token: whether the backbone has one, on which a head can stand.
    """
    from_scratch = config.weights == "none"
    requested = {*config.search} | ({"optimizer"} if from_scratch else set())
    of_study: dict[str, Values] = {
        "keep_blocks": Range(1, len(stages), step=1),
        "unfreeze_depth": Range(stages[-1] if from_scratch else 0, stages[-1], step=1),
        "resolution": resolutions,
    }
    if not class_token:
        of_study["pooling"] = ("average", "max")
    searched: dict[str, Values] = {}
    fixed: dict[str, Any] = {}
    left_out = ONE_RATE if config.splits_rates else RATES_BY_PART
    for name, dimension in DIMENSIONS.items():
        given: Any = getattr(config, dimension.option) if dimension.option else ()
        if dimension.searched == Searched.LISTED and len(given) > 1:
            searched[name] = given
        elif dimension.searched == Searched.LISTED:
            fixed[name] = given[0]
        elif name in left_out or (name == "keep_blocks" and not config.searches_ends):
            continue
        elif dimension.searched == Searched.ALWAYS or name in requested:
            searched[name] = of_study.get(name, dimension.values)
        elif dimension.option:
            fixed[name] = given
    possible = {name: values for name, values in searched.items() if _can_apply(DIMENSIONS[name], searched, fixed)}
    return Space(config.backbone, possible, fixed, tuple(stages))


def _can_apply(dimension: Dimension, searched: Mapping[str, Any], fixed: Mapping[str, Any]) -> bool:
    def possible(other: str) -> Values:
        return searched.get(other, (fixed.get(other, DIMENSIONS[other].default),))

    return all(share(allowed, possible(other)) for other, allowed in dimension.under.items())


def suggest(trial: optuna.Trial | optuna.trial.FixedTrial, space: Space) -> Candidate:
    """What the study's sampler proposes; for several heads at once some parameters are given.

    More stages than the network has where it ends are all of them: a range that changes from trial to trial would
    leave the depth out of what multivariate samplers learn together. For the same reason a rate above the highest of
    so many free stages is that highest one.
    """
    values = {
        name: dimension.default for name, dimension in DIMENSIONS.items() if dimension.default is not None
    } | dict(space.fixed)
    for name in _drawing_order(space):
        if DIMENSIONS[name].applies(values):
            values[DIMENSIONS[name].field] = _draw(trial, name, space.searched[name])
    values["keep_blocks"] = space.kept(values["keep_blocks"])
    values["unfreeze_depth"] = min(values["unfreeze_depth"], space.stages_of(values["keep_blocks"]))
    if "fine_tuning_learning_rate" in space.searched and values["unfreeze_depth"] and values["optimizer"] == "adam":
        values["learning_rate"] = min(values["learning_rate"], highest_rate(values["unfreeze_depth"]))
    if values["unfreeze_depth"] == 0:
        values["strategy"] = "plain"  # of a head alone there is nothing to unfreeze
    return Candidate(backbone=space.backbone, **values)


def highest_rate(depth: int) -> float:
    """Of Adam, where so many stages are fine-tuned: the more are free, the less each may move."""
    rates = DIMENSIONS["fine_tuning_learning_rate"].values
    assert isinstance(rates, Range)
    return rates.high / math.sqrt(depth)


def _drawing_order(space: Space) -> Iterator[str]:
    """What is always drawn, choices, ranges, and last what depends on another: seeded samplers depend on the order."""

    def rank(name: str) -> int:
        dimension = DIMENSIONS[name]
        if dimension.under:
            return 3
        if dimension.searched == Searched.ALWAYS:
            return 0
        return 2 if isinstance(dimension.values, Range) else 1

    return iter(sorted(space.searched, key=rank))


def _draw(trial: optuna.Trial | optuna.trial.FixedTrial, name: str, values: Values) -> Any:
    if isinstance(values, tuple):
        return trial.suggest_categorical(name, values)
    if values.step is None:
        return trial.suggest_float(name, values.low, values.high, log=values.log)
    return trial.suggest_int(name, int(values.low), int(values.high), step=values.step, log=values.log)


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """What every parameter of a study is drawn from, for samplers that want to know before."""
    return {name: _distribution(space.searched[name]) for name in _drawing_order(space)}


def _distribution(values: Values) -> BaseDistribution:
    if isinstance(values, tuple):
        return CategoricalDistribution(values)
    if values.step is None:
        return FloatDistribution(values.low, values.high, log=values.log)
    return IntDistribution(int(values.low), int(values.high), step=values.step, log=values.log)


def parameters(candidate: Candidate, space: Space) -> dict[str, Any]:
    """What `suggest` would have to draw to get this candidate: for Optuna's queue."""
    values = candidate.to_dict() | {"keep_blocks": candidate.keep_blocks or len(space.stages)}
    drawn = [name for name in _drawing_order(space) if DIMENSIONS[name].applies(values)]
    return {name: values[DIMENSIONS[name].field] for name in drawn}


def sibling_heads(candidate: Candidate, space: Space) -> dict[str, Any]:
    """The parameters that heads share which are trained together."""
    shared = candidate.shared_by_heads()
    return {name: value for name, value in parameters(candidate, space).items() if name in shared}


def first_candidates(space: Space) -> Sequence[Candidate]:
    """Known good ones, most useful first, so that a study of five trials already shows a front.

    Linear probes at the largest and the smallest resolution mark the ends; the top stage fine-tuned with a small rate
    is what most tutorials do (Keras' transfer-learning guide); a frozen network with a hidden layer is the usual
    default; a deeper fine-tune shows whether more freedom pays.
    """
    small, large = space.resolutions[0], space.resolutions[-1]
    middle = space.resolutions[len(space.resolutions) // 2]
    if space.depths.low == space.depths.high:
        return _first_from_scratch(space, small, middle, large)

    def make(depth: int, width: int, dropout: float, rate: float, schedule: str, side: int) -> Candidate:
        return Candidate(
            backbone=space.backbone,
            unfreeze_depth=min(depth, int(space.depths.high)),
            head_width=width,
            dropout=dropout,
            learning_rate=rate,
            lr_schedule=schedule,
            resolution=side,
            **_others(space),
        )

    wanted = [
        make(0, 0, 0.2, 3e-3, "cosine", large),
        make(0, 0, 0.2, 3e-3, "cosine", small),
        make(1, 0, 0.2, 3e-4, "warmup_cosine", large),
        make(0, 256, 0.3, 1e-3, "cosine", middle),
        make(2, 0, 0.2, 3e-4, "warmup_cosine", middle),
    ]
    return list(dict.fromkeys(wanted))


def _first_from_scratch(space: Space, small: int, middle: int, large: int) -> Sequence[Candidate]:
    """Adam and SGD at their usual rates, SGD under the schedule that suits few epochs (Smith and Topin 2019)."""

    def make(width: int, optimizer: str, side: int) -> Candidate:
        rate, schedule = (0.05, "one_cycle") if optimizer == "sgd" else (1e-3, "cosine")
        return Candidate(
            backbone=space.backbone,
            unfreeze_depth=int(space.depths.low),
            head_width=width,
            dropout=0.2,
            learning_rate=rate,
            lr_schedule=schedule,
            resolution=side,
            **_others(space) | {"optimizer": optimizer},
        )

    wanted = [
        make(0, "adam", large),
        make(0, "adam", small),
        make(0, "sgd", large),
        make(256, "adam", middle),
        make(256, "sgd", middle),
    ]
    return list(dict.fromkeys(wanted))


def usual(space: Space, **values: Any) -> Candidate:
    """A candidate with these values, and with usual ones where they say nothing."""
    return Candidate(backbone=space.backbone, **{**_others(space), **values})


def _others(space: Space) -> dict[str, Any]:
    """Usual values of the fields that have a default."""
    values = dict(space.fixed)
    for name, searched in space.searched.items():
        dimension = DIMENSIONS[name]
        if dimension.searched == Searched.LISTED and isinstance(searched, tuple):
            values[name] = searched[0]
        elif dimension.default is not None:
            values[name] = dimension.default if dimension.first is None else dimension.first
    return values
