"""What optuna-dashboard itself lists of a study, read by its own functions: the oracle for `studies.artifacts`."""

import optuna
from optuna_dashboard._custom_plot_data import get_plotly_graph_objects
from optuna_dashboard._note import get_note_from_system_attrs
from optuna_dashboard.artifact._backend import list_study_artifacts, list_trial_artifacts

from studies.optuna_private import system_attrs, trial_id


def artifacts(study: optuna.Study, number: int | None = None) -> list[dict]:
    """Of the study, or of one of its trials."""
    if number is None:
        return list_study_artifacts(system_attrs(study))
    frozen = study.get_trials()[number]
    return list_trial_artifacts(system_attrs(study), frozen.system_attrs, frozen)


def note(study: optuna.Study, number: int | None = None) -> str:
    """Of the study, or of one of its trials; empty if there is none."""
    return get_note_from_system_attrs(system_attrs(study), None if number is None else trial_id(study, number))["body"]


def figures(study: optuna.Study) -> dict[str, str]:
    """By name, as JSON."""
    return get_plotly_graph_objects(system_attrs(study))
