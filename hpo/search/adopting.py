"""A study whose database is gone, made anew from what its trials left in the folder of results.

Each trial leaves its numbers there before the study is told (`studies.paths.TrialFiles`), and beside them stands which
study they are of and what makes them comparable. What is lost: why trials failed, notes, and latencies that were
measured again.
"""

from collections.abc import Callable

import optuna
from optuna.trial import TrialState

from hpo.errors import BadField
from hpo.search.hyperspace import AnySpace
from hpo.search.telling import tell_failure, tell_outcome
from studies import attributes, strict
from studies.attributes import RETRY_OF
from studies.errors import StudyRefused
from studies.optuna_private import resumed
from studies.outcomes import INTERRUPTED, Failure, Outcome
from studies.paths import StudyFiles, write_text
from studies.remains import Remains
from studies.storage import differing


def remember(study: optuna.Study, files: StudyFiles, note: Callable[[str], None]) -> None:
    """Write down, beside the results of its trials, which study they are of; `note` is told of an earlier one's.

    Raises:
        StudyRefused: there are results of this very study which its database does not have.
    """
    remains = Remains(study.user_attrs[attributes.STUDY_ID], study.user_attrs[attributes.FINGERPRINT])
    before = files.remains.read_text(encoding="utf-8") if files.remains.is_file() else None
    text = strict.to_json(remains)
    if before == text:
        begun = [trial for trial in study.get_trials(deepcopy=False) if trial.state != TrialState.WAITING]
        if lost := [path for path in files.trials.glob("[0-9]*.json") if path.stem >= f"{len(begun):05d}"]:
            raise StudyRefused(
                f"{files.trials} has the results of {len(lost)} trials of this study that its database does not have; "
                "give the same command with --adopt, or they would be replaced"
            )
        return
    if before is not None and any(files.trials.glob("[0-9]*.json")):
        note(f"note: results of another study in {files.trials} are replaced; --adopt makes a study of such results")
    write_text(files.remains, text)


def adopt(study: optuna.Study, space: AnySpace, files: StudyFiles, note: Callable[[str], None]) -> None:
    """Tell a new study what the trials of an earlier one left in its folder; their numbers stay.

    Called again after it was interrupted, it goes on; where nothing is left to adopt it says so.

    Args:
        study: without trials, but for those that were adopted before.
        space: of the study.
        files: in which they were left.
        note: told what could not be used.

    Raises:
        BadInput: the study has trials of its own, or nothing was left.
        StudyRefused: what was left is of a study with other settings.
    """
    name, trials = study.study_name, study.get_trials(deepcopy=False)
    refusal = BadField("adopt", f"makes a new study. Received: {name}, which has {len(trials)} trials in its database")
    if trials and not files.remains.is_file():
        raise refusal
    remains = _remains(files)
    if trials and remains.study_id != study.user_attrs[attributes.STUDY_ID]:
        raise refusal
    mine = study.user_attrs[attributes.FINGERPRINT]
    if remains.fingerprint != mine:
        words = "; ".join(differing(remains.fingerprint, mine))
        raise StudyRefused(f"what is left of study {name} was made with other settings: {words}")
    outcomes = _outcomes(files, remains.study_id, note)
    asked = [trial.number for trial in trials if trial.state != TrialState.WAITING]
    left = range(len(asked), max(outcomes, default=-1) + 1)
    study.set_user_attr(attributes.STUDY_ID, remains.study_id)
    study.sampler = optuna.samplers.RandomSampler(seed=0)  # nothing is left for it to propose
    for frozen in trials:
        if frozen.state == TrialState.RUNNING and frozen.number in outcomes:  # it was being adopted
            trial = resumed(study, frozen)
            space.suggest(trial)
            tell_outcome(trial, outcomes[frozen.number])
    for number in left:
        outcome = outcomes.get(number)
        if outcome is not None and number >= len(trials):  # else it was queued already
            study.enqueue_trial(space.parameters(outcome.candidate))
        trial = study.ask()
        if outcome is None:
            trial.set_user_attr(RETRY_OF, number)  # it is not tried again: nobody knows what it was
            tell_failure(trial, Failure(INTERRUPTED, "lost with the database"))
        else:
            space.suggest(trial)
            tell_outcome(trial, outcome)
    note(f"adopted {sum(number in left for number in outcomes)} trials from {files.trials}")


def _remains(files: StudyFiles) -> Remains:
    try:
        return strict.from_json(Remains, files.remains.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadField("adopt", f"needs {files.remains}, which a study leaves there: {error}") from error


def _outcomes(files: StudyFiles, study_id: str, note: Callable[[str], None]) -> dict[int, Outcome]:
    """By the numbers of the trials."""
    found = {}
    for path in sorted(files.trials.glob("[0-9]*.json")):
        try:
            outcome = Outcome.from_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            note(f"{path} is not a result of this program and is not used: {error}")
            continue
        if outcome.study_id == study_id and files.trial(outcome.number).outcome == path:
            found[outcome.number] = outcome
        else:
            note(f"{path} is the result of another study and is not used")
    return found
