"""What a trial leaves behind: outcomes as JSON, records as the database gives them back."""

import optuna
import pytest
from optuna.trial import TrialState

from models.candidate import Candidate
from studies.optuna_private import show_constraints
from studies.records import Failure, Measurement, Outcome, read_study

CANDIDATE = Candidate(
    backbone="custom_cnn",
    unfreeze_depth=1,
    head_width=128,
    dropout=0.25,
    learning_rate=1e-3,
    lr_schedule="cosine",
    resolution=32,
)
MEASUREMENT = Measurement(1.5, {"p10_ms": 1.0, "p90_ms": 2.0, "runs": 50}, 500, 1000, 7, 318_000)


def outcome(**changes):
    values = {
        "study_id": "abc",
        "number": 3,
        "candidate": CANDIDATE,
        "measurement": MEASUREMENT,
        "trainable_parameters": 99,
        "val_accuracy": 0.75,
        "best_epoch": 2,
        "constraints": {},
        "curve": [{"epoch": 1, "val_accuracy": 0.5}, {"epoch": 2, "val_accuracy": 0.75}],
        "seconds": {"measure": 1.5, "train": 2.0},
        "peak_memory_mib": 512.0,
        "seed": 17,
        "machine": {"device": "cpu"},
        "plan": "pooled features stored",
    }
    return Outcome(**values | changes)


def test_outcome_json_there_and_back():
    for one in (outcome(), outcome(stopped="at epoch 2")):
        assert Outcome.from_json(one.to_json()) == one


def test_values_stand_in_the_order_of_the_objectives():
    assert outcome().values() == (0.75, 1.5, 1000.0)


@pytest.mark.parametrize(
    ("constraints", "feasible"),
    [({}, True), ({"max_latency_ms": 0.0}, True), ({"max_latency_ms": -1.0, "max_gflops": 0.1}, False)],
)
def test_feasible_means_at_or_below_every_limit(constraints, feasible):
    assert outcome(constraints=constraints).feasible is feasible


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
        (TrialState.FAIL, killed | {"retry_of": 3}, "interrupted", False),
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
    first = records[0]
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


def test_a_failure_leaves_what_it_knows():
    known = Failure("non-finite loss", "epoch 2", seed=7, seconds={"train": 1.5}, curve=[{"epoch": 1, "loss": 2.0}])
    assert known.user_attrs() == {
        "failure": {"kind": "non-finite loss", "reason": "epoch 2"},
        "seed": 7,
        "seconds": {"train": 1.5},
        "learning_curve": [{"epoch": 1, "loss": 2.0}],
    }
