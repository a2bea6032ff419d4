"""The map of a network: how well a linear classifier does on each place where it may end, frozen, at each side.

A probe is no trial and no model to keep: it is fitted in closed form (`models.probe`), before the first trial, and says
how much of the network is needed, at which resolution.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from pydantic import with_config

from studies import attributes, dominance, strict
from studies.errors import StudyRefused
from studies.objectives import FLOPS, LATENCY, VAL_ACCURACY, Objective
from studies.outcomes import Measurement

PROBE = "probe"  # the state of a probe in tables, where a trial has its own


@with_config(strict.STRICT)
@dataclass(frozen=True)
class Probe:
    """A frozen network with a linear classifier.

    Attributes:
        backbone: its name.
        keep_blocks: of the backbone, 0 for all.
        blocks: that the backbone has.
        resolution: side of the picture that it sees, in pixels.
        channels: pooled features that the classifier sees.
        val_accuracy: share of the validation pictures that are right.
        strength: of the penalty, see `models.probe`.
        measurement: what it costs with a last layer only.
    """

    backbone: str
    keep_blocks: int
    blocks: int
    resolution: int
    channels: int
    val_accuracy: float
    strength: float
    measurement: Measurement

    @property
    def kept(self) -> int:
        """Blocks that are kept, all of them included."""
        return self.keep_blocks or self.blocks

    @property
    def flops(self) -> int:
        """Of one picture."""
        return self.measurement.flops

    @property
    def latency_ms(self) -> float:
        """Of one picture."""
        return self.measurement.latency_ms


@with_config(strict.STRICT)
@dataclass(frozen=True)
class Map:
    """The probes of one backbone on one data set.

    Attributes:
        backbone: its name.
        dataset: its name.
        weights: SHA-256 of the backbone's; of one of the user's own, of its code too.
        split: SHA-256 of the numbers of the study's training and validation pictures.
        machine: SHA-256 of what latencies depend on beside the network.
        n_train, n_val: how many pictures the probes were fitted and measured on.
        of_train, of_val: how many the study has.
        resolutions: sides in pixels, ascending.
        probes: by side, and by the blocks that are kept.
        seconds: that it took.
        ends: the rule of where networks end that differs from "behind a block", else None.
    """

    backbone: str
    dataset: str
    weights: str
    split: str
    machine: str
    n_train: int
    n_val: int
    of_train: int
    of_val: int
    resolutions: tuple[int, ...]
    probes: tuple[Probe, ...]
    seconds: float
    ends: str | None = None

    @property
    def complete(self) -> bool:
        """Whether all sides are in it."""
        return {probe.resolution for probe in self.probes} == set(self.resolutions)


def map_of(study: optuna.Study) -> Map | None:
    """The map that a study keeps; None if it has none.

    Raises:
        StudyRefused: it is one that this version does not understand.
    """
    values = study.user_attrs.get(attributes.MAP)
    if values is None:
        return None
    try:
        return strict.from_values(Map, values)
    except (TypeError, ValueError) as error:
        raise StudyRefused(f"study {study.study_name} has a map of another version of this program: {error}") from error


def front(probes: Sequence[Probe], among: Sequence[Objective] = (VAL_ACCURACY, LATENCY, FLOPS)) -> list[Probe]:
    """The probes that no other one dominates (see `studies.dominance`), from the fewest FLOPs on."""
    values = np.array([[getattr(probe, each.name) for each in among] for probe in probes], float)
    unsure = np.array([[_uncertainty(probe, each) for each in among] for probe in probes], float)
    maximise = np.array([each.maximise for each in among])
    keep = dominance.front(values.reshape(-1, len(among)), unsure.reshape(-1, len(among)), maximise)
    members = [probe for probe, kept in zip(probes, keep, strict=True) if kept]
    return sorted(members, key=lambda probe: (probe.flops, -probe.val_accuracy))


def enough(probes: Sequence[Probe], n_val: int) -> dict[int, Probe]:
    """For each side the cheapest probe that cannot be told from the best one there: where more blocks bring nothing.

    It lies within one standard error of the best accuracy (Breiman et al. 1984, the one-standard-error rule).
    """
    found = {}
    for side in sorted({probe.resolution for probe in probes}):
        here = [probe for probe in probes if probe.resolution == side]
        best = max(probe.val_accuracy for probe in here)
        error = (best * (1 - best) / n_val) ** 0.5
        found[side] = min((p for p in here if p.val_accuracy >= best - error), key=lambda p: (p.flops, p.kept))
    return found


def interval(probe: Probe, n_val: int) -> tuple[float, float]:
    """The 95 % interval of its accuracy."""
    from studies.scores import wilson_interval  # with scikit-learn, whose import takes a second

    return wilson_interval(probe.val_accuracy, n_val)


def _uncertainty(probe: Probe, objective: Objective) -> float:
    return probe.measurement.latency.uncertainty_ms if objective is LATENCY else 0.0
