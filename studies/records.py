"""Trials as they stand in the database, as frozen dataclasses: what tables, figures and reports are made from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from models.candidate import Candidate
from studies import attributes, strict
from studies.attributes import DUPLICATE_OF, RETRY_OF
from studies.errors import StudyRefused
from studies.fingerprint import val_size_of
from studies.latencies import AS_TOLD, Latencies, latencies_of
from studies.outcomes import DIVERGED, INTERRUPTED, WORKER_DIED, Latency, Measurement

LATENCY_BUDGET = "max_latency_ms"


class State(StrEnum):
    """What became of a trial."""

    COMPLETE = "complete"  # trained to the end
    STOPPED = "stopped"  # at a rung, or where it diverged
    INFEASIBLE = "infeasible"  # over a budget, never trained
    DUPLICATE = "duplicate"  # of a trial that has its numbers
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    RUNNING = "running"
    WAITING = "waiting"

    @property
    def counts(self) -> bool:
        """Whether such a trial is one of those that `--trials` asks for."""
        return self not in (State.INTERRUPTED, State.RUNNING, State.WAITING)

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


@dataclass(frozen=True)
class TrialRecord:
    """A trial as it stands in the database; None for what it does not have.

    A stopped trial's `val_accuracy` is None: it is in its curve. `measured_again`: its latency was, when the study
    ended. `val_right`: which validation pictures are right, see `studies.answers`; `val_size`: how many there are.
    """

    number: int
    state: State
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
    candidate: Candidate
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

    Args:
        trial: as Optuna has it.
        latencies: that stand for those that trials were told with.
        val_size: of the study, see `TrialRecord`.

    Raises:
        StudyRefused: what the trial keeps is not as this version of this program writes it.
    """
    try:
        return _read_trial(trial, trial.user_attrs, latencies, val_size)
    except ValueError as error:
        raise StudyRefused(f"trial {trial.number} was not written by this version of this program: {error}") from error


def _read_trial(
    trial: FrozenTrial, attrs: Mapping[str, Any], latencies: Latencies, val_size: int | None
) -> TrialRecord:
    architecture = attrs.get(attributes.ARCHITECTURE, "")
    told = _measurement(attrs.get(attributes.MEASUREMENT))
    measurement = _with(told, latencies.by_architecture.get(architecture))
    known: dict[str, Any] = {
        "number": trial.number,
        "state": _state_of(trial),
        "candidate": Candidate.from_dict(attrs[attributes.CANDIDATE]) if attributes.CANDIDATE in attrs else None,
        "best_epoch": attrs.get(attributes.BEST_EPOCH),
        "epochs": len(attrs.get(attributes.LEARNING_CURVE, ())),
        "seconds": sum(attrs.get(attributes.SECONDS, {}).values()),
        "trainable_parameters": attrs.get(attributes.TRAINABLE_PARAMETERS),
        "measurement": measurement,
        "constraints": _constraints(trial, told, measurement),
        "learning_curve": attrs.get(attributes.LEARNING_CURVE, ()),
        "reason": attrs.get(attributes.FAILURE, {}).get("reason") or attrs.get(attributes.STOPPED) or _same_as(attrs),
        "measured_again": architecture in latencies.again,
        "val_right": attrs.get(attributes.VAL_RIGHT, ""),
        "val_size": val_size,
    }
    if trial.state != TrialState.COMPLETE:
        return TrialRecord(**known)
    for name in ("candidate", "best_epoch", "trainable_parameters", "measurement"):
        if known[name] is None:
            raise ValueError(f"it is complete but has no {name}")
    return CompleteTrial(**known, val_accuracy=trial.values[0])


def _measurement(told: Mapping[str, Any] | None) -> Measurement | None:
    return strict.from_values(Measurement, told) if told is not None else None


def _with(told: Measurement | None, again: Latency | None) -> Measurement | None:
    return told if told is None or again is None else replace(told, latency_ms=again.record_ms, latency=again)


def _constraints(trial: FrozenTrial, told: Measurement | None, now: Measurement | None) -> dict[str, float]:
    """Value minus limit, where the latency is that of now."""
    values = {key: value for key, value in trial.constraints.items() if not key.isdigit()}
    if LATENCY_BUDGET in values and told and now:
        values[LATENCY_BUDGET] += now.latency_ms - told.latency_ms
    return values


def _state_of(trial: FrozenTrial) -> State:
    attrs = trial.user_attrs
    match trial.state:
        case TrialState.COMPLETE:
            return State.COMPLETE
        case TrialState.PRUNED if attributes.STOPPED in attrs:
            return State.STOPPED
        case TrialState.PRUNED:
            return State.DUPLICATE if DUPLICATE_OF in attrs else State.INFEASIBLE
        case TrialState.RUNNING:
            return State.RUNNING
        case TrialState.WAITING:
            return State.WAITING
    kind = attrs.get(attributes.FAILURE, {}).get("kind")
    excused = kind == INTERRUPTED or (kind == WORKER_DIED and RETRY_OF not in attrs)
    return State.INTERRUPTED if excused else State.FAILED


def _same_as(attrs: Mapping[str, Any]) -> str:
    return f"the same as trial {attrs[DUPLICATE_OF]}" if DUPLICATE_OF in attrs else ""


def read_study(study: optuna.Study) -> list[TrialRecord]:
    """All trials of a study in the order of their numbers.

    Raises:
        StudyRefused: as `read_trial`.
    """
    latencies, val_size = latencies_of(study), val_size_of(study)
    return [read_trial(trial, latencies, val_size) for trial in study.get_trials(deepcopy=False)]


def linear_probe(records: Iterable[TrialRecord]) -> CompleteTrial | None:
    """The most accurate completed linear head on frozen layers, of equals the first; None if there is none."""
    probes = [record for record in complete(records) if record.candidate.linear_probe]
    return max(probes, key=lambda record: (record.val_accuracy, -record.number)) if probes else None
