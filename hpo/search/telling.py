"""How a trial ends in its study: told from its outcome, failed and perhaps queued again, or settled after a kill."""

from collections.abc import Callable, Sequence
from pathlib import Path

import optuna
from optuna.trial import TrialState

from hpo.errors import StudyStopped
from hpo.worker import checkpoints
from studies.attributes import RETRY_OF, STUDY_ID
from studies.one_writer import set_user_attrs
from studies.optuna_private import queued_parameters, resumed, show_constraints
from studies.outcomes import INTERRUPTED, WITHDRAWN, WORKER_DIED, Failure, Outcome
from studies.paths import TrialFiles
from studies.records import TrialRecord, read_trial

ALIKE_IN_A_ROW = 3  # failures of one kind that stop the study


class Streak:
    """Failures of one kind in a row, since the last trial that ended well."""

    def __init__(self) -> None:
        self._kind, self._length, self._words = "", 0, ""

    def add(self, result: Outcome | Failure, details: Path) -> None:
        """Count a trial's end; `details` is the file that says more about a failure."""
        if isinstance(result, Outcome):
            self._kind, self._length = "", 0
            return
        self._length = self._length + 1 if result.kind == self._kind else 1
        self._kind, self._words = result.kind, f"({result.reason}); details in {details}"

    def check(self, records: Sequence[TrialRecord]) -> None:
        """Stop the study after too many failures.

        Raises:
            StudyStopped: three failures of one kind in a row; it carries `records`.
        """
        if self._length >= ALIKE_IN_A_ROW:
            raise StudyStopped(f"{ALIKE_IN_A_ROW} trials in a row failed in the same way {self._words}", records)


def tell_outcome(trial: optuna.Trial, outcome: Outcome) -> None:
    """Write everything about a finished trial, and its state last. Can be repeated after a kill in the middle."""
    set_user_attrs(trial, outcome.user_attrs())
    known = trial.constraints
    for key, value in outcome.constraints.items():
        if key not in known:
            trial.set_constraint(key, value)
    if outcome.constraints:
        show_constraints(trial, list(outcome.constraints.values()))
    if outcome.feasible and not outcome.stopped:
        trial.study.tell(trial, values=outcome.values())
    else:
        trial.study.tell(trial, state=TrialState.PRUNED)


def tell_failure(trial: optuna.Trial, failure: Failure) -> None:
    """FAIL with all that is known. What died with its process is queued again, once, before it is told.

    So is what the user interrupted, each time.
    """
    trials = trial.study.get_trials(deepcopy=False)
    frozen = trials[trial.number]
    again = failure.kind in (INTERRUPTED, WORKER_DIED) and RETRY_OF not in frozen.user_attrs
    if again or failure.kind == WITHDRAWN:
        queued = {other.user_attrs.get(RETRY_OF) for other in trials}
        fixed = {**queued_parameters(frozen), **frozen.params}
        if fixed and frozen.number not in queued:
            trial.study.enqueue_trial(fixed, user_attrs={RETRY_OF: frozen.number})
    set_user_attrs(trial, failure.user_attrs())
    trial.study.tell(trial, state=TrialState.FAIL)


def recover(study: optuna.Study, folder: Path, note: Callable[[str], None], withdrawn: bool = False) -> None:
    """Settle trials that no one runs any more: told from their outcome file in `folder` if it is there, else failed.

    `withdrawn`: it was the user who ended the run.

    Only the holder of the lock calls this, and no worker runs: every RUNNING trial is a left-over. Of the checkpoints
    those stay whose candidates are tried again.
    """
    for frozen in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        trial = resumed(study, frozen)
        outcome = left_outcome(study, frozen, folder, note)
        if outcome is not None:
            tell_outcome(trial, outcome)
            note(f"trial {frozen.number}: result found on disk")
        elif withdrawn:
            tell_failure(trial, Failure(WITHDRAWN, "the run was interrupted before this trial ended"))
            note(f"trial {frozen.number}: interrupted; queued again")
        else:
            first = frozen.user_attrs.get(RETRY_OF)
            before = "" if first is None else f", as it did with the same candidate in trial {first}"
            tell_failure(trial, Failure(INTERRUPTED, f"the run ended before this trial did{before}"))
            again = "interrupted; queued again" if first is None else "interrupted a second time; not tried again"
            note(f"trial {frozen.number}: {again}")
    trials = study.get_trials(deepcopy=False)
    waiting = [trial.user_attrs[RETRY_OF] for trial in trials if _tried_again(trial)]
    candidates = [read_trial(trials[number]).candidate for number in waiting]
    study_id = study.user_attrs[STUDY_ID]
    checkpoints.sweep(
        folder, {checkpoints.path_of(folder, study_id, candidate) for candidate in candidates if candidate is not None}
    )


def _tried_again(trial: optuna.trial.FrozenTrial) -> bool:
    return trial.state == TrialState.WAITING and RETRY_OF in trial.user_attrs


def left_outcome(
    study: optuna.Study, frozen: optuna.trial.FrozenTrial, folder: Path, note: Callable[[str], None]
) -> Outcome | None:
    """What a trial left on disk that died before it could be told; None if nothing of this study's."""
    path = TrialFiles(folder, frozen.number).outcome
    try:
        outcome = Outcome.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:  # of another version of this program, or not ours
        note(f"{path} is not a result of this program and is not used: {error}")
        return None
    mine = outcome.study_id == study.user_attrs[STUDY_ID] and read_trial(frozen).candidate == outcome.candidate
    return outcome if mine else None  # else it was left by an earlier study of the same name
