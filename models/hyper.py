"""What a trial of a KerasTuner HyperModel decides: the values of its hyperparameters, and nothing else."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

Value = bool | int | float | str


@dataclass(frozen=True, kw_only=True, eq=False)
class HyperCandidate:
    """One way to build and train a HyperModel. Same candidate and seed: same model, if its code has it so.

    Two are equal that have the same values, in whatever order.

    Attributes:
        backbone: the HyperModel's name, by which the study knows it.
        values: by hyperparameter, of those that are active, in the order in which they were found.

    Raises:
        ValueError: a value is of another kind; the message names it.
    """

    backbone: str
    values: tuple[tuple[str, Value], ...]
    joins_heads: ClassVar[bool] = False  # whether it is trained together with others
    linear_probe: ClassVar[bool] = False  # whether it is what a pretrained network is judged by

    def __post_init__(self) -> None:
        if not isinstance(self.backbone, str) or not self.backbone:
            raise ValueError(f"backbone must be a name. Received: {self.backbone!r}")
        for name, value in self.values:
            if not isinstance(name, str) or not isinstance(value, Value):
                raise ValueError(f"{name} must be true or false, a number or a text. Received: {value!r}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HyperCandidate) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.to_json())

    @property
    def architecture(self) -> "HyperCandidate":
        """What of it changes inference: nobody knows, so all."""
        return self

    def architecture_key(self) -> str:
        """As one string: latency and FLOPs are remembered under it."""
        return f"{self.backbone}/{json.dumps(dict(self.values), sort_keys=True)}"

    def settings(self) -> dict[str, Value]:
        """By hyperparameter: for tables and figures."""
        return dict(self.values)

    def describe(self) -> str:
        """In one short line: `layers 2, units 64, rate 0.001`."""
        return ", ".join(f"{name} {_say(value)}" for name, value in self.values) or "no hyperparameters"

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {"backbone": self.backbone, "values": dict(self.values)}

    def to_json(self) -> str:
        """The same as text: equal candidates have equal texts."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "HyperCandidate":
        """From `to_dict`.

        Raises:
            ValueError: naming what is missing, unknown or of another kind.
        """
        if set(values) != {"backbone", "values"} or not isinstance(values["values"], dict):
            raise ValueError("a candidate of a HyperModel has a backbone and values")
        return cls(backbone=values["backbone"], values=tuple(values["values"].items()))


def _say(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
