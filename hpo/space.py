"""The search space: the only place that suggests. What Optuna decides, and the known good candidates to begin with."""

from collections.abc import Sequence
from dataclasses import dataclass

import optuna

from models.candidate import MAX_HEAD_WIDTH, Candidate
from models.schedules import LR_SCHEDULES

HEAD_STEP = 128
LEARNING_RATES = (1e-5, 1e-2)
MAX_DROPOUT = 0.6
# Sides that networks are published for or that divide well; the default search picks from them.
USUAL_RESOLUTIONS = (8, 16, 24, 32, 48, 64, 96, 128, 160, 192, 224, 240, 260, 299, 331, 380, 456, 528, 600)
MAX_ENLARGEMENT = 4  # pictures are not blown up to more than four times their own side


@dataclass(frozen=True)
class Space:
    """What a study searches. `depths` are the allowed unfreeze depths, one only when training from scratch."""

    backbone: str
    depths: tuple[int, ...]
    resolutions: tuple[int, ...]

    def describe(self) -> dict[str, object]:
        """For the fingerprint: trials of a study with another description cannot be compared."""
        return {
            "unfreeze_depth": [self.depths[0], self.depths[-1]],
            "resolution": list(self.resolutions),
            "head_width": [0, MAX_HEAD_WIDTH, HEAD_STEP],
            "dropout": [0.0, MAX_DROPOUT],
            "learning_rate": list(LEARNING_RATES),
            "lr_schedule": list(LR_SCHEDULES),
        }


def make_space(backbone: str, blocks: int, from_scratch: bool, resolutions: tuple[int, ...]) -> Space:
    """From scratch every block is trained; else any number from the top, 0 (head only) to all."""
    return Space(backbone, (blocks,) if from_scratch else tuple(range(blocks + 1)), resolutions)


def default_resolutions(least: int, native: int, own: int) -> tuple[int, ...]:
    """Sides that make sense for a backbone (smallest and native side) and pictures of side `own`, in pixels.

    The usual sides from the backbone's smallest, and its native one (without usual ones up to 3 % below it), as far
    as they do not enlarge the pictures more than four times. If even the smallest does, that one alone is searched.
    """
    sides = {side for side in USUAL_RESOLUTIONS if least <= side < 0.97 * native} | {native}
    return tuple(sorted(side for side in sides if side <= MAX_ENLARGEMENT * own)) or (least,)


def suggest(trial: optuna.Trial, space: Space) -> Candidate:
    return Candidate(
        backbone=space.backbone,
        unfreeze_depth=trial.suggest_int("unfreeze_depth", space.depths[0], space.depths[-1]),
        head_width=trial.suggest_int("head_width", 0, MAX_HEAD_WIDTH, step=HEAD_STEP),
        dropout=trial.suggest_float("dropout", 0.0, MAX_DROPOUT),
        learning_rate=trial.suggest_float("learning_rate", *LEARNING_RATES, log=True),
        lr_schedule=trial.suggest_categorical("lr_schedule", LR_SCHEDULES),
        resolution=trial.suggest_categorical("resolution", space.resolutions),
    )


def parameters(candidate: Candidate) -> dict[str, int | float | str]:
    """What `suggest` would have to draw to get this candidate: for Optuna's queue."""
    values = candidate.to_dict()
    del values["backbone"]
    return values


def sibling_heads(candidate: Candidate) -> dict[str, int]:
    """The parameters that heads on the same features share."""
    return {"unfreeze_depth": 0, "resolution": candidate.resolution}


def first_candidates(space: Space) -> Sequence[Candidate]:
    """Known good ones, most useful first, so that a study of five trials already shows a front.

    Linear probes at the largest and the smallest resolution mark the ends; the top block fine-tuned with a small rate
    is what most tutorials do (Keras' transfer-learning guide); a frozen network with a hidden layer is the usual
    default; a deeper fine-tune shows whether more freedom pays.
    """
    small, large = space.resolutions[0], space.resolutions[-1]
    middle = space.resolutions[len(space.resolutions) // 2]

    def make(depth: int, width: int, dropout: float, rate: float, schedule: str, side: int) -> Candidate:
        depth = min(max(depth, space.depths[0]), space.depths[-1])
        rate = 1e-3 if len(space.depths) == 1 else rate  # from scratch nothing is fine-tuned
        return Candidate(space.backbone, depth, width, dropout, rate, schedule, side)

    wanted = [
        make(0, 0, 0.2, 3e-3, "cosine", large),
        make(0, 0, 0.2, 3e-3, "cosine", small),
        make(1, 0, 0.2, 3e-4, "warmup_cosine", large),
        make(0, 256, 0.3, 1e-3, "cosine", middle),
        make(2, 0, 0.2, 3e-4, "warmup_cosine", middle),
    ]
    return list(dict.fromkeys(wanted))
