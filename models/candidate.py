"""The candidate: everything that one trial decides, and nothing else."""

import json
import math
from dataclasses import MISSING, asdict, dataclass, fields

from models.training.schedules import LR_SCHEDULES

MAX_HEAD_WIDTH = 1024
OPTIMIZERS = ("adam", "sgd")
POOLINGS = ("average", "max")
AUGMENTATIONS = ("none", "light", "strong")  # what each does to pictures is in datasets.augmentation
STRATEGIES = ("plain", "progressive")
CHOICES = {
    "lr_schedule": LR_SCHEDULES,
    "optimizer": OPTIMIZERS,
    "pooling": POOLINGS,
    "augmentation": AUGMENTATIONS,
    "strategy": STRATEGIES,
}


@dataclass(frozen=True)
class Candidate:
    """One way to turn a backbone into a classifier. Same candidate and seed: same model.

    Attributes:
        backbone: name in `models.backbones.BACKBONES`.
        unfreeze_depth: blocks trained from the top, 0 (head only) to all.
        head_width: units of the hidden layer of the head, 0 for none.
        dropout: rate before the last layer, in [0, 1).
        learning_rate: peak rate of the optimizer.
        lr_schedule: one of `models.training.schedules.LR_SCHEDULES`.
        resolution: side of the square picture that the backbone sees, in pixels.
        optimizer: one of `OPTIMIZERS`; sgd has a momentum of 0.9.
        weight_decay: decoupled (Loshchilov and Hutter 2019): each step shrinks weights by this share of the rate.
        label_smoothing: share of each target that is spread over all classes, in [0, 1).
        pooling: of the feature map before the head, one of `POOLINGS`.
        batch_norm_head: BatchNormalization before the head's activation, or before its last layer without a hidden one.
        batch_size: pictures in a training step.
        augmentation: of training pictures, one of `AUGMENTATIONS`.
        strategy: "plain" trains everything from the first epoch; "progressive" the head first, then block after block
            from the top, each with its share of the epochs.
    """

    backbone: str
    unfreeze_depth: int
    head_width: int
    dropout: float
    learning_rate: float
    lr_schedule: str
    resolution: int
    optimizer: str = "adam"
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    pooling: str = "average"
    batch_norm_head: bool = False
    batch_size: int = 32
    augmentation: str = "none"
    strategy: str = "plain"

    def __post_init__(self) -> None:
        def check(field: str, good: bool, allowed: str) -> None:
            if not good:
                raise ValueError(f"{field} must be {allowed}. Received: {getattr(self, field)!r}")

        check("backbone", isinstance(self.backbone, str) and self.backbone != "", "a name")
        check("unfreeze_depth", _is_int(self.unfreeze_depth) and self.unfreeze_depth >= 0, "an integer of at least 0")
        check(
            "head_width",
            _is_int(self.head_width) and 0 <= self.head_width <= MAX_HEAD_WIDTH,
            f"an integer from 0 to {MAX_HEAD_WIDTH}",
        )
        check("dropout", _is_real(self.dropout) and 0 <= self.dropout < 1, "at least 0 and below 1")
        check("learning_rate", _is_real(self.learning_rate) and 0 < self.learning_rate <= 10, "above 0 and at most 10")
        for field in ("resolution", "batch_size"):
            value = getattr(self, field)
            check(field, _is_int(value) and value >= 1, "an integer of at least 1")
        for field in ("weight_decay", "label_smoothing"):
            value = getattr(self, field)
            check(field, _is_real(value) and 0 <= value < 1, "at least 0 and below 1")
        for field, choices in CHOICES.items():
            check(field, getattr(self, field) in choices, f"one of {', '.join(choices)}")
        check("batch_norm_head", isinstance(self.batch_norm_head, bool), "true or false")

    @property
    def joins_heads(self) -> bool:
        """Whether only a head is trained, and one that `models.training.heads` can train beside others."""
        return self.unfreeze_depth == 0 and self.optimizer == "adam" and not self.batch_norm_head

    @property
    def linear_probe(self) -> bool:
        """Whether it is a linear head on frozen layers: the baseline that a pretrained network is judged by."""
        return self.unfreeze_depth == 0 and self.head_width == 0

    def shared_by_heads(self) -> dict[str, str | int | bool]:
        """The fields in which heads that are trained together agree: what they see, in which steps, and how."""
        names = (
            "unfreeze_depth",
            "resolution",
            "optimizer",
            "pooling",
            "batch_norm_head",
            "batch_size",
            "augmentation",
        )
        return {name: getattr(self, name) for name in names}

    def architecture_key(self) -> str:
        """The fields that change inference, as one string: latency and FLOPs are remembered under it."""
        pooling = "" if self.pooling == "average" else f"/{self.pooling}"
        norm = "/bn" if self.batch_norm_head else ""
        return f"{self.backbone}/r{self.resolution}/h{self.head_width}{pooling}{norm}"

    def architecture(self) -> "Candidate":
        """The candidate without what only training depends on: the network that it trains, and how deep."""
        return Candidate(
            self.backbone,
            self.unfreeze_depth,
            self.head_width,
            0.0,
            1e-3,
            "constant",
            self.resolution,
            pooling=self.pooling,
            batch_norm_head=self.batch_norm_head,
        )

    def to_dict(self) -> dict[str, str | int | float]:
        return asdict(self)

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_dict(cls, values: dict) -> "Candidate":
        """Fields with a default may be missing. Errors: ValueError naming what is missing, unknown or out of range."""
        names = {field.name for field in fields(cls)}
        needed = {field.name for field in fields(cls) if field.default is MISSING}
        if odd := sorted(set(values) - names | needed - set(values)):
            raise ValueError(
                f"a candidate has the fields {', '.join(sorted(names))}. Missing or unknown: {', '.join(odd)}"
            )
        return cls(**values)

    @classmethod
    def from_json(cls, text: str) -> "Candidate":
        return cls.from_dict(json.loads(text))


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_real(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
