"""What a trial leaves behind, as frozen dataclasses: from the worker to the database, and from there to tables."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from models.candidate import Candidate

# Failures that may say nothing about the candidate: the trial does not count, its candidate is queued again once, with
# the attribute RETRY_OF. A worker that dies twice on the same candidate is the candidate's failure.
INTERRUPTED, WORKER_DIED = "interrupted", "worker died"
RETRY_OF = "retry_of"
DUPLICATE_OF = "duplicate_of"  # attribute: the number of the trial with the same candidate


@dataclass(frozen=True)
class Measurement:
    """What an architecture costs at inference, batch 1, on the study's device.

    Attributes:
        latency_ms: median of one forward call, milliseconds.
        latency: the whole distribution and protocol (p10_ms, p90_ms, p99_ms, runs, device, backend, dtype, ...).
        macs, flops: multiply-accumulates of convolutions and dense layers; 1 MAC = 2 FLOPs.
        other_flops: element-wise work, pooling, normalisation; not part of `flops`.
        parameters: all weights of the model, trained or not.
    """

    latency_ms: float
    latency: Mapping[str, Any]
    macs: int
    flops: int
    other_flops: int
    parameters: int


@dataclass(frozen=True)
class Outcome:
    """All that a finished trial yields; written to a file before the study is told.

    Attributes:
        study_id: of the study that asked; a file left by another study is never taken for this one's.
        number: the trial's number.
        val_accuracy: share of validation pictures classified rightly after the best epoch; None if over budget.
        constraints: by name, above 0 means over budget (value minus limit, in the unit of the name).
        curve: one dict for each epoch (see `models.training.recipe.Epoch`).
        seconds: by phase: measure, prepare (build, extract, trace), train; what several trials do together is shared
            out evenly.
        peak_memory_mib: largest resident size of the worker during this trial.
        machine: device, backend, dtype and versions.
        plan: where training started from (pictures, stored features, ...) and why.
        stopped: why it was stopped at a rung; empty for a trial that was not.
    """

    study_id: str
    number: int
    candidate: Candidate
    measurement: Measurement
    trainable_parameters: int | None
    val_accuracy: float | None
    best_epoch: int | None
    constraints: Mapping[str, float]
    curve: Sequence[Mapping[str, float]]
    seconds: Mapping[str, float]
    peak_memory_mib: float
    seed: int
    machine: Mapping[str, Any]
    plan: str = ""
    stopped: str = ""

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Outcome":
        values = json.loads(text)
        values["candidate"] = Candidate.from_dict(values["candidate"])
        values["measurement"] = Measurement(**values["measurement"])
        return cls(**values)

    @property
    def feasible(self) -> bool:
        return all(value <= 0 for value in self.constraints.values())

    def values(self) -> tuple[float, float, float]:
        """In the order of `studies.objectives.OBJECTIVES`; only for a candidate that was trained."""
        assert self.val_accuracy is not None
        return self.val_accuracy, self.measurement.latency_ms, float(self.measurement.flops)

    def user_attrs(self) -> dict[str, Any]:
        """What the database keeps beside the objectives, readable in the dashboard."""
        return {
            "candidate": self.candidate.to_dict(),
            "architecture": self.candidate.architecture_key(),
            "measurement": asdict(self.measurement),
            "trainable_parameters": self.trainable_parameters,
            "best_epoch": self.best_epoch,
            "learning_curve": list(self.curve),
            "seconds": dict(self.seconds),
            "peak_memory_mib": self.peak_memory_mib,
            "seed": self.seed,
            "machine": dict(self.machine),
            "plan": self.plan,
        } | ({"stopped": self.stopped} if self.stopped else {})


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
            "failure": {"kind": self.kind, "reason": self.reason},
            "seed": self.seed,
            "seconds": dict(self.seconds),
            "peak_memory_mib": self.peak_memory_mib,
            "learning_curve": list(self.curve),
            "machine": dict(self.machine),
        }
        return {key: value for key, value in values.items() if value not in (None, {}, [])}


@dataclass(frozen=True)
class TrialRecord:
    """One row of the tables: a trial as it stands in the database.

    `state` is complete, stopped (at a rung), infeasible (over a budget, never trained), duplicate (of a trial that has
    its numbers), failed, interrupted, running or waiting. A stopped trial's `val_accuracy` is None: it is in its curve.
    """

    number: int
    state: str
    candidate: Candidate | None
    val_accuracy: float | None = None
    best_epoch: int | None = None
    epochs: int = 0
    seconds: float = 0.0
    trainable_parameters: int | None = None
    measurement: Measurement | None = None
    constraints: Mapping[str, float] = field(default_factory=dict)
    learning_curve: Sequence[Mapping[str, float]] = ()
    reason: str = ""

    @property
    def latency_ms(self) -> float | None:
        return self.measurement.latency_ms if self.measurement else None

    @property
    def flops(self) -> int | None:
        return self.measurement.flops if self.measurement else None

    @property
    def counts(self) -> bool:
        """Whether the trial is one of those that `--trials` asks for."""
        return self.state in ("complete", "stopped", "infeasible", "duplicate", "failed")


def read_trial(trial: FrozenTrial) -> TrialRecord:
    """The record of one trial, finished or not."""
    attrs = trial.user_attrs
    candidate = Candidate.from_dict(attrs["candidate"]) if "candidate" in attrs else None
    measurement = Measurement(**attrs["measurement"]) if "measurement" in attrs else None
    failure = attrs.get("failure", {})
    kind = failure.get("kind")
    excused = kind == INTERRUPTED or (kind == WORKER_DIED and RETRY_OF not in attrs)
    pruned = "stopped" if "stopped" in attrs else "duplicate" if DUPLICATE_OF in attrs else "infeasible"
    states = {
        TrialState.COMPLETE: "complete",
        TrialState.PRUNED: pruned,
        TrialState.RUNNING: "running",
        TrialState.WAITING: "waiting",
        TrialState.FAIL: "interrupted" if excused else "failed",
    }
    return TrialRecord(
        number=trial.number,
        state=states[trial.state],
        candidate=candidate,
        val_accuracy=trial.values[0] if trial.state == TrialState.COMPLETE else None,
        best_epoch=attrs.get("best_epoch"),
        epochs=len(attrs.get("learning_curve", ())),
        seconds=sum(attrs.get("seconds", {}).values()),
        trainable_parameters=attrs.get("trainable_parameters"),
        measurement=measurement,
        constraints={key: value for key, value in trial.constraints.items() if not key.isdigit()},
        learning_curve=attrs.get("learning_curve", ()),
        reason=failure.get("reason") or attrs.get("stopped") or _same_as(attrs),
    )


def _same_as(attrs: Mapping[str, Any]) -> str:
    return f"the same as trial {attrs[DUPLICATE_OF]}" if DUPLICATE_OF in attrs else ""


def read_study(study: optuna.Study) -> list[TrialRecord]:
    """All trials of a study in the order of their numbers."""
    return [read_trial(trial) for trial in study.get_trials(deepcopy=False)]


def linear_probe(records: Sequence[TrialRecord]) -> TrialRecord | None:
    """The most accurate completed linear head on frozen layers, of equals the first; None if there is none."""
    found = [
        record
        for record in records
        if record.state == "complete" and record.candidate is not None and record.candidate.linear_probe
    ]
    return max(found, key=lambda record: (record.val_accuracy or 0, -record.number)) if found else None
