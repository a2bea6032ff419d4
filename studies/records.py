"""Trials as they stand in the database, as frozen dataclasses: what tables, figures and reports are made from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from models.candidate import AnyCandidate, candidate_of
from studies import strict
from studies.fingerprint import val_size_of
from studies.kept import Kept, kept
from studies.latencies import AS_TOLD, Latencies, latencies_of
from studies.outcomes import DIVERGED, INTERRUPTED, WITHDRAWN, WORKER_DIED, Latency, Measurement

LATENCY_BUDGET = "max_latency_ms"


class State(StrEnum):
    """What became of a trial."""

    COMPLETE = "complete"  # trained to the end
    STOPPED = "stopped"  # at a rung, or where it diverged
    INFEASIBLE = "infeasible"  # over a budget, never trained
    DUPLICATE = "duplicate"  # of a trial that has its numbers
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    UNREADABLE = "unreadable"  # not as this version of this program writes them
    RUNNING = "running"
    WAITING = "waiting"

    @property
    def counts(self) -> bool:
        """Whether such a trial is one of those that `--trials` asks for."""
        return self not in NOT_COUNTED

    @property
    def ended(self) -> bool:
        """Whether nothing more becomes of it."""
        return self not in (State.RUNNING, State.WAITING)

    @property
    def words(self) -> str:
        """Behind a number of trials."""
        words = {
            State.STOPPED: "stopped early",
            State.DUPLICATE: "the same as another",
            State.INFEASIBLE: "over budget",
        }
        return words.get(self, self.value)


NOT_COUNTED = frozenset((State.INTERRUPTED, State.RUNNING, State.WAITING))


@dataclass(frozen=True)
class TrialRecord:
    """A trial as it stands in the database; None for what it does not have.

    A stopped trial's `val_accuracy` is None: it is in its curve. `measured_again`: its latency was, when the study
    ended. `val_right`: which validation pictures are right, see `studies.answers`; `val_size`: how many there are.
    """

    number: int
    state: State
    candidate: AnyCandidate | None
    val_accuracy: float | None = None
    best_epoch: int | None = None
    epochs: int = 0
    seconds: float = 0.0
    trainable_parameters: int | None = None
    measurement: Measurement | None = None
    constraints: Mapping[str, float] = field(default_factory=dict)
    learning_curve: Sequence[Mapping[str, float]] = ()
    reason: str = ""
    measured_again: bool = False
    val_right: str = ""
    val_size: int | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Of its accuracy, 95 %, as if it were not the best of many; None without one, or if `val_size` is unknown."""
        from studies.scores import wilson_interval  # with scikit-learn, whose import takes a second

        if self.val_accuracy is None or self.val_size is None:
            return None
        return wilson_interval(self.val_accuracy, self.val_size)

    @property
    def diverged(self) -> bool:
        """Whether it was stopped since its loss rose and it learned nothing (`models.training.divergence`)."""
        return self.state == State.STOPPED and self.reason.startswith(DIVERGED)

    @property
    def latency_ms(self) -> float | None:
        """For one picture; None if it was not measured."""
        return self.measurement.latency_ms if self.measurement else None

    @property
    def flops(self) -> int | None:
        """For one picture, 2 per multiply-accumulate; None if they were not counted."""
        return self.measurement.flops if self.measurement else None

    @property
    def counts(self) -> bool:
        """Whether it is one of the study's wanted number of trials."""
        return self.state.counts

    @property
    def over_budget(self) -> dict[str, float]:
        """By how much it exceeds each budget."""
        return {key: value for key, value in self.constraints.items() if value > 0}


@dataclass(frozen=True, kw_only=True)
class CompleteTrial(TrialRecord):
    """A trial that was trained to the end: it has all of its numbers."""

    state: State = State.COMPLETE
    candidate: AnyCandidate
    val_accuracy: float
    best_epoch: int
    trainable_parameters: int
    measurement: Measurement

    @property
    def latency_ms(self) -> float:
        """For one picture."""
        return self.measurement.latency_ms

    @property
    def flops(self) -> int:
        """For one picture, 2 per multiply-accumulate."""
        return self.measurement.flops

    @property
    def over_budget(self) -> dict[str, float]:
        """As above; it was within them when it was told, so its latency counts only beyond its uncertainty."""
        unsure = {LATENCY_BUDGET: self.measurement.latency.uncertainty_ms}
        return {key: value for key, value in self.constraints.items() if value > unsure.get(key, 0.0)}


def complete(records: Iterable[TrialRecord]) -> list[CompleteTrial]:
    """Those that were trained to the end, in their order."""
    return [record for record in records if isinstance(record, CompleteTrial)]


def read_trial(trial: FrozenTrial, latencies: Latencies = AS_TOLD, val_size: int | None = None) -> TrialRecord:
    """The record of one trial, finished or not: a `CompleteTrial` if it is complete.

    One whose attributes this version of this program did not write, or someone has changed, is unreadable, and its
    reason says why: the others of its study are what they are.

    Args:
        trial: as Optuna has it.
        latencies: that stand for those that trials were told with.
        val_size: of the study, see `TrialRecord`.
    """
    try:
        return _read_trial(trial, kept(trial.user_attrs), latencies, val_size)
    except ValueError as error:
        reason = f"not written by this version of this program: {error}"
        return TrialRecord(trial.number, State.UNREADABLE, None, reason=reason)


def _read_trial(trial: FrozenTrial, attrs: Kept, latencies: Latencies, val_size: int | None) -> TrialRecord:
    told = _measurement(attrs.measurement)
    measurement = _with(told, latencies.by_architecture.get(attrs.architecture))
    known: dict[str, Any] = {
        "number": trial.number,
        "state": _state_of(trial.state, attrs),
        "candidate": None if attrs.candidate is None else candidate_of(attrs.candidate),
        "best_epoch": attrs.best_epoch,
        "epochs": len(attrs.learning_curve),
        "seconds": sum(attrs.seconds.values()),
        "trainable_parameters": attrs.trainable_parameters,
        "measurement": measurement,
        "constraints": _constraints(trial, told, measurement),
        "learning_curve": attrs.learning_curve,
        "reason": (attrs.failure and attrs.failure.reason) or attrs.stopped or _same_as(attrs),
        "measured_again": attrs.architecture in latencies.again,
        "val_right": attrs.val_right,
        "val_size": val_size,
    }
    if trial.state != TrialState.COMPLETE:
        return TrialRecord(**known)
    for name in ("candidate", "best_epoch", "trainable_parameters", "measurement"):
        if known[name] is None:
            raise ValueError(f"it is complete but has no {name}")
    if not trial.values or not 0 <= trial.values[0] <= 1:
        raise ValueError(f"val_accuracy must lie between 0 and 1. Received: {trial.values}")
    return CompleteTrial(**known, val_accuracy=trial.values[0])


def _measurement(told: Mapping[str, Any] | None) -> Measurement | None:
    return strict.from_values(Measurement, told) if told is not None else None


def _with(told: Measurement | None, again: Latency | None) -> Measurement | None:
    return told if told is None or again is None else replace(told, latency_ms=again.record_ms, latency=again)


def _constraints(trial: FrozenTrial, told: Measurement | None, now: Measurement | None) -> dict[str, float]:
    """Value minus limit, where the latency is that of now.

    Raises:
        ValueError: one of them is no number.
    """
    values = {key: value for key, value in trial.constraints.items() if not key.isdigit()}
    for key, value in values.items():
        if type(value) not in (int, float):
            raise ValueError(f"constraint {key} must be a number. Received: {value!r}")
    if LATENCY_BUDGET in values and told and now:
        values[LATENCY_BUDGET] += now.latency_ms - told.latency_ms
    return values


def _state_of(state: TrialState, attrs: Kept) -> State:
    match state:
        case TrialState.COMPLETE:
            return State.COMPLETE
        case TrialState.PRUNED if attrs.stopped is not None:
            return State.STOPPED
        case TrialState.PRUNED:
            return State.INFEASIBLE if attrs.duplicate_of is None else State.DUPLICATE
        case TrialState.RUNNING:
            return State.RUNNING
        case TrialState.WAITING:
            return State.WAITING
    kind = attrs.failure and attrs.failure.kind
    excused = kind in (INTERRUPTED, WORKER_DIED) and attrs.retry_of is None  # it was queued again, once
    return State.INTERRUPTED if excused or kind == WITHDRAWN else State.FAILED


def _same_as(attrs: Kept) -> str:
    return "" if attrs.duplicate_of is None else f"the same as trial {attrs.duplicate_of}"


def read_study(study: optuna.Study) -> list[TrialRecord]:
    """All trials of a study in the order of their numbers."""
    latencies, val_size = latencies_of(study), val_size_of(study)
    return [read_trial(trial, latencies, val_size) for trial in study.get_trials(deepcopy=False)]


def linear_probe(records: Iterable[TrialRecord]) -> CompleteTrial | None:
    """The most accurate completed linear head on frozen layers, of equals the first; None if there is none."""
    probes = [record for record in complete(records) if record.candidate.linear_probe]
    return max(probes, key=lambda record: (record.val_accuracy, -record.number)) if probes else None
