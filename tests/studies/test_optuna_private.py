"""studies/optuna_private.py: what it takes from Optuna and its dashboard is there in these versions.

If not, that module is the one to adapt.
"""

from importlib.metadata import version

import pytest
from optuna.trial import TrialState

from studies.storage import open_storage, open_study

ADAPT = (
    f"Optuna {version('optuna')} or optuna-dashboard {version('optuna-dashboard')} is otherwise than 5.0 and 0.21: "
    "adapt studies/optuna_private.py. Missing: "
)
try:
    from studies.optuna_private import (
        queued_parameters,
        resumed,
        save_notes,
        save_trial_note,
        set_system_attr,
        show_constraints,
        system_attrs,
        trial_id,
    )
    from tests.studies import dashboard
except ImportError as error:
    pytest.fail(ADAPT + str(error), pytrace=False)


@pytest.fixture
def study(tmp_path):
    return open_study(open_storage(f"sqlite:///{tmp_path}/s.db", write=True), "s", {"a": 1})


def test_optuna_still_has_what_is_private(study):
    trial = study.ask()
    for owner, name in (
        (study, "_storage"),
        (study, "_study_id"),
        (trial, "_trial_id"),
        (study.get_trials()[0], "_trial_id"),
        (study._storage, "get_trial_id_from_study_id_trial_number"),
        (study._storage, "get_study_system_attrs"),
        (study._storage, "set_study_system_attr"),
        (study._storage, "set_trial_system_attr"),
        (study._storage, "remove_session"),
    ):
        assert hasattr(owner, name), ADAPT + f"{type(owner).__name__}.{name}"
    study.enqueue_trial({"x": 1})
    assert "fixed_params" in study.get_trials()[1].system_attrs, ADAPT + 'the system attribute "fixed_params"'


def test_the_dashboard_still_reads_the_older_attribute(study):
    from optuna_dashboard._serializer import serialize_frozen_trial

    trial = study.ask()
    show_constraints(trial, [0.5, -1.0])
    study.tell(trial, (0.1, 1.0, 2.0))
    frozen = study.get_trials()[0]
    shown = serialize_frozen_trial(0, frozen, system_attrs(study))
    assert shown.get("constraints") == [0.5, -1.0], ADAPT + 'the system attribute "constraints"'


def test_a_trial_of_a_dead_process_is_told(study):
    study.ask()
    (left,) = study.get_trials(states=(TrialState.RUNNING,))
    study.tell(resumed(study, left), (0.1, 1.0, 2.0))
    assert study.get_trials()[0].state is TrialState.COMPLETE


def test_what_was_queued(study):
    study.enqueue_trial({"x": 1})
    study.ask()
    study.ask()
    assert [queued_parameters(frozen) for frozen in study.get_trials()] == [{"x": 1}, {}]


def test_a_finished_trial_gets_a_note_in_place_of_the_one_it_has(study):
    study.tell(study.ask(), (0.1, 1.0, 2.0))
    for text in ("long " * 1000, "short"):
        save_trial_note(study, 0, text)
        assert dashboard.note(study, 0) == text
    assert dashboard.note(study) == ""


def test_notes_of_others_are_left_alone(study):
    for _ in range(2):
        study.tell(study.ask(), (0.1, 1.0, 2.0))
    save_trial_note(study, 0, "my own")
    save_notes(study, {0: "a", 1: "long " * 1000}, lambda number, text: text.startswith("long"))
    assert (dashboard.note(study, 0), dashboard.note(study, 1)) == ("my own", "long " * 1000)
    save_notes(study, {0: "a", 1: "shorter"}, lambda number, text: text.startswith("long"))
    assert (dashboard.note(study, 0), dashboard.note(study, 1)) == ("my own", "shorter")
    save_trial_note(study, 1, "and later another")
    assert dashboard.note(study, 1) == "and later another"


def test_attributes_of_a_study(study):
    set_system_attr(study, "ours", {"a": [1]})
    assert system_attrs(study)["ours"] == {"a": [1]}
    study.ask()
    assert trial_id(study, 0) == study.get_trials()[0]._trial_id
