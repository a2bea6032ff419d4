"""Studies from one database to another, with everything that hangs on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from studies.attributes import FINGERPRINT
from studies.errors import StorageError, StudyRefused
from studies.optuna_private import number_in_database, of_trials_in

UNDER_WAY = "keras_hpo:being_copied"  # of a study in the database that it is copied to; false when all is there


@dataclass(frozen=True)
class Contents:
    """A study as it stands in a database.

    Attributes:
        name: of the study.
        directions: of its objectives.
        trials: by their numbers, which begin with 0.
        user_attrs, system_attrs: of the study; notes and artifacts are among the latter.
    """

    name: str
    directions: Sequence[StudyDirection]
    trials: Sequence[FrozenTrial]
    user_attrs: Mapping[str, Any]
    system_attrs: Mapping[str, Any]


def read_contents(source: RDBStorage, name: str) -> Contents:
    """All of a study.

    Raises:
        KeyError: there is no such study.
        StorageError: trials are missing between others.
    """
    study = source.get_study_id_from_name(name)
    trials = sorted(source.get_all_trials(study, deepcopy=False), key=lambda trial: trial.number)
    if [trial.number for trial in trials] != list(range(len(trials))):
        raise StorageError(f"study {name} cannot be copied: its trials are not numbered from 0 without a gap")
    system_attrs = source.get_study_system_attrs(study)
    system_attrs.pop(UNDER_WAY, None)
    return Contents(name, source.get_study_directions(study), trials, source.get_study_user_attrs(study), system_attrs)


def write_contents(contents: Contents, target: RDBStorage) -> None:
    """Make the study in another database: its trials with their numbers, attributes, notes, what is known of artifacts.

    As `optuna.copy_study`, which leaves notes and artifacts of trials behind: the dashboard keeps them under the
    numbers that trials have in a database. A copy that was interrupted is made anew.

    Raises:
        StudyRefused: there is a study of that name.
    """
    study = _made(contents, target)
    numbers = {
        number_in_database(trial): target.create_new_trial(study, template_trial=trial) for trial in contents.trials
    }
    for key, value in of_trials_in(contents.system_attrs, numbers).items():
        target.set_study_system_attr(study, key, value)
    for key in sorted(contents.user_attrs, key=lambda key: key == FINGERPRINT):  # last: from then on it is ours
        target.set_study_user_attr(study, key, contents.user_attrs[key])
    target.set_study_system_attr(study, UNDER_WAY, False)


def _made(contents: Contents, target: RDBStorage) -> int:
    """The number of the new study, empty."""
    if contents.name in optuna.get_all_study_names(target):
        there = target.get_study_id_from_name(contents.name)
        half = target.get_study_system_attrs(there).get(UNDER_WAY)
        if not half or FINGERPRINT in target.get_study_user_attrs(there):  # a run may have gone on with it
            raise StudyRefused(
                f"there is a study {contents.name} where it is to be copied to; nothing of it was changed"
            )
        target.delete_study(there)
    made = target.create_new_study(contents.directions, contents.name)
    target.set_study_system_attr(made, UNDER_WAY, True)
    return made
