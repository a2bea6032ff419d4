"""What a worker brings back of a trial, as frozen dataclasses: in a file, and from there into the database."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field, PlainSerializer, PlainValidator, with_config

from models.candidate import AnyCandidate, Candidate, HyperCandidate, candidate_of
from studies import attributes, strict

# Failures that may say nothing about the candidate: the trial does not count, its candidate is queued again once, with
# the attribute RETRY_OF. A worker that dies twice on the same candidate is the candidate's failure.
INTERRUPTED, WORKER_DIED = "interrupted", "worker died"
WITHDRAWN = "withdrawn"  # by the user's Ctrl-C, as often as he likes: that says nothing about the candidate at all


DIVERGED = "diverged"  # how the reason of a trial begins that was stopped since its loss rose and it learned nothing


def _to_candidate(value: Any) -> AnyCandidate:
    return value if isinstance(value, AnyCandidate) else candidate_of(value)


def _to_dict(candidate: AnyCandidate) -> dict[str, Any]:
    return candidate.to_dict()


# It checks itself.
CheckedCandidate = Annotated[
    Candidate | HyperCandidate, PlainValidator(_to_candidate), PlainSerializer(_to_dict, dict[str, Any])
]


@with_config(strict.STRICT)
@dataclass(frozen=True)
class Latency:
    """Milliseconds for one call of the training backend, over all runs, and where; as `models.latency.call` has it."""

    median_ms: float
    p10_ms: float
    p90_ms: float
    p99_ms: float
    runs: int
    batch_size: int
    device: str
    backend: str
    dtype: str

    @property
    def record_ms(self) -> float:
        """What counts."""
        return self.median_ms

    @property
    def uncertainty_ms(self) -> float:
        """Half of the way from p10 to p90."""
        return (self.p90_ms - self.p10_ms) / 2

    @property
    def low(self) -> float:
        """The latency less its uncertainty, ms; a few very slow runs do not make it negative."""
        return max(0.0, self.record_ms - self.uncertainty_ms)

    @property
    def high(self) -> float:
        """The latency plus its uncertainty, ms."""
        return self.record_ms + self.uncertainty_ms

    @property
    def measured_in(self) -> str:
        """The runtime, as people read it behind the number."""
        return f"Keras on {self.backend}"


@with_config(strict.STRICT)
@dataclass(frozen=True)
class DeployedLatency(Latency):
    """The same in a runtime that is deployed, `backend` with its version; as `models.latency.deployed` measures it."""

    ms: float
    high_ms: float
    threads: int

    @property
    def record_ms(self) -> float:
        """What counts."""
        return self.ms

    @property
    def uncertainty_ms(self) -> float:
        """As it was measured."""
        return self.high_ms - self.ms

    @property
    def measured_in(self) -> str:
        """The runtime, as people read it behind the number: `LiteRT, 1 thread`."""
        return f"{self.backend.rpartition(' ')[0]}, {self.threads} thread{'s' if self.threads > 1 else ''}"


@with_config(strict.STRICT)
@dataclass(frozen=True)
class Measurement:
    """What an architecture costs at inference, batch 1, on the study's device.

    Attributes:
        latency_ms: milliseconds for one picture, `latency.record_ms`.
        latency: the whole distribution, and what it was measured in.
        macs, flops: multiply-accumulates of convolutions and dense layers; 1 MAC = 2 FLOPs.
        other_flops: element-wise work, pooling, normalisation; not part of `flops`.
        parameters: all weights of the model, trained or not.
    """

    latency_ms: Annotated[float, Field(ge=0)]
    latency: DeployedLatency | Latency
    macs: int
    flops: Annotated[int, Field(ge=0)]
    other_flops: int
    parameters: int


@with_config(strict.STRICT)
@dataclass(frozen=True)
class Outcome:
    """All that a finished trial yields; written to a file before the study is told.

    Attributes:
        study_id: of the study that asked; a file left by another study is never taken for this one's.
        number: the trial's number.
        val_accuracy: share of validation pictures classified correctly after the best epoch; None if over budget.
        constraints: by name, above 0 means over budget (value minus limit, in the unit of the name).
        curve: one dict for each epoch (see `models.training.recipe.Epoch`).
        seconds: by phase: measure, prepare (build, extract, trace), train; what several trials do together is shared
            out evenly.
        peak_memory_mib: largest resident size of the worker during this trial.
        machine: that trained it: device, backend, dtype and versions.
        plan: where training started from (pictures, stored features, ...) and why.
        stopped: why it was stopped, at a rung or where it diverged; empty for a trial that was not.
        val_right: which validation pictures are right after the best epoch, see `studies.answers`; empty where an
            earlier version did not keep it.
        ended: trained to the end that a `fit` of the user's came to before the last epoch.
    """

    study_id: str
    number: int
    candidate: CheckedCandidate
    measurement: Measurement
    trainable_parameters: int | None
    val_accuracy: Annotated[float, Field(ge=0, le=1)] | None
    best_epoch: int | None
    constraints: Mapping[str, float]
    curve: Sequence[Mapping[str, int | float]]
    seconds: Mapping[str, float]
    peak_memory_mib: float
    seed: int
    machine: Mapping[str, Any]
    plan: str = ""
    stopped: str = ""
    val_right: str = ""
    ended: bool = False

    def to_json(self) -> str:
        """The text of a result file; that of an earlier version as it wrote it."""
        values = strict.to_values(self)
        for name in ("val_right", "ended"):
            if not values[name]:
                del values[name]
        return json.dumps(values, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Outcome":
        """From a result file.

        Raises:
            ValueError: it is none of this program's.
        """
        return strict.from_json(cls, text)

    @property
    def feasible(self) -> bool:
        """Whether every budget is kept."""
        return all(value <= 0 for value in self.constraints.values())

    def goes_on(self, epochs: int) -> bool:
        """Whether it is that of a trial at a rung, of so many epochs in the end."""
        return self.feasible and not self.stopped and not self.ended and len(self.curve) < epochs

    def values(self) -> tuple[float, float, float]:
        """In the order of `studies.objectives.OBJECTIVES`; only for a candidate that was trained."""
        assert self.val_accuracy is not None
        return self.val_accuracy, self.measurement.latency_ms, float(self.measurement.flops)

    def user_attrs(self) -> dict[str, Any]:
        """What the database keeps beside the objectives, readable in the dashboard."""
        values = {
            attributes.CANDIDATE: self.candidate.to_dict(),
            attributes.ARCHITECTURE: self.candidate.architecture_key(),
            attributes.MEASUREMENT: strict.to_values(self.measurement),
            attributes.TRAINABLE_PARAMETERS: self.trainable_parameters,
            attributes.BEST_EPOCH: self.best_epoch,
            attributes.LEARNING_CURVE: list(self.curve),
            attributes.SECONDS: dict(self.seconds),
            attributes.PEAK_MEMORY: self.peak_memory_mib,
            attributes.SEED: self.seed,
            attributes.MACHINE: dict(self.machine),
            attributes.PLAN: self.plan,
        }
        optional = {attributes.STOPPED: self.stopped, attributes.VAL_RIGHT: self.val_right}
        return values | {key: value for key, value in optional.items() if value}


@dataclass(frozen=True)
class Failure:
    """Why a trial has no outcome, and what it left all the same.

    `kind` groups failures that are alike; `reason` is one line; `seconds` and `curve` go as far as the trial did.
    """

    kind: str
    reason: str
    traceback: str = ""
    seed: int | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    peak_memory_mib: float | None = None
    curve: Sequence[Mapping[str, float]] = ()
    machine: Mapping[str, Any] = field(default_factory=dict)

    def user_attrs(self) -> dict[str, Any]:
        """What the database keeps; values that are not known are left out."""
        values = {
            attributes.FAILURE: {"kind": self.kind, "reason": self.reason},
            attributes.SEED: self.seed,
            attributes.SECONDS: dict(self.seconds),
            attributes.PEAK_MEMORY: self.peak_memory_mib,
            attributes.LEARNING_CURVE: list(self.curve),
            attributes.MACHINE: dict(self.machine),
        }
        return {key: value for key, value in values.items() if value not in (None, {}, [])}
