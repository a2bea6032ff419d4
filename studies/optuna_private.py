"""What Optuna and its dashboard keep private: touched here alone.

Optuna has no public way to the attributes that its dashboard reads, nor to a trial that another process left behind.
`tests/studies/test_optuna_private.py` fails first, and says so, when another version has it otherwise. The dashboard is
imported where it is used: with scikit-learn that takes seconds, which a search's first worker need not wait for.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna


def resumed(study: optuna.Study, frozen: optuna.trial.FrozenTrial) -> optuna.Trial:
    """A running trial that was asked for by a process that is no more, to be told in its place."""
    return optuna.Trial(study, frozen._trial_id)


def queued_parameters(frozen: optuna.trial.FrozenTrial) -> dict[str, Any]:
    """What `Study.enqueue_trial` fixed for a trial; empty if the sampler drew it."""
    return dict(frozen.system_attrs.get("fixed_params", {}))


def damaged_queue(study: optuna.Study) -> int | None:
    """The number of a trial whose queued parameters are none, on which Optuna would stumble; None if all are well."""
    trials = study.get_trials(deepcopy=False)
    return next((one.number for one in trials if not isinstance(one.system_attrs.get("fixed_params", {}), dict)), None)


def show_constraints(trial: optuna.Trial, values: Sequence[float]) -> None:
    """Let optuna-dashboard 0.21 see constraints: it reads this older attribute, not what `set_constraint` writes."""
    trial.storage.set_trial_system_attr(trial._trial_id, "constraints", list(values))


def trial_id(study: optuna.Study, number: int) -> int:
    """A trial's number in the database."""
    return study._storage.get_trial_id_from_study_id_trial_number(study._study_id, number)


def number_in_database(frozen: optuna.trial.FrozenTrial) -> int:
    """That of a trial among those of all studies."""
    return frozen._trial_id


def system_attrs(study: optuna.Study) -> dict[str, Any]:
    """The attributes of a study that are not the user's."""
    return study._storage.get_study_system_attrs(study._study_id)


def set_system_attr(study: optuna.Study, key: str, value: Any) -> None:
    """Set one of `system_attrs`."""
    study._storage.set_study_system_attr(study._study_id, key, value)


def save_trial_note(study: optuna.Study, number: int, text: str) -> None:
    """Give a trial, finished or not, a note in Markdown in place of the one it has."""
    from optuna_dashboard._note import note_ver_key, save_note_with_version

    of_trial = trial_id(study, number)
    version = system_attrs(study).get(note_ver_key(of_trial), 0) + 1
    save_note_with_version(study._storage, study._study_id, of_trial, version, text)


def save_notes(study: optuna.Study, texts: Mapping[int, str], is_ours: Callable[[int, str], bool]) -> None:
    """Give trials, by their numbers, a note in Markdown each.

    Args:
        study: whose trials they are.
        texts: by number of a trial.
        is_ours: whether the note that a trial has may be replaced; somebody else's stays.
    """
    from optuna_dashboard._note import get_note_from_system_attrs, note_ver_key, split_body

    known, ids = system_attrs(study), {trial.number: trial._trial_id for trial in study.get_trials(deepcopy=False)}
    for number, text in texts.items():
        before = get_note_from_system_attrs(known, ids[number])
        if not before["body"]:
            for key, part in split_body(text, ids[number]).items():
                set_system_attr(study, key, part)
            set_system_attr(study, note_ver_key(ids[number]), before["version"] + 1)
        elif before["body"] != text and is_ours(number, before["body"]):
            save_trial_note(study, number, text)


def close_connections(study: optuna.Study) -> None:
    """Let go of the database, so that its file may be copied or changed."""
    study._storage.remove_session()


def of_trials_in(attributes: Mapping[str, Any], numbers: Mapping[int, int]) -> dict[str, Any]:
    """System attributes of a study, as they are in another database.

    Args:
        attributes: by key; notes and artifacts of trials have a trial's number in the database in theirs, and what a
            genetic sampler keeps of a generation has those of its trials.
        numbers: those that trials have there, by those that they had.
    """
    found = {}
    for key, value in attributes.items():
        of_trial = re.fullmatch(r"(dashboard:(?:artifacts:)?)(\d+)(:.*)", key, re.DOTALL)
        if re.fullmatch(r"\w+:parent:\d+", key) and isinstance(value, list):  # of NSGA-II and NSGA-III
            found[key] = [numbers[each] for each in value if each in numbers]
        elif of_trial is None:
            found[key] = value
        elif int(of_trial[2]) in numbers:
            found[f"{of_trial[1]}{numbers[int(of_trial[2])]}{of_trial[3]}"] = value
    return found
