"""What makes the numbers of two trials comparable; a study never mixes two of these."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from pydantic import with_config

from models.candidate import DIMENSIONS, Range
from studies import attributes, strict
from studies.errors import StudyRefused

Setting = bool | int | float | str | None
ADDED = ("head_start", "ends", "source", "decoded", "batch_size", "picture_side")  # left out where they are None
KERAS = "keras"  # as `models.latency.runtimes` has it
PRETRAINED, SCRATCH, HYPERMODEL = "pretrained", "from scratch", "HyperModel"


@with_config(strict.STRICT)
@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """As a study keeps it. What the first versions did not write down has a default.

    Attributes:
        weights: SHA-256 of the backbone's, or "none".
        dataset: its name; `dataset_digest` the SHA-256 of pictures and labels.
        split: SHA-256 of the numbers of training and validation pictures, `train_size` and `val_size` of them.
        space: by dimension what is searched of it, or its fixed value.
        max_latency_ms, max_gflops: budgets, None without.
        stopping: the rule; "none", then `reduction_factor` is None.
        views: of augmented pictures; None where nothing is augmented.
        ends: the rule of where networks end that differs from "behind a block", where that is searched, else None.
        source: which code of the user's builds the network, with its SHA-256; None for one of ours.
        decoded: "network" where a folder's pictures are decoded to the side that each network sees; None where to one
            side for all.
        batch_size: of what a HyperModel builds, unless its `fit` has its own; None of others, whose space has it.
        picture_side: of the pictures that a HyperModel gets, in pixels; None of others.
        head_start: "probe" where linear heads begin with one; None where they begin at random.
        latency_protocol: that of `models.latency.call` or of `models.latency.deployed`.
        latency_runtime: keras, or one that is deployed, then with its threads and the CPU that it runs on.
    """

    backbone: str
    weights: str
    dataset: str
    dataset_digest: str
    split: str
    train_size: int
    val_size: int
    space: Mapping[str, Setting | list[Setting]]
    epochs: int
    seed: int
    max_latency_ms: float | None = None
    max_gflops: float | None = None
    stopping: str = "none"
    reduction_factor: int | None = None
    views: int | None = None
    cache_dtype: str | None = None
    head_start: str | None = None
    ends: str | None = None
    source: str | None = None
    decoded: str | None = None
    batch_size: int | None = None
    picture_side: int | None = None
    backend: str
    device: str
    dtype: str
    versions: Mapping[str, str] | None = None
    latency_protocol: int | None = None
    latency_runtime: str = KERAS
    latency_threads: int | None = None
    latency_device: str | None = None

    @property
    def is_hypermodel(self) -> bool:
        """Whether it is of a HyperModel of KerasTuner."""
        return self.picture_side is not None

    @property
    def logarithmic(self) -> frozenset[str]:
        """The hyperparameters of a HyperModel that are searched on a logarithm; their conditions stand behind them."""
        if not self.is_hypermodel:
            return frozenset()
        found = {name for name, words in self.space.items() if str(words).endswith(", logarithmic")}
        return frozenset(re.split(r" \(|, mirrored", name)[0] for name in found)

    @property
    def from_scratch(self) -> bool:
        """Whether networks begin with random weights."""
        return self.weights == "none"

    @property
    def code(self) -> str:
        """The user's code that builds the network, as `--backbone` names it but for its folder; empty for ours.

        Empty too where a command cannot name it: with preprocessing that is called otherwise, or in another file.
        """
        code, *beside = re.findall(r"(?:^| and )(.*?) [0-9a-f]{64}", self.source or " " + "0" * 64)
        return code if beside in ([], [f"{code.rpartition(':')[0]}:preprocess"]) else ""

    @property
    def short_source(self) -> str:
        """The user's code with the first digits of each SHA-256; "ours" for one of ours."""
        return re.sub(r" ([0-9a-f]{16})[0-9a-f]{48}", r", SHA-256 \1…", self.source or "ours")

    @property
    def code_words(self) -> str:
        """What a command that builds the network is given beside the study's name; empty for one of ours."""
        return f" --{'hypermodel' if self.is_hypermodel else 'backbone'} {shlex.quote(self.code)}" if self.code else ""

    @property
    def side(self) -> int:
        """At which the digest of a folder's pictures was taken, in pixels: the largest that is searched.

        Raises:
            StudyRefused: it does not say.
        """
        if self.picture_side is not None:
            return self.picture_side
        sides = self.space.get("resolution")
        if not isinstance(sides, list) or not sides or not isinstance(sides[-1], int):
            raise StudyRefused(f"a study's space must have a list of resolutions. Received: {sides}")
        return sides[-1]

    def to_dict(self) -> dict[str, Any]:
        """What a study keeps; with Keras' latency what 0.1 kept, so that its studies go on."""
        values = strict.to_values(self)
        if self.latency_runtime == KERAS:
            del values["latency_runtime"], values["latency_threads"], values["latency_device"]
        for name in ADDED:  # studies that were made before them go on
            if values[name] is None:
                del values[name]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Fingerprint":
        """From what a study keeps.

        Raises:
            ValueError: a field is missing, unknown or of another type.
        """
        found = strict.from_values(cls, values)
        for name, described in found.space.items():
            of_range = name in DIMENSIONS and isinstance(DIMENSIONS[name].values, Range)
            if of_range and isinstance(described, list) and not _is_range(described):
                raise ValueError(f"Fingerprint.space.{name}: must be two numbers and perhaps a step")
        return found


def _is_range(described: Sequence[Setting]) -> bool:
    """Low, high, and perhaps a step."""
    return len(described) in (2, 3) and all(type(number) in (int, float) for number in described)


def origin(mark: Fingerprint, options: Mapping[str, Any]) -> str:
    """What the networks of a study begin with: `pretrained`, `from scratch`, the name of the user's file, `HyperModel`.

    Args:
        mark: of the study.
        options: that it was run with; studies of the first versions do not keep them.
    """
    if mark.is_hypermodel:
        return HYPERMODEL  # whose code decides
    if mark.from_scratch:
        return SCRATCH
    weights = str(options.get("weights", PRETRAINED))
    return weights if weights == PRETRAINED else Path(weights).name


def fingerprint_of(study: optuna.Study) -> Fingerprint:
    """The fingerprint that a study keeps.

    Raises:
        StudyRefused: it has none, or one that this version does not understand.
    """
    stored = study.user_attrs.get(attributes.FINGERPRINT)
    if stored is None:
        raise StudyRefused(f"study {study.study_name} was not made by this program")
    try:
        return Fingerprint.from_dict(stored)
    except (TypeError, ValueError) as error:
        raise StudyRefused(f"study {study.study_name} was made by another version of this program: {error}") from error


def val_size_of(study: optuna.Study) -> int | None:
    """How many validation pictures its accuracies are of; None where it does not say."""
    stored = study.user_attrs.get(attributes.FINGERPRINT)
    size = stored.get("val_size") if isinstance(stored, dict) else None
    return size if type(size) is int and size > 0 else None
