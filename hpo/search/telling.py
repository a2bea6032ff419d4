"""How a trial ends in its study: told from its outcome, failed and perhaps queued again, or settled after a kill."""

from collections.abc import Callable, Sequence
from pathlib import Path

import optuna
import pebble
from optuna.trial import TrialState

from hpo.worker import checkpoints
from studies.attributes import RETRY_OF, STUDY_ID
from studies.outcomes import INTERRUPTED, WORKER_DIED, Failure, Outcome
from studies.records import TrialRecord, read_trial

ALIKE_IN_A_ROW = 3  # failures of one kind that stop the study


class StudyStopped(RuntimeError):
    """The study cannot go on; the message is one line with the reason, `records` are its trials so far."""

    def __init__(self, reason: str, records: Sequence[TrialRecord]):
        super().__init__(reason)
        self.records = list(records)


class Streak:
    """Failures of one kind in a row, since the last trial that ended well."""

    def __init__(self) -> None:
        self._kind, self._length, self._said = "", 0, ""

    def add(self, result: Outcome | Failure, details: Path) -> None:
        if isinstance(result, Outcome):
            self._kind, self._length = "", 0
            return
        self._length = self._length + 1 if result.kind == self._kind else 1
        self._kind, self._said = result.kind, f"({result.reason}); details in {details}"

    def check(self, records: Sequence[TrialRecord]) -> None:
        """Errors: StudyStopped if there are too many."""
        if self._length >= ALIKE_IN_A_ROW:
            raise StudyStopped(f"{ALIKE_IN_A_ROW} trials in a row failed alike {self._said}", records)


def tell_outcome(trial: optuna.Trial, outcome: Outcome) -> None:
    """Write everything about a finished trial, and its state last. Can be repeated after a kill in the middle."""
    for key, value in outcome.user_attrs().items():
        trial.set_user_attr(key, value)
    known = trial.constraints
    for key, value in outcome.constraints.items():
        if key not in known:
            trial.set_constraint(key, value)
    if outcome.constraints:
        # optuna-dashboard 0.21 reads this older attribute, not what set_constraint writes
        trial.storage.set_trial_system_attr(trial._trial_id, "constraints", list(outcome.constraints.values()))
    if outcome.feasible and not outcome.stopped:
        trial.study.tell(trial, values=outcome.values())
    else:
        trial.study.tell(trial, state=TrialState.PRUNED)


def tell_failure(trial: optuna.Trial, failure: Failure) -> None:
    """FAIL with all that is known. What died with its process is queued again, once, before it is told."""
    trials = trial.study.get_trials(deepcopy=False)
    frozen = trials[trial.number]
    if failure.kind in (INTERRUPTED, WORKER_DIED) and RETRY_OF not in frozen.user_attrs:
        queued = {other.user_attrs.get(RETRY_OF) for other in trials}
        fixed = {**frozen.system_attrs.get("fixed_params", {}), **frozen.params}
        if fixed and frozen.number not in queued:
            trial.study.enqueue_trial(fixed, user_attrs={RETRY_OF: frozen.number})
    for key, value in failure.user_attrs().items():
        trial.set_user_attr(key, value)
    trial.study.tell(trial, state=TrialState.FAIL)


def recover(study: optuna.Study, folder: Path, note: Callable[[str], None]) -> None:
    """Settle trials that no one runs any more: told from their outcome file in `folder` if it is there, else failed.

    Only the holder of the lock calls this, and no worker runs: every RUNNING trial is a left-over. Of the checkpoints
    those stay whose candidates are tried again.
    """
    for frozen in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        trial = optuna.Trial(study, frozen._trial_id)
        outcome = left_outcome(study, frozen, folder, note)
        if outcome is not None:
            tell_outcome(trial, outcome)
            note(f"trial {frozen.number}: result found on disk")
        else:
            tell_failure(trial, Failure(INTERRUPTED, "the run ended before this trial did"))
            again = RETRY_OF not in frozen.user_attrs
            note(
                f"trial {frozen.number}: "
                + ("interrupted; queued again" if again else "interrupted a second time; not tried again")
            )
    trials = study.get_trials(deepcopy=False)
    waiting = [trial.user_attrs[RETRY_OF] for trial in trials if _tried_again(trial)]
    candidates = [read_trial(trials[number]).candidate for number in waiting]
    study_id = study.user_attrs[STUDY_ID]
    checkpoints.sweep(folder, {checkpoints.path_of(folder, study_id, one) for one in candidates if one is not None})


def _tried_again(trial: optuna.trial.FrozenTrial) -> bool:
    return trial.state == TrialState.WAITING and RETRY_OF in trial.user_attrs


def left_outcome(
    study: optuna.Study, frozen: optuna.trial.FrozenTrial, folder: Path, note: Callable[[str], None]
) -> Outcome | None:
    """What a trial left on disk that died before it could be told; None if nothing of this study's."""
    path = folder / f"{frozen.number:05d}.json"
    try:
        outcome = Outcome.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:  # of another version of this program, or not ours
        note(f"{path} is not a result of this program and is not used: {error}")
        return None
    mine = outcome.study_id == study.user_attrs[STUDY_ID] and read_trial(frozen).candidate == outcome.candidate
    return outcome if mine else None  # else it was left by an earlier study of the same name


def explain_death(error: BaseException) -> str:
    """Why there is no answer from a worker, in one line."""
    if isinstance(error, MemoryError):
        return "out of memory"
    how = ""
    if isinstance(error, pebble.ProcessExpired):
        how = f" (signal {-error.exitcode})" if error.exitcode < 0 else f" (exit code {error.exitcode})"
    return f"the worker process died{how}; out of memory is a common cause, see worker.log"
