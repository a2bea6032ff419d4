"""Latencies that a study keeps beside what its trials were told with."""

import optuna
import pytest
from optuna.trial import TrialState

from studies.attributes import LATENCIES
from studies.errors import StudyRefused
from studies.latencies import AS_TOLD, Latencies, latencies_of
from studies.objectives import DIRECTIONS
from studies.pareto import front
from studies.records import read_study
from studies.tables.trials import why
from tests import made
from tests.studies.test_outcomes import CANDIDATE, outcome


def test_they_are_kept_as_they_are():
    study = optuna.create_study()
    assert latencies_of(study) == AS_TOLD
    both = {"a/r32": made.deployed_latency(0.5), "b": made.latency(7.0)}
    Latencies(both, ["a/r32"]).keep(study)
    assert latencies_of(study) == Latencies(both, ["a/r32"])


def told(study, constraint, **changes):
    """A trial with the latency 1.5 ms under a budget that it exceeds by `constraint` ms."""
    kept = outcome(**changes)
    trial = study.ask()
    for key, value in kept.user_attrs().items():
        trial.set_user_attr(key, value)
    trial.set_constraint("max_latency_ms", constraint)
    if constraint <= 0:
        study.tell(trial, kept.values())
    else:
        study.tell(trial, state=TrialState.PRUNED)


def test_what_was_measured_again_stands_in_records_and_counts_for_the_budget():
    study = optuna.create_study(directions=DIRECTIONS)
    told(study, -0.5)
    told(study, 0.25, val_accuracy=None)
    key = CANDIDATE.architecture_key()
    for ms, over, on_front, why_not in (
        (1.2, {}, [0], "over a budget when it was first measured"),
        (2.1, {}, [0], "0.85 over max_latency_ms"),  # 0.1 over it, but within the uncertainty
        (2.5, {"max_latency_ms": 0.5}, [], "1.25 over max_latency_ms"),
    ):
        Latencies({key: made.deployed_latency(ms, ms + 0.2)}, [key]).keep(study)
        within, beyond = read_study(study)
        assert (within.latency_ms, within.measurement.latency.record_ms, within.measured_again) == (ms, ms, True)
        assert within.over_budget == pytest.approx(over)
        assert [record.number for record in front([within, beyond])] == on_front
        assert why(beyond) == why_not


@pytest.mark.parametrize("stored", [{"by_architecture": {"a": 1.0}, "again": []}, {"again": []}, "text", 5])
def test_what_is_not_ours_is_refused(stored):
    study = optuna.create_study(study_name="s")
    study.set_user_attr(LATENCIES, stored)
    with pytest.raises(StudyRefused, match="study s was made by another version of this program"):
        latencies_of(study)
