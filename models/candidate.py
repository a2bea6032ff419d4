"""The candidate: everything that one trial decides, and nothing else."""

import json
import math
from dataclasses import asdict, dataclass, fields

from models.schedules import LR_SCHEDULES

MAX_HEAD_WIDTH = 1024


@dataclass(frozen=True)
class Candidate:
    """One way to turn a backbone into a classifier. Same candidate and seed: same model.

    Attributes:
        backbone: name in `models.backbones.BACKBONES`.
        unfreeze_depth: blocks trained from the top, 0 (head only) to all.
        head_width: units of the hidden layer of the head, 0 for none.
        dropout: rate before the last layer, in [0, 1).
        learning_rate: peak rate of Adam.
        lr_schedule: one of `models.schedules.LR_SCHEDULES`.
        resolution: side of the square picture that the backbone sees, in pixels.
    """

    backbone: str
    unfreeze_depth: int
    head_width: int
    dropout: float
    learning_rate: float
    lr_schedule: str
    resolution: int

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
        check("lr_schedule", self.lr_schedule in LR_SCHEDULES, f"one of {', '.join(LR_SCHEDULES)}")
        check("resolution", _is_int(self.resolution) and self.resolution >= 1, "an integer of at least 1")

    def architecture_key(self) -> str:
        """The fields that change inference, as one string: latency and FLOPs are remembered under it."""
        return f"{self.backbone}/r{self.resolution}/h{self.head_width}"

    def to_dict(self) -> dict[str, str | int | float]:
        return asdict(self)

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_dict(cls, values: dict) -> "Candidate":
        """Errors: ValueError naming fields that are missing, unknown or out of range."""
        names = {field.name for field in fields(cls)}
        if set(values) != names:
            odd = ", ".join(sorted(set(values) ^ names))
            raise ValueError(f"a candidate has the fields {', '.join(sorted(names))}. Missing or unknown: {odd}")
        return cls(**values)

    @classmethod
    def from_json(cls, text: str) -> "Candidate":
        return cls.from_dict(json.loads(text))


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_real(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
