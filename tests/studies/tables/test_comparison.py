"""Studies side by side as tables."""

import csv
import dataclasses
import io

import pytest

from studies.comparison import CUSTOMISED, rows
from studies.contest import contest
from studies.scores import wilson_interval
from studies.tables.comparison import (
    HEADS,
    differences_table,
    final_seconds,
    on_terminal,
    pair_values,
    to_csv,
    values,
)
from studies.tables.table import MISSING
from tests.studies.test_comparison import studied, tested, three  # noqa: F401  (fixtures)


@pytest.fixture
def evaluated(three, tested, digits):  # noqa: F811
    """The customised model of a and the one from scratch, on 30 test pictures."""
    labels, shares = digits
    first, other, scratch = three
    return [
        tested(first, labels, t3=(first.records[3].candidate, [shares(26), shares(28)])),
        other,
        tested(scratch, labels, t1=(scratch.records[1].candidate, [shares(10), shares(12)])),
    ]


def test_cells_of_a_row_without_test_results(three):  # noqa: F811
    table = on_terminal(rows(three))
    assert dict(zip((*HEADS, "settings"), table.rows[1], strict=True)) == {
        "backbone": "a",
        "kind": CUSTOMISED,
        "trial": "3*",
        "val_accuracy": "0.8000",
        "test accuracy (95 %)": MISSING,
        "macro F1": MISSING,
        "weights": "318 k",
        "MFLOPs": "20",
        "latency ms (uncertainty)": "1.9 (1.9-1.9)",
        "MiB": MISSING,
        "settings": "32 px, frozen, head 128, dropout 0.25, 1.0e-03 cosine",
    }


def test_numbers_in_full(evaluated):
    table = rows(evaluated)
    found = contest(evaluated, table)
    number = values(table[1], 1, found)
    final = table[1].final
    low, high = wilson_interval(0.8, 50)
    expected = {
        "study": "a-w", "trial": 3, "val_accuracy": 0.8, "val_accuracy_low": low, "val_accuracy_high": high, "runs": 2,
        "test_accuracy": pytest.approx(0.9), "test_accuracy_low": final.interval[0],
        "macro_f1": final.mean("macro_f1"), "model_bytes": 2**20, "final_seconds": 3.5, "final_seconds_low": 3.0,
        "final_seconds_high": 4.0, "macs": 10**7, "flops": 2 * 10**7,
    }  # fmt: skip
    assert {name: number[name] for name in expected} == expected
    assert number["macro_f1_low"] < number["macro_f1"] < number["macro_f1_high"]
    bare = values(table[0], 0, found)
    tested_only = [name for name in bare if name.startswith(("runs", "test_", "macro_", "final_", "model_bytes"))]
    assert len(tested_only) == 1 + 3 + 9 + 3 + 1
    assert {bare[name] for name in tested_only} == {None}
    assert final_seconds(table[0]) is None


def test_as_csv_there_is_no_empty_row(evaluated):
    table = rows(evaluated)
    read = list(csv.DictReader(io.StringIO(to_csv(table, contest(evaluated, table)))))
    assert [row["val_accuracy"] for row in read] == ["0.75", "0.8", "0.65", "0.9"]
    assert [row["test_accuracy"][:7] for row in read] == ["", "0.9", "0.36666", ""]


def test_differences(evaluated):
    table = rows(evaluated)
    found = contest(evaluated, table)
    (pair,) = found.pairs
    shown = differences_table(table, found)
    ((model, beside, difference, p, p_holm, verdict),) = shown.texts()
    assert (model, beside, verdict) == ("a customised", "a from scratch", "better")
    assert difference.startswith("+53.3 (+")
    assert p == p_holm
    assert shown.marked == {0}
    assert pair_values(table, pair) == {
        "model": "a customised",
        "other": "a from scratch",
        "difference": pytest.approx(16 / 30),
        "difference_low": pair.difference.low,
        "difference_high": pair.difference.high,
        "p": pair.difference.p,
        "p_adjusted": pair.difference.p_adjusted,
        "verdict": "better",
    }
    tiny = dataclasses.replace(pair, difference=dataclasses.replace(pair.difference, p=1e-9))
    assert differences_table(table, dataclasses.replace(found, pairs=(tiny,))).texts()[0][3] == "< 0.0001"
