"""Rows of trials for the terminal, CSV and JSON."""

import csv
import dataclasses
import io

import pytest

from models.candidate import FIELDS, Candidate, HyperCandidate
from studies.tables import trials


def test_row_has_every_column(records):
    row = trials.row(records[1], on_front=True)
    assert tuple(row) == trials.COLUMNS
    assert row["trial"] == 1
    assert row["on_front"] is True
    assert row["val_accuracy"] == 0.90
    assert (row["latency_ms"], row["latency_p10_ms"], row["latency_runs"]) == (2.0, 1.8, 50)
    assert (row["macs"], row["flops"], row["parameters"], row["lr_schedule"]) == (
        10_000_000,
        20_000_000,
        318_000,
        "cosine",
    )


def test_row_of_a_failed_trial_says_why(records):
    row = trials.row(records[5], on_front=False)
    assert row["state"] == "failed"
    assert row["reason"] == "out of memory: 3 GiB"
    assert row["val_accuracy"] is None


def test_csv_there_and_back(records):
    rows = [trials.row(record, record.number < 3) for record in records]
    read = list(csv.DictReader(io.StringIO(trials.to_csv(rows))))
    assert len(read) == 7
    assert read[0]["val_accuracy"] == "0.8"
    assert read[4]["reason"] == "4 over max_latency_ms"
    assert read[6]["state"] == "waiting"


@pytest.mark.parametrize(
    ("candidate", "text"),
    [
        (
            Candidate(
                backbone="vgg19",
                unfreeze_depth=0,
                head_width=0,
                dropout=0.2,
                learning_rate=3e-3,
                lr_schedule="cosine",
                resolution=32,
            ),
            "32 px, frozen, no hidden layer, dropout 0.20, 3.0e-03 cosine",
        ),
        (
            Candidate(
                backbone="vgg19",
                unfreeze_depth=1,
                head_width=256,
                dropout=0.0,
                learning_rate=1e-5,
                lr_schedule="step",
                resolution=64,
            ),
            "64 px, top 1 stage free, head 256, dropout 0.00, 1.0e-05 step",
        ),
        (
            Candidate(
                backbone="vgg19",
                unfreeze_depth=2,
                head_width=256,
                dropout=0.0,
                learning_rate=1e-5,
                lr_schedule="step",
                resolution=64,
            ),
            "64 px, top 2 stages free, head 256, dropout 0.00, 1.0e-05 step",
        ),
        (None, "?"),
    ],
)
def test_a_candidate_in_one_line(candidate, text):
    assert trials.describe(candidate) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1 k"),
        (317_802, "318 k"),
        (999_600, "1 M"),
        (20_024_384, "20 M"),
        (15_470_300_000, "15.5 G"),
        (143_667_240, "144 M"),
    ],
)
def test_counts(number, text):
    assert trials.count(number) == text


def test_front_rows_for_the_terminal(records):
    (cells,) = trials.front_table([records[0]]).rows
    assert cells == (
        "0",
        "0.8000",
        "1 (0.85-1.15)",
        "10",
        "318 k",
        "2 of 3",
        "4.5",
        "32 px, frozen, head 128, dropout 0.25, 1.0e-03 cosine",
    )


def test_an_accuracy_stands_with_its_interval(make_record):
    record = make_record(0, 0.741, 1.0, 10, val_size=1000)
    assert trials.accuracy(record) == "0.7410 (0.713-0.767)"
    assert trials.front_table([record]).columns[1].head == "val_accuracy (95 %)"
    row = trials.row(record, on_front=True)
    assert (row["val_accuracy_low"], row["val_accuracy_high"]) == pytest.approx((0.713, 0.767), abs=5e-4)


def test_hyperparameters_are_columns_of_their_own(records):
    """Of a HyperModel: those of all its trials, and none of the dimensions of backbones."""
    values = ((("units", 8), ("epochs", 3)), (("units", 16), ("rate", 0.1)))
    hyper = [
        dataclasses.replace(record, candidate=HyperCandidate(backbone="lab.Net", values=own))
        for record, own in zip(records, values, strict=False)
    ]
    columns = trials.columns_of(hyper)
    assert columns == (*trials.WHICH, "units", "epochs (hyperparameter)", "rate", *trials.CAME_OUT)
    first, second = (trials.row(record, False, columns) for record in hyper)
    assert (first["units"], first["epochs (hyperparameter)"], first["rate"]) == (8, 3, None)
    assert (second["backbone"], second["rate"]) == ("lab.Net", 0.1)
    assert first["epochs"] == hyper[0].epochs
    assert trials.columns_of(records) == trials.COLUMNS == (*trials.WHICH, *FIELDS, *trials.CAME_OUT)
    assert trials.describe(hyper[1].candidate) == "units 16, rate 0.1"
