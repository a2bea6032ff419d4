"""Tables of forms, against numbers by hand."""

import csv
import io

import pytest

from studies.forms import AS_TRAINED, METHOD, rank, verdict
from studies.tables.forms import (
    CARD,
    ENERGY,
    TERMINAL,
    exported,
    for_card,
    marks,
    records,
    texts,
    to_csv,
    to_latex,
    to_markdown,
    to_table,
    values,
)
from tests import made

LOSING = made.form("litert-int8", 0.5, lost=40, gained=4)
FORMS = [made.form(AS_TRAINED, None), made.form("litert", 2.0), LOSING]


@pytest.fixture
def ranked():
    return rank(FORMS)


def test_texts_of_a_form():
    (low, high), (down, up) = LOSING.pairs.interval, LOSING.pairs.difference_interval()
    assert texts(LOSING) == {
        "model": "trial 7",
        "form": "litert-int8",
        "test accuracy (95 %)": f"0.8820 ({low:.4f}-{high:.4f})",
        "same answers": "0.9900",
        "points (95 %)": f"-1.80 ({100 * down:+.2f} to {100 * up:+.2f})",
        "McNemar's p": "1.7e-08",
        "latency ms (p90)": "0.5 (0.6)",
        "p50 ms": "0.55",
        "p99 ms": "1",
        "MiB": "1.00",
        ENERGY: "-",
        "measured in": "LiteRT, 1 thread",
    }
    trained = texts(FORMS[0])
    assert {trained[head] for head in ("points (95 %)", "McNemar's p", "latency ms (p90)", "measured in")} == {"-"}


def test_rows_on_a_terminal(ranked):
    table = to_table(ranked, TERMINAL)
    assert [column.head for column in table.columns] == list(TERMINAL)
    assert [row[-1] for row in table.rows] == ["", "best form, front", "front"]
    assert [marks(one) for one in ranked] == ["", "best form, front", "front"]
    assert [row[1] for row in to_table(ranked, CARD).rows] == [texts(form)["test accuracy (95 %)"] for form in FORMS]


def test_energy_is_a_column_only_where_it_was_measured(ranked):
    assert ENERGY not in [column.head for column in to_table(ranked, TERMINAL).columns]
    assert "energy_mj" not in records(ranked)[0]
    counted = rank([*FORMS, made.form("onnx", energy_mj=1.234)])
    table = to_table(counted, TERMINAL)
    place = [column.head for column in table.columns].index(ENERGY)
    assert [row[place] for row in table.rows] == ["-", "-", "-", "1.23"]
    assert [row["energy_mj"] for row in records(counted)] == [None, None, None, 1.234]
    assert ENERGY in to_markdown(counted)


def test_numbers(ranked):
    found = records(ranked)[2]
    assert {name: found[name] for name in ("model", "format", "difference", "test_pictures", "latency_p99_ms")} == {
        "model": "trial 7",
        "format": "litert-int8",
        "difference": -0.018,
        "test_pictures": 2000,
        "latency_p99_ms": 1.0,
    }
    assert (found["on_front"], found["best_form"], found["version"]) == (True, False, "LiteRT 2.3.0")
    trained = values(FORMS[0])
    assert (trained["latency_ms"], trained["mcnemar_p"], trained["difference_low"]) == (None, None, None)
    rows = list(csv.DictReader(io.StringIO(to_csv(FORMS))))
    assert [row["format"] for row in rows] == ["keras", "litert", "litert-int8"]


def test_markdown_and_latex_say_how_and_what_was_lost(ranked):
    text = to_markdown(ranked)
    assert text.endswith(f"\n{METHOD}\n\n{verdict(LOSING)}\n")
    assert text.splitlines()[0].endswith("| measured in | marks |")
    assert "McNemar" in text.splitlines()[0]
    assert "95 \\% interval of its paired difference" in to_latex(ranked)


def test_a_card_without_forms_has_no_section(ranked):
    assert for_card([]) == ""
    lines = for_card(ranked).splitlines()
    assert lines[1] == "## Forms"
    assert [line.split(" | ")[0] for line in lines[5:8]] == ["| keras", "| litert", "| litert-int8"]
    assert lines[-1] == verdict(LOSING)


def test_exported_forms_stand_in_their_order():
    table = exported(FORMS)
    assert [row[0] for row in table.rows] == ["keras", "litert", "litert-int8"]
