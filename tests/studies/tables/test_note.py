"""What the page of a trial says of it."""

import dataclasses

import pytest

from studies.records import State, TrialRecord
from studies.tables.note import note, sentence

SETTINGS = "32 px, top 1 stage free, head 128, dropout 0.25, 1.0e-03 cosine"


def test_of_a_complete_trial(records):
    assert sentence(dataclasses.replace(records[1], val_size=50)) == (
        f"Trial 1: {SETTINGS}. It was trained to the end: validation accuracy 0.9000 (0.786-0.957) after epoch 2 of 3, "
        "latency 2 ms (1.7-2.3; Keras on none), 20 MFLOPs."
    )


@pytest.mark.parametrize(
    ("state", "changes", "said"),
    [
        (State.STOPPED, {"reason": "stopped at epoch 2: third of 4"}, "It was stopped at epoch 2: third of 4."),
        (State.DUPLICATE, {"reason": "the same as trial 0"}, "It was not trained: it is the same as trial 0."),
        (
            State.INFEASIBLE,
            {"constraints": {"max_latency_ms": 4}},
            "It was not trained, as it is over a budget: 4 over max_latency_ms.",
        ),
        (State.FAILED, {"reason": "out of memory: 3 GiB"}, "It failed: out of memory: 3 GiB."),
        (State.FAILED, {"reason": "3 GiB."}, "It failed: 3 GiB."),
        (State.FAILED, {}, "It failed."),
        (State.INTERRUPTED, {"reason": "killed"}, "It was interrupted: killed."),
        (State.INTERRUPTED, {"reason": "interrupted"}, "It was interrupted."),
        (State.RUNNING, {}, "It is running."),
    ],
)
def test_of_any_other(make_record, state, changes, said):
    assert sentence(make_record(1, None, 2.0, 20, state=state, **changes)) == f"Trial 1: {SETTINGS}. {said}"


def test_what_is_not_known_is_not_said():
    assert sentence(TrialRecord(5, State.FAILED, None, reason="no memory")) == "Trial 5. It failed: no memory."


def test_the_curve_is_a_table_and_names_stay_names(make_record):
    curve = [{"epoch": 1, "loss": 1.71164, "val_accuracy": 0.617}, {"epoch": 2, "loss": 0.9, "val_accuracy": 0.7}]
    record = make_record(1, None, 2.0, 20, state=State.FAILED, reason="<b>", learning_curve=curve)
    assert note(record).splitlines()[0].endswith(r"It failed: \<b\>.")
    assert note(record).splitlines()[1:] == [
        "",
        "| epoch | loss | val_accuracy |",
        "| ---: | ---: | ---: |",
        "| 1 | 1.7116 | 0.6170 |",
        "| 2 | 0.9000 | 0.7000 |",
    ]
