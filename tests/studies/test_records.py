"""Records as the database gives them back."""

import dataclasses

import optuna
import pytest
from optuna.trial import TrialState

from studies.optuna_private import show_constraints
from studies.outcomes import Failure
from studies.records import CompleteTrial, State, TrialRecord, complete, linear_probe, read_study
from tests.studies.test_outcomes import CANDIDATE, MEASUREMENT, outcome


@pytest.fixture
def study():
    return optuna.create_study(directions=["maximize", "minimize", "minimize"])


def test_records_of_trials_in_every_state(study):
    died = {"failure": {"kind": "worker died", "reason": "signal 9"}}
    killed = {"failure": {"kind": "interrupted", "reason": "killed"}}
    wanted = [
        (TrialState.COMPLETE, outcome().user_attrs(), "complete", True),
        (TrialState.PRUNED, outcome().user_attrs(), "infeasible", True),
        (TrialState.PRUNED, outcome(stopped="stopped at epoch 2: last").user_attrs(), "stopped", True),
        (TrialState.PRUNED, {"duplicate_of": 0}, "duplicate", True),
        (TrialState.FAIL, Failure("out of memory", "3 GiB").user_attrs(), "failed", True),
        (TrialState.FAIL, killed, "interrupted", False),
        (TrialState.FAIL, killed | {"retry_of": 3}, "failed", True),  # so is what was interrupted twice
        (TrialState.FAIL, died, "interrupted", False),
        (TrialState.FAIL, died | {"retry_of": 5}, "failed", True),  # twice on one candidate: its own failure
    ]
    for state, attrs, *_ in wanted:
        values = outcome().values() if state == TrialState.COMPLETE else None
        study.add_trial(optuna.trial.create_trial(state=state, values=values, user_attrs=attrs))
    study.ask()
    study.enqueue_trial({"x": 1})

    records = read_study(study)
    assert [(record.state, record.counts) for record in records] == [
        *((name, counts) for *_, name, counts in wanted),
        ("running", False),
        ("waiting", False),
    ]
    assert {type(record) for record in records[1:]} == {TrialRecord}
    first = records[0]
    assert isinstance(first, CompleteTrial) and complete(records) == [first]
    assert (first.candidate, first.measurement) == (CANDIDATE, MEASUREMENT)
    assert (first.val_accuracy, first.latency_ms, first.flops) == (0.75, 1.5, 1000)
    assert (first.best_epoch, first.epochs, first.seconds) == (2, 2, 3.5)
    assert [record.val_accuracy for record in records[1:4]] == [None] * 3
    assert [record.reason for record in records[2:5]] == ["stopped at epoch 2: last", "the same as trial 0", "3 GiB"]
    assert records[2].epochs == 2


def test_the_mirror_of_constraints_for_the_dashboard_is_not_read_back(study):
    trial = study.ask()
    trial.set_constraint("max_gflops", 0.5)
    show_constraints(trial, [0.5])
    assert read_study(study)[0].constraints == {"max_gflops": 0.5}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"measurement": None}, "it is complete but has no measurement"),
        ({"best_epoch": None}, "it is complete but has no best_epoch"),
        ({"measurement": {"flops": 3}}, "Measurement.latency_ms: field required"),
        ({"measurement": 3}, "Kept.measurement: input should be an object"),
        ({"candidate": {"backbone": "x"}}, "a candidate has the fields"),
        ({"candidate": CANDIDATE.to_dict() | {"from_tomorrow": 1}}, "Missing or unknown: from_tomorrow"),
        ({"candidate": CANDIDATE.to_dict() | {"unfreeze_depth": "x"}}, "unfreeze_depth must be"),
        ({"candidate": []}, "Kept.candidate: input should be an object"),
        ({"learning_curve": [3]}, "Kept.learning_curve.0: input should be an object"),
        ({"learning_curve": [{"epoch": "x"}]}, "Kept.learning_curve.0.epoch: input should be a valid number"),
        ({"seconds": []}, "Kept.seconds: input should be an object"),
        ({"val_right": 1}, "Kept.val_right: input should be a valid string"),
    ],
)
def test_a_trial_that_was_written_by_something_else_is_unreadable_and_the_others_are_not(study, change, said):
    for attrs in (outcome().user_attrs(), outcome().user_attrs() | change):
        attrs = {key: value for key, value in attrs.items() if value is not None}
        values = outcome().values()
        study.add_trial(optuna.trial.create_trial(state=TrialState.COMPLETE, values=values, user_attrs=attrs))
    whole, broken = read_study(study)
    assert whole.state == "complete"
    assert (broken.number, broken.state, broken.candidate, broken.counts) == (1, "unreadable", None, True)
    assert broken.reason.startswith("not written by this version of this program: ")
    assert said in broken.reason and "\n" not in broken.reason


def test_an_accuracy_that_is_none_is_not_believed(study):
    attrs = outcome().user_attrs()
    study.add_trial(optuna.trial.create_trial(state=TrialState.COMPLETE, values=(99.0, 1, 1), user_attrs=attrs))
    assert read_study(study)[0].reason.endswith("val_accuracy must lie between 0 and 1. Received: [99.0, 1, 1]")


@pytest.mark.parametrize("failure", [3, {}, {"kind": 1, "reason": ""}])
def test_a_failure_that_is_none_is_unreadable(study, failure):
    study.add_trial(optuna.trial.create_trial(state=TrialState.FAIL, user_attrs={"failure": failure}))
    assert read_study(study)[0].state == "unreadable"


def test_which_states_count_and_how_they_are_called():
    assert [state.value for state in State if not state.counts] == ["interrupted", "running", "waiting"]
    assert [state.words for state in State] == [
        "complete",
        "stopped early",
        "over budget",
        "the same as another",
        "failed",
        "interrupted",
        "unreadable",
        "running",
        "waiting",
    ]


def test_the_linear_probe_is_the_best_of_them(make_record):
    linear = dataclasses.replace(CANDIDATE, unfreeze_depth=0, head_width=0)
    probes = [make_record(number, share, 1.0, 1, candidate=linear) for number, share in ((1, 0.5), (2, 0.7), (3, 0.7))]
    stopped = make_record(4, None, 1.0, 1, candidate=linear, state=State.STOPPED)
    assert linear_probe([make_record(0, 0.9, 1.0, 1), *probes, stopped]) is probes[1]
    assert linear_probe([stopped]) is None


def test_the_interval_is_of_the_study_s_validation_pictures(study):
    study.add_trial(
        optuna.trial.create_trial(
            state=TrialState.COMPLETE, values=outcome().values(), user_attrs=outcome().user_attrs()
        )
    )
    assert read_study(study)[0].interval is None
    study.set_user_attr("fingerprint", {"val_size": 100})
    assert read_study(study)[0].interval == pytest.approx((0.6569, 0.8245), abs=1e-4)  # Wilson's of 75 of 100
    study.ask()
    assert read_study(study)[1].interval is None
