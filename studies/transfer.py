"""Studies from one database to another, with everything that hangs on them."""

import optuna
from optuna.storages import RDBStorage

from studies.attributes import FINGERPRINT
from studies.errors import StorageError, StudyRefused
from studies.optuna_private import number_in_database, of_trials_in

UNDER_WAY = "keras_hpo:being_copied"  # of a study in the database that it is copied to; false when all is there


def copy_study(source: RDBStorage, target: RDBStorage, name: str) -> int:
    """Copy a study: its trials with their numbers, attributes, notes and what is known of artifacts.

    As `optuna.copy_study`, which leaves notes and artifacts of trials behind: the dashboard keeps them under the
    numbers that trials have in a database. A copy that was interrupted is made anew.

    Returns:
        How many trials it has.

    Raises:
        KeyError: there is no such study.
        StudyRefused: the target has a study of that name.
    """
    study = source.get_study_id_from_name(name)
    made = _made(source, target, study, name)
    trials = sorted(source.get_all_trials(study, deepcopy=False), key=lambda trial: trial.number)
    numbers = {number_in_database(trial): target.create_new_trial(made, template_trial=trial) for trial in trials}
    there = target.get_all_trials(made, deepcopy=False)
    if [trial.number for trial in there] != [trial.number for trial in trials]:
        raise StorageError(f"study {name} cannot be copied: its trials are not numbered from 0 without a gap")
    for key, value in of_trials_in(source.get_study_system_attrs(study), numbers).items():
        target.set_study_system_attr(made, key, value)
    attributes = source.get_study_user_attrs(study)
    for key in sorted(attributes, key=lambda key: key == FINGERPRINT):  # last: what says that the study is ours
        target.set_study_user_attr(made, key, attributes[key])
    target.set_study_system_attr(made, UNDER_WAY, False)
    return len(trials)


def _made(source: RDBStorage, target: RDBStorage, study: int, name: str) -> int:
    """The number of the new study, empty."""
    if name in optuna.get_all_study_names(target):
        there = target.get_study_id_from_name(name)
        if not target.get_study_system_attrs(there).get(UNDER_WAY):
            raise StudyRefused(f"there is a study {name} where it is to be copied to; nothing of it was changed")
        target.delete_study(there)
    made = target.create_new_study(source.get_study_directions(study), name)
    target.set_study_system_attr(made, UNDER_WAY, True)
    return made
