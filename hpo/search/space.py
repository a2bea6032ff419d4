"""The search space: the only place that suggests. What Optuna decides, and the known good candidates to begin with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna

from hpo.config import OPTIONAL, StudyConfig
from models.candidate import MAX_HEAD_WIDTH, OPTIMIZERS, POOLINGS, Candidate
from models.training.schedules import LR_SCHEDULES

HEAD_STEP = 128
LEARNING_RATES = (1e-5, 1e-2)
SGD_LEARNING_RATES = (1e-3, 0.3)  # drawn as a parameter of its own: rates of Adam would be far too small
MAX_DROPOUT = 0.6
WEIGHT_DECAYS = (1e-5, 1e-1)
MAX_LABEL_SMOOTHING = 0.2
BATCH_SIZES = (16, 32, 64, 128)


@dataclass(frozen=True)
class Space:
    """What a study searches. `depths` are the allowed unfreeze depths, one only when training from scratch.

    `choices` has the values of each further field of a candidate that are searched, `fixed` those that are not.
    """

    backbone: str
    depths: tuple[int, ...]
    resolutions: tuple[int, ...]
    choices: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    floats: tuple[str, ...] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def describe(self) -> dict[str, object]:
        """For the fingerprint: trials of a study with another description cannot be compared."""
        described: dict[str, object] = {
            "unfreeze_depth": [self.depths[0], self.depths[-1]],
            "resolution": list(self.resolutions),
            "head_width": [0, MAX_HEAD_WIDTH, HEAD_STEP],
            "dropout": [0.0, MAX_DROPOUT],
            "learning_rate": list(LEARNING_RATES),
            "lr_schedule": list(LR_SCHEDULES),
        }
        described |= {name: list(values) for name, values in self.choices.items()}
        if "sgd" in self.choices.get("optimizer", ()):
            described["sgd_learning_rate"] = list(SGD_LEARNING_RATES)
        if "weight_decay" in self.floats:
            described["weight_decay"] = list(WEIGHT_DECAYS)
        if "label_smoothing" in self.floats:
            described["label_smoothing"] = [0.0, MAX_LABEL_SMOOTHING]
        return described | dict(self.fixed)


def make_space(config: StudyConfig, blocks: int, resolutions: tuple[int, ...]) -> Space:
    """From scratch every block is trained, and the optimizer is searched; else any number of blocks from the top."""
    from_scratch = config.weights == "none"
    searched = {*config.search} | ({"optimizer"} if from_scratch else set())
    all_choices: dict[str, tuple[Any, ...]] = {
        "optimizer": OPTIMIZERS,
        "pooling": POOLINGS,
        "batch_norm_head": (False, True),
        "batch_size": BATCH_SIZES,
        "augmentation": config.augment,
        "strategy": config.strategy,
    }
    searched |= {name for name in ("augmentation", "strategy") if len(all_choices[name]) > 1}
    fixed = {"batch_size": config.batch_size, "augmentation": config.augment[0], "strategy": config.strategy[0]}
    return Space(
        config.backbone,
        (blocks,) if from_scratch else tuple(range(blocks + 1)),
        resolutions,
        {name: values for name, values in all_choices.items() if name in searched},
        tuple(name for name in OPTIONAL if name in searched and name not in all_choices),
        {name: value for name, value in fixed.items() if name not in searched},
    )


def suggest(trial: optuna.Trial, space: Space) -> Candidate:
    """What the study's sampler proposes; for several heads at once some parameters are given."""
    values: dict[str, Any] = {
        "unfreeze_depth": trial.suggest_int("unfreeze_depth", space.depths[0], space.depths[-1]),
        "head_width": trial.suggest_int("head_width", 0, MAX_HEAD_WIDTH, step=HEAD_STEP),
        "dropout": trial.suggest_float("dropout", 0.0, MAX_DROPOUT),
        "lr_schedule": trial.suggest_categorical("lr_schedule", LR_SCHEDULES),
        "resolution": trial.suggest_categorical("resolution", space.resolutions),
    }
    values |= {name: trial.suggest_categorical(name, choices) for name, choices in space.choices.items()}
    if "weight_decay" in space.floats:
        values["weight_decay"] = trial.suggest_float("weight_decay", *WEIGHT_DECAYS, log=True)
    if "label_smoothing" in space.floats:
        values["label_smoothing"] = trial.suggest_float("label_smoothing", 0.0, MAX_LABEL_SMOOTHING)
    if values.get("optimizer") == "sgd":
        values["learning_rate"] = trial.suggest_float("sgd_learning_rate", *SGD_LEARNING_RATES, log=True)
    else:
        values["learning_rate"] = trial.suggest_float("learning_rate", *LEARNING_RATES, log=True)
    if values["unfreeze_depth"] == 0:
        values["strategy"] = "plain"  # of a head alone there is nothing to unfreeze
    return Candidate(space.backbone, **{**space.fixed, **values})


def parameters(candidate: Candidate, space: Space) -> dict[str, Any]:
    """What `suggest` would have to draw to get this candidate: for Optuna's queue."""
    values = candidate.to_dict()
    names = ["unfreeze_depth", "head_width", "dropout", "lr_schedule", "resolution", *space.choices, *space.floats]
    rate = "sgd_learning_rate" if candidate.optimizer == "sgd" else "learning_rate"
    return {name: values[name] for name in names} | {rate: candidate.learning_rate}


def sibling_heads(candidate: Candidate, space: Space) -> dict[str, Any]:
    """The parameters that heads share which are trained together."""
    drawn = parameters(candidate, space)
    return {name: value for name, value in candidate.shared_by_heads().items() if name in drawn}


def first_candidates(space: Space) -> Sequence[Candidate]:
    """Known good ones, most useful first, so that a study of five trials already shows a front.

    Linear probes at the largest and the smallest resolution mark the ends; the top block fine-tuned with a small rate
    is what most tutorials do (Keras' transfer-learning guide); a frozen network with a hidden layer is the usual
    default; a deeper fine-tune shows whether more freedom pays.
    """
    small, large = space.resolutions[0], space.resolutions[-1]
    middle = space.resolutions[len(space.resolutions) // 2]
    if len(space.depths) == 1:
        return _first_from_scratch(space, small, middle, large)

    def make(depth: int, width: int, dropout: float, rate: float, schedule: str, side: int) -> Candidate:
        depth = min(max(depth, space.depths[0]), space.depths[-1])
        return Candidate(space.backbone, depth, width, dropout, rate, schedule, side, **_others(space))

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
        others = _others(space) | {"optimizer": optimizer}
        return Candidate(space.backbone, space.depths[0], width, 0.2, rate, schedule, side, **others)

    wanted = [
        make(0, "adam", large),
        make(0, "adam", small),
        make(0, "sgd", large),
        make(256, "adam", middle),
        make(256, "sgd", middle),
    ]
    return list(dict.fromkeys(wanted))


def _others(space: Space) -> dict[str, Any]:
    """Usual values of the fields that are searched on request."""
    usual: dict[str, Any] = {"batch_size": 32, "weight_decay": 1e-4, "label_smoothing": 0.0, **space.fixed}
    first = {name: space.choices[name][0] for name in ("augmentation", "strategy") if name in space.choices}
    searched = {*space.choices, *space.floats, *space.fixed}
    return {name: value for name, value in (usual | first).items() if name in searched}
