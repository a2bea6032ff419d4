"""Studies side by side: which trial stands for a backbone, and what may be compared."""

import csv
import dataclasses
import io

import pytest

from studies.comparison import (
    COMMON,
    CUSTOMISED,
    FROZEN,
    HEADS,
    SCRATCH,
    NotComparable,
    Studied,
    cells,
    check_comparable,
    joint_front,
    rows,
    to_csv,
    to_table,
    values,
)
from studies.records import State
from tests import made

MARK = dict.fromkeys(COMMON, "same") | {"latency_protocol": 1}


@pytest.fixture
def studied(make_record):
    """A study from (accuracy, latency, MFLOPs, unfreeze depth, head width) for each trial."""

    def studied(backbone, weights, *trials):
        records = []
        for number, (accuracy, latency, mflops, depth, width) in enumerate(trials):
            state = State.COMPLETE if accuracy else State.STOPPED
            record = make_record(number, accuracy, latency, mflops, state, unsure=0.0)
            candidate = dataclasses.replace(record.candidate, backbone=backbone, unfreeze_depth=depth, head_width=width)
            records.append(dataclasses.replace(record, candidate=candidate))
        mark = made.fingerprint(**MARK, backbone=backbone, weights=weights)
        return Studied(f"{backbone}-{weights}", mark, records)

    return studied


@pytest.fixture
def three(studied):
    return [
        studied("a", "w", (0.7, 1.0, 10, 0, 0), (0.75, 1.2, 12, 0, 0), (0.8, 2.0, 20, 1, 0), (0.8, 1.9, 20, 0, 128)),
        studied("b", "w", (0.9, 5.0, 50, 2, 0), (None, 1.0, 1, 0, 0)),
        studied("a", "none", (0.6, 3.0, 9, 4, 0), (0.65, 3.0, 30, 4, 0)),
    ]


def test_three_rows_for_each_backbone(three):
    found = [(row.backbone, row.kind, row.record and row.record.number, row.on_front) for row in rows(three)]
    assert found == [
        ("a", FROZEN, 1, True),
        ("a", CUSTOMISED, 3, True),  # of two equally accurate ones the faster
        ("a", SCRATCH, 1, False),
        ("b", FROZEN, None, False),  # the only one was stopped
        ("b", CUSTOMISED, 0, True),
        ("b", SCRATCH, None, False),
    ]


def test_of_equally_accurate_ones_the_member_of_the_joint_front(studied):
    """Its latency is equal, its FLOPs are fewer."""
    study = studied("a", "w", (0.9, 1.0, 30, 1, 0), (0.9, 1.02, 20, 1, 0))
    records = [
        dataclasses.replace(record, measurement=made.measurement(record.latency_ms, record.flops, 0.05))
        for record in study.records
    ]
    found = {row.kind: row for row in rows([dataclasses.replace(study, records=records)])}
    assert (found[CUSTOMISED].record.number, found[CUSTOMISED].on_front) == (1, True)


def test_the_joint_front_is_that_of_all_trials(three):
    found = [(record.candidate.backbone, record.val_accuracy, record.latency_ms) for record in joint_front(three)]
    assert found == [("a", 0.7, 1.0), ("a", 0.75, 1.2), ("a", 0.8, 1.9), ("a", 0.6, 3.0), ("b", 0.9, 5.0)]


@pytest.mark.parametrize("name", COMMON)
def test_only_what_saw_the_same_pictures_on_the_same_device_is_compared(three, name):
    check_comparable(three)
    here, there = ("2", "1") if name == "latency_protocol" else ("else", "same")
    changed = dataclasses.replace(three[1].fingerprint, **{name: int(here) if here.isdigit() else here})
    other = dataclasses.replace(three[1], fingerprint=changed)
    with pytest.raises(NotComparable, match=rf"a-w and b-w cannot be compared.* {name} \({there} there, {here} here\)"):
        check_comparable([three[0], other])


def test_cells_and_values_have_the_numbers(three):
    table = rows(three)
    assert dict(zip(HEADS, cells(table[1]), strict=True)) == {
        "backbone": "a",
        "kind": CUSTOMISED,
        "trial": "3*",
        "val_accuracy": "0.8000",
        "weights": "318 k",
        "MMACs": "10",
        "MFLOPs": "20",
        "latency ms (uncertainty)": "1.9 (1.9-1.9)",
        "epochs": "2 of 3",
        "seconds": "4.5",
        "parameters": "32 px, frozen, head 128, dropout 0.25, 1.0e-03 cosine",
    }
    assert cells(table[3]) == ("b", FROZEN, *["-"] * 8, "no such trial")
    assert (values(table[1])["macs"], values(table[1])["flops"], values(table[1])["study"]) == (10**7, 2 * 10**7, "a-w")
    assert {value for key, value in values(table[3]).items() if key not in ("backbone", "kind")} == {None, False}


def test_tables_as_files(three):
    table = rows(three)
    read = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert [row["val_accuracy"] for row in read] == ["0.75", "0.8", "0.65", "", "0.9", ""]
    lines = to_table(table).to_markdown_rows().splitlines()
    assert len(lines) == 2 + len(table)
    assert {line.count("|") for line in lines} == {len(HEADS) + 1}
