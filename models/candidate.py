"""The candidate: everything that one trial decides, and nothing else; and, in one table, what of it is searched.

A new dimension is a row of `DIMENSIONS` and a field of `Architecture` or `Training`. Space, command line, fingerprint,
tables and figures read the table; what is left to write is what the dimension does to a network or to its training.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import Any

from models.backbones import blocks_of
from models.dimension import PARTS, Check, Dimension, Range, Searched
from models.hyper import HyperCandidate
from models.training.schedules import LR_SCHEDULES

__all__ = [
    "DIMENSIONS",
    "FIELDS",
    "HEAD_WIDTHS",
    "READING",
    "AnyArchitecture",
    "AnyCandidate",
    "Architecture",
    "Candidate",
    "Dimension",
    "HyperCandidate",
    "Range",
    "Searched",
    "Training",
    "candidate_of",
]


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_real(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


HEAD_WIDTHS = Range(0, 1024, step=128)
NAME = Check(lambda value: isinstance(value, str) and value != "", "a name")
DEPTH = Check(lambda value: _is_int(value) and value >= 0, "an integer of at least 0")
WIDTH = Check(
    lambda value: _is_int(value) and HEAD_WIDTHS.low <= value <= HEAD_WIDTHS.high,
    f"an integer from {HEAD_WIDTHS.low} to {HEAD_WIDTHS.high}",
)
COUNT = Check(lambda value: _is_int(value) and value >= 1, "an integer of at least 1")
SHARE = Check(lambda value: _is_real(value) and 0 <= value < 1, "at least 0 and below 1")
RATE = Check(lambda value: _is_real(value) and 0 < value <= 10, "above 0 and at most 10")
SWITCH = Check(lambda value: isinstance(value, bool), "true or false")


def _say_kept(candidate: "Candidate") -> str:
    kept, blocks = candidate.keep_blocks, blocks_of(candidate.backbone)
    if kept == 1 and not blocks:
        return "first block"
    return f"first {kept}{f' of {blocks}' if blocks else ''} blocks" if kept else ""


def _say_depth(candidate: "Candidate") -> str:
    depth = candidate.unfreeze_depth
    return "frozen" if depth == 0 else f"top {depth} stage{'s' * (depth > 1)} free"


def _say_head(candidate: "Candidate") -> str:
    return f"head {candidate.head_width}" if candidate.head_width else "no hidden layer"


ALWAYS, ON_REQUEST, LISTED = Searched
ADAM, SGD = {"optimizer": ("adam",)}, {"optimizer": ("sgd",)}
# In the order of the columns of tables.
ROWS = (
    Dimension(name="keep_blocks", values=Range(1, math.inf, step=1), of_study=True, check=DEPTH, default=0,
              part="backbone", key="/b{}", words=_say_kept, unit=" blocks", zero="the whole network"),
    Dimension(name="unfreeze_depth", values=Range(0, math.inf, step=1), of_study=True, check=DEPTH, part="backbone",
              words=_say_depth, unit=" stages from the top", zero="head only"),
    Dimension(name="head_width", values=HEAD_WIDTHS, check=WIDTH, part="head", key="/h{}", each_head=True,
              title="head (units)", words=_say_head, unit=" units", zero="no hidden layer"),
    Dimension(name="dropout", values=Range(0.0, 0.6), check=SHARE, part="training", each_head=True,
              words="dropout {0.dropout:.2f}"),
    Dimension(name="learning_rate", values=Range(1e-5, 1e-2, log=True), check=RATE, under=ADAM, only="with adam",
              part="training", each_head=True, words="{0.learning_rate:.1e} {0.lr_schedule}"),
    # parameters of their own, since what suits one would be far too small or too large for the other
    Dimension(name="head_learning_rate", values=Range(1e-4, 3e-2, log=True), check=RATE, sets="learning_rate",
              under={**ADAM, "unfreeze_depth": (0,)}, only="with adam, where only the head is trained",
              part="training", each_head=True),
    Dimension(name="fine_tuning_learning_rate", values=Range(1e-5, 2e-3, log=True), check=RATE, sets="learning_rate",
              under={**ADAM, "unfreeze_depth": Range(1, math.inf)}, only="with adam, where stages are fine-tuned",
              part="training", each_head=True),
    Dimension(name="sgd_learning_rate", values=Range(1e-3, 0.3, log=True), check=RATE, sets="learning_rate",
              under=SGD, only="with sgd", part="training", each_head=True),
    Dimension(name="lr_schedule", values=LR_SCHEDULES, part="training", each_head=True),
    Dimension(name="resolution", values=(), of_study=True, check=COUNT, part="input", key="/r{}",
              title="resolution (px)", words="{0.resolution} px", unit=" px"),
    Dimension(name="optimizer", values=("adam", "sgd"), searched=ON_REQUEST, default="adam", part="training",
              words="{0.optimizer}"),
    Dimension(name="weight_decay", values=Range(1e-5, 1e-1, log=True), check=SHARE, searched=ON_REQUEST, default=0.0,
              first=1e-4, part="training", each_head=True, words="decay {0.weight_decay:.1e}"),
    Dimension(name="label_smoothing", values=Range(0.0, 0.2), check=SHARE, searched=ON_REQUEST, default=0.0,
              part="training", each_head=True, words="smoothing {0.label_smoothing:.2f}"),
    Dimension(name="pooling", values=("average", "max", "token"), searched=ON_REQUEST, default="average", part="head",
              key="/{}", words="{0.pooling} pooling"),
    Dimension(name="batch_norm_head", values=(False, True), check=SWITCH, searched=ON_REQUEST, default=False,
              part="head", key="/bn", words="batch norm"),
    Dimension(name="batch_size", values=(16, 32, 64, 128), check=COUNT, searched=ON_REQUEST, option="batch_size",
              default=32, part="training", words="batch {0.batch_size}"),
    # what each does to pictures is in datasets.augmentation
    Dimension(name="augmentation", values=("none", "light", "strong"), searched=LISTED, option="augment",
              default="none", part="training", words="{0.augmentation} augmentation",
              meanings={"light": "small shifts, mirrored where that makes sense",
                        "strong": "also rotated, zoomed, sheared, recoloured"}),
    Dimension(name="strategy", values=("plain", "progressive"), searched=LISTED, option="strategy", default="plain",
              part="training", each_head=True, words="{0.strategy}",
              meanings={"plain": "all free stages from the first epoch",
                        "progressive": "the head first, then stage by stage from the top, each with its share of "
                                       "the epochs"}),
)  # fmt: skip
DIMENSIONS: Mapping[str, Dimension] = {row.name: row for row in ROWS}
FIELDS = tuple(row.name for row in ROWS if not row.sets)
# Two in the place of one: learning rates of heads and of fine-tuned stages, each with a range of its own.
ONE_RATE, RATES_BY_PART = ("learning_rate",), ("head_learning_rate", "fine_tuning_learning_rate")
# The same as people read them: what is always searched first, each from the picture on.
READING = tuple(
    sorted(
        (DIMENSIONS[name] for name in FIELDS),
        key=lambda dimension: (dimension.searched != ALWAYS, PARTS.index(dimension.part)),
    )
)


class _Checked:
    def __post_init__(self) -> None:
        for name, check in _checks(tuple(entry.name for entry in fields(self))):  # type: ignore[arg-type]
            value = getattr(self, name)
            if not check.passes(value):
                raise ValueError(f"{name} must be {check.allowed}. Received: {value!r}")


@cache
def _checks(names: tuple[str, ...]) -> tuple[tuple[str, Check], ...]:
    """Of each field: once for all candidates, of which a sampler makes a thousand for each trial."""
    checks = {"backbone": NAME} | {name: DIMENSIONS[name].valid for name in FIELDS}
    return tuple((name, checks[name]) for name in names)


@dataclass(frozen=True, kw_only=True)
class Architecture(_Checked):
    """What changes inference: latency and FLOPs depend on nothing else.

    Attributes:
        backbone: name in `models.catalogue.BACKBONES`, or of a network of the user's own.
        resolution: side of the square picture that the backbone sees, in pixels.
        head_width: units of the hidden layer of the head, 0 for none.
        keep_blocks: blocks of the backbone that are kept, the last one up to its end (`models.blocks`), 0 for all.
        pooling: before the head: average or max of the feature map, or token, the class token of a transformer.
        batch_norm_head: BatchNormalization before the head's activation, or before its last layer without a hidden one.
    """

    backbone: str
    resolution: int
    head_width: int
    keep_blocks: int = DIMENSIONS["keep_blocks"].default
    pooling: str = DIMENSIONS["pooling"].default
    batch_norm_head: bool = DIMENSIONS["batch_norm_head"].default

    def architecture_key(self) -> str:
        """The fields that change inference, as one string: latency and FLOPs are remembered under it."""
        pieces = [
            dimension
            for dimension in READING
            if dimension.changes_inference and getattr(self, dimension.field) != dimension.default
        ]
        return self.backbone + "".join(dimension.key.format(getattr(self, dimension.field)) for dimension in pieces)


@dataclass(frozen=True, kw_only=True)
class Training:
    """How the network is trained; nothing of it is left in the trained one.

    Attributes:
        unfreeze_depth: stages trained from the top of what is kept, 0 (head only) to all.
        dropout: rate before the last layer, in [0, 1).
        learning_rate: peak rate of the optimizer.
        lr_schedule: one of `models.training.schedules.LR_SCHEDULES`.
        optimizer: adam, or sgd with a momentum of 0.9.
        weight_decay: decoupled (Loshchilov and Hutter 2019): each step shrinks weights by this share of the rate.
        label_smoothing: share of each target that is spread over all classes, in [0, 1).
        batch_size: pictures in a training step.
        augmentation: of training pictures: none, light or strong.
        strategy: "plain" trains everything from the first epoch; "progressive" the head first, then stage after stage
            from the top, each with its share of the epochs.
    """

    unfreeze_depth: int
    dropout: float
    learning_rate: float
    lr_schedule: str
    optimizer: str = DIMENSIONS["optimizer"].default
    weight_decay: float = DIMENSIONS["weight_decay"].default
    label_smoothing: float = DIMENSIONS["label_smoothing"].default
    batch_size: int = DIMENSIONS["batch_size"].default
    augmentation: str = DIMENSIONS["augmentation"].default
    strategy: str = DIMENSIONS["strategy"].default


@dataclass(frozen=True, kw_only=True)
class Candidate(Training, Architecture):
    """One way to turn a backbone into a classifier. Same candidate and seed: same model.

    Raises:
        ValueError: a field is out of range; the message names it, what is allowed and what was received.
    """

    @property
    def architecture(self) -> Architecture:
        """What of it changes inference."""
        return Architecture(**{entry.name: getattr(self, entry.name) for entry in fields(Architecture)})

    @property
    def blocks_kept(self) -> int:
        """Blocks of the backbone, where all are kept their number."""
        return self.keep_blocks or blocks_of(self.backbone)

    @property
    def joins_heads(self) -> bool:
        """Whether only a head is trained, and one that `models.training.heads` can train beside others."""
        return self.unfreeze_depth == 0 and self.optimizer == "adam" and not self.batch_norm_head

    @property
    def linear_probe(self) -> bool:
        """Whether it is a linear head on all of the frozen backbone: what a pretrained network is judged by."""
        return self.unfreeze_depth == 0 and self.head_width == 0 and self.keep_blocks == 0

    def shared_by_heads(self) -> dict[str, str | int | bool]:
        """The fields in which heads that are trained together agree: what they see, in which steps, and how."""
        return {name: getattr(self, name) for name in FIELDS if not DIMENSIONS[name].each_head}

    def settings(self) -> dict[str, Any]:
        """By dimension, with the number of blocks where all are kept: for tables and figures."""
        return {name: getattr(self, name) for name in FIELDS} | {"keep_blocks": self.blocks_kept}

    def describe(self) -> str:
        """In one short line: `96 px, top 2 stages free, head 256, dropout 0.21, 3.0e-04 cosine`.

        What is searched only on request is named where it is not the default.
        """
        shown = [
            dimension
            for dimension in READING
            if dimension.searched == ALWAYS or getattr(self, dimension.field) != dimension.default
        ]
        return ", ".join(text for dimension in shown if (text := dimension.say(self)))

    def to_dict(self) -> dict[str, Any]:
        """Fields by name, as plain values; what is kept of the backbone only where that is not all of it.

        So a candidate reads as it did before networks could end elsewhere.
        """
        values = {name: getattr(self, name) for name in ("backbone", *FIELDS)}
        if not self.keep_blocks:
            del values["keep_blocks"]
        return values

    def to_json(self) -> str:
        """The same as text, with its keys in order: equal candidates have equal texts."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Candidate":
        """Fields with a default may be missing.

        Raises:
            ValueError: naming what is missing, unknown or out of range.
        """
        if not isinstance(values, dict):
            raise ValueError(f"a candidate must be an object. Received: {type(values).__name__}")
        names = {entry.name for entry in fields(cls)}
        needed = {entry.name for entry in fields(cls) if entry.default is MISSING}
        if odd := sorted(set(values) - names | needed - set(values)):
            raise ValueError(
                f"a candidate has the fields {', '.join(sorted(names))}. Missing or unknown: {', '.join(odd)}"
            )
        return cls(**values)

    @classmethod
    def from_json(cls, text: str) -> "Candidate":
        """From the text of `to_json`.

        Raises:
            ValueError: as `from_dict`.
        """
        try:
            return cls.from_dict(json.loads(text))
        except RecursionError as error:
            raise ValueError("a candidate is not nested so deeply") from error


# What a trial decides: of a backbone, or of a HyperModel.
AnyCandidate = Candidate | HyperCandidate
AnyArchitecture = Architecture | HyperCandidate


def candidate_of(values: Any) -> AnyCandidate:
    """From `to_dict` of either kind.

    Raises:
        ValueError: naming what is missing, unknown or out of range.
    """
    return (HyperCandidate if isinstance(values, dict) and "values" in values else Candidate).from_dict(values)
