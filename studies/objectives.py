"""The objectives of a search, a row each: what is better, and how people read it."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Objective:
    """One number of a trial that the search makes better.

    Attributes:
        name: of the attribute of a record, and of the column in tables.
        metric_name: in the database, for the dashboard.
        direction: as Optuna has it.
        noun: in sentences.
        scale: values are shown divided by this, in `unit`.
        unit: with a space before it; "" for a share.
        log: whether factors matter, not differences.
        label: of an axis.
        brief: the same, so short that it fits a phone.
        title: shorter still, for the axes of a space.
        head: of values in full.
        form: of shown values, for `format`.
        known_before_training: whether an architecture has it whatever it is trained to.
    """

    name: str
    metric_name: str
    direction: Literal["maximize", "minimize"]
    noun: str
    scale: float = 1.0
    unit: str = ""
    log: bool = False
    label: str
    brief: str
    title: str
    head: str
    form: str
    known_before_training: bool

    @property
    def maximise(self) -> bool:
        """Whether more is better."""
        return self.direction == "maximize"

    @property
    def stem(self) -> str:
        """In the names of files."""
        return self.noun.lower()

    def shown(self, value: float) -> float:
        """In the unit in which people read it."""
        return value / self.scale

    def say(self, value: float) -> str:
        """A value in full, e.g. of FLOPs, with its unit: `20 MFLOPs`."""
        return f"{self.shown(value):{self.form}}{self.unit}"


VAL_ACCURACY = Objective(
    name="val_accuracy",
    metric_name="val_accuracy (share right)",
    direction="maximize",
    noun="accuracy",
    label="validation accuracy (share correct)",
    brief="validation accuracy",
    title="accuracy",
    head="val_accuracy",
    form=".4f",
    known_before_training=False,
)
LATENCY = Objective(
    name="latency_ms",
    metric_name="latency (ms)",
    direction="minimize",
    noun="latency",
    unit=" ms",
    log=True,
    label="latency (ms per picture, batch 1)",
    brief="latency (ms per picture)",
    title="latency (ms)",
    head="latency (ms)",
    form=".3g",
    known_before_training=True,
)
FLOPS = Objective(
    name="flops",
    metric_name="FLOPs",
    direction="minimize",
    noun="FLOPs",
    scale=1e6,
    unit=" MFLOPs",
    log=True,
    label="MFLOPs per picture",
    brief="MFLOPs per picture",
    title="MFLOPs",
    head="FLOPs",
    form=".4g",
    known_before_training=True,
)
# In the order in which a study keeps its values: a new one goes to the end.
OBJECTIVES = (VAL_ACCURACY, LATENCY, FLOPS)
COSTS = tuple(objective for objective in OBJECTIVES if not objective.maximise)
DIRECTIONS = tuple(objective.direction for objective in OBJECTIVES)
METRIC_NAMES = tuple(objective.metric_name for objective in OBJECTIVES)
MAXIMISE = tuple(objective.maximise for objective in OBJECTIVES)
