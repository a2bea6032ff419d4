"""The chapter that sets studies side by side."""

import csv
import dataclasses
import io

import pytest

from studies.comparison import NotComparable, Studied, rows
from studies.contest import contest
from studies.report.blocks import Charts, Points, Report, Text
from studies.report.comparing import comparison_chapter
from studies.report.comparing_charts import bars, curves
from studies.report.comparing_tables import models_table
from studies.scores import wilson_interval
from tests import made
from tests.browser import OVERLAPS
from tests.studies.test_comparison import studied, tested  # noqa: F401  (fixtures)


@pytest.fixture
def two(curved, make_record):
    other = Studied("other", made.fingerprint(backbone="vgg19"), [make_record(1, 0.95, 9.0, 90)])
    return [Studied("custom_cnn-digits", made.fingerprint(), curved), other]


@pytest.fixture
def evaluated(two, tested, digits):  # noqa: F811
    """All three models, each with two runs on 30 test pictures."""
    labels, shares = digits
    candidates = [record.candidate for record in two[0].records]
    own = two[1].records[0].candidate
    return [
        tested(two[0], labels, baseline=(candidates[0], [shares(14), shares(15)]),
               t2=(candidates[2], [shares(27), shares(27)])),
        tested(two[1], labels, t1=(own, [shares(28), shares(29)])),
    ]  # fmt: skip


def test_before_an_evaluation(two):
    found = comparison_chapter(two)
    assert [section.name for section in found.sections] == [
        "summary", "models", "differences", "likeness", "curves", "front",
    ]  # fmt: skip
    assert found.sections[0].blocks[0].items == (
        "The most accurate in the search is trial 1 of other (vgg19 customised): 95.0 % validation accuracy, 9 ms and "
        "90 MFLOPs for one picture.",
        "The only frozen network with a linear head is custom_cnn with 60.0 % validation accuracy (trial 0 of "
        "custom_cnn-digits).",
        "The joint Pareto front has 4 candidates: 3 of custom_cnn-digits and 1 of other.",
    )
    tables = dict(found.tables())
    assert [row[:2] for row in tables["comparison-backbones"].rows] == [
        ("custom_cnn", "pretrained, frozen"),
        ("custom_cnn", "customised"),
        ("vgg19", "customised"),
    ]
    assert [row[:5] for row in tables["comparison-settings"].rows] == [
        ("custom_cnn frozen", "custom_cnn-digits", "0*", (2, 4), None),
        ("custom_cnn customised", "custom_cnn-digits", "2*", (2, 4), None),
        ("vgg19 customised", "other", "1*", (2, 3), None),
    ]
    models = next(section for section in found.sections if section.name == "models")
    assert [block.items for block in models.blocks if isinstance(block, Points)] == [
        (
            "custom_cnn frozen and custom_cnn customised have no test results yet: "
            "`python -m hpo.evaluate custom_cnn-digits --trials 2` makes them.",
            "vgg19 customised has no test results yet: `python -m hpo.evaluate other --trials 1` makes them.",
        )
    ]
    assert found.sections[2].blocks == (
        Text(
            "Fewer than two models can be compared on the test pictures. What makes the missing results stands below "
            "the table of models."
        ),
    )
    stems = [stem for stem, _ in found.charts()]
    assert stems == [f"comparison-{name}" for name in (
        "bars_val_accuracy", "bars_flops", "bars_latency", "bars_parameters", "curves", "joint_latency", "joint_flops",
    )]  # fmt: skip


def test_after_it(evaluated):
    found = comparison_chapter(evaluated)
    said = found.sections[0].blocks[0].items
    assert said[2].startswith("On the 30 test pictures vgg19 customised is the most accurate of 3 models: 95.0 % (")
    assert said[2].endswith(") over 2 training runs.")
    assert said[3] == "Of the 3 differences between the models 2 are significant."
    differences = next(section for section in found.sections if section.name == "differences")
    (points,) = [block for block in differences.blocks if isinstance(block, Points)]
    assert [sentence.partition(":")[0].partition(" by ")[0] for sentence in points.items] == [
        "custom_cnn customised is not distinguishable from vgg19 customised",
        "custom_cnn frozen is worse than vgg19 customised",
    ]
    assert [name for name, _ in found.tables()] == [
        f"comparison-{name}" for name in ("backbones", "settings", "differences")
    ]
    models = next(section for section in found.sections if section.name == "models")
    assert not [block for block in models.blocks if isinstance(block, Points)]  # nothing is missing
    assert len([chart for block in models.blocks if isinstance(block, Charts) for chart in block.charts]) == 10


def test_the_front_has_one_size(two):
    found = comparison_chapter(two)
    text = found.sections[0].blocks[0].items[-1]
    assert "has 4 candidates" in text
    for stem, chart in found.charts():
        if "joint" in stem:
            assert "4 on the joint front of all three objectives" in chart.caption
            assert "the joint front of 4 trials" in chart.alt
            rings = [trace for trace in chart.figure.data if trace.name == "joint front (4)"]
            assert len(rings) == 1
            assert len(rings[0].x) == 4


def test_table_has_every_column_with_its_interval(evaluated):
    table_rows = rows(evaluated)
    table = models_table(table_rows, contest(evaluated, table_rows), "digits")
    heads = [column.head for column in table.columns]
    shown = dict(zip(heads, table.texts()[1], strict=True))
    assert shown["validation accuracy (%)"] == "90.0"
    assert shown["test accuracy (%), 95 % interval"].startswith("90.0 (")
    for name in ("precision", "recall", "F1"):
        assert len(shown[f"macro {name} (%)"]) == 4
    assert shown["size (MiB)"] == "1.00"
    assert shown["training (s)"] == "3.5"
    read = list(csv.DictReader(io.StringIO(table.to_csv())))
    low, high = wilson_interval(0.9, 50)
    assert (float(read[1]["val_accuracy_low"]), float(read[1]["val_accuracy_high"])) == (low, high)
    assert float(read[1]["macro_f1_low"]) < float(read[1]["macro_f1"]) < float(read[1]["macro_f1_high"])
    assert (read[1]["final_seconds_low"], read[1]["final_seconds_high"]) == ("3.0", "4.0")
    assert table.marked == {2}
    assert "tab:backbones" in table.to_latex()


def test_bars_of_a_column_leave_out_what_is_not_known(evaluated):
    half = [evaluated[0], dataclasses.replace(evaluated[1], finals=(), guesses={})]
    table_rows = rows(half)
    drawn = {chart.name: chart for chart in bars(table_rows, contest(half, table_rows))}
    names = {
        name: [text.partition(":")[0] for text in one.figure.data[0].hovertext] for name, one in drawn.items()
    }  # fmt: skip
    assert names["bars_val_accuracy"] == ["custom_cnn frozen", "custom_cnn customised", "vgg19 customised"]
    assert names["bars_test_accuracy"] == ["custom_cnn frozen", "custom_cnn customised"]
    bar = drawn["bars_test_accuracy"].figure.data[0]
    low, high = table_rows[0].final.interval
    assert bar.x[0] == pytest.approx(100 * table_rows[0].final.accuracy)
    assert bar.x[0] - bar.error_x.arrayminus[0] == pytest.approx(100 * low)
    assert bar.x[0] + bar.error_x.array[0] == pytest.approx(100 * high)
    assert drawn["bars_test_accuracy"].caption == "Test accuracy (%). Lines are 95 % intervals over pictures and seeds."
    assert drawn["bars_flops"].caption == "MFLOPs for one picture."
    assert not drawn["bars_flops"].figure.data[0].error_x.visible
    single = [
        dataclasses.replace(row, final=row.final and dataclasses.replace(row.final, runs=row.final.runs[:1]))
        for row in table_rows
    ]
    drawn = {chart.name: chart for chart in bars(single, contest(half, table_rows))}
    assert drawn["bars_test_accuracy"].caption == "Test accuracy (%). Lines are 95 % intervals over pictures."


def test_one_long_bar_of_a_latency_is_cut_and_the_caption_says_so(studied):  # noqa: F811
    """A p90 of 60 ms."""
    studies = [studied(name, "w", (0.8, ms, 20, 1, 0)) for name, ms in (("a", 10.6), ("b", 10.1))]
    slow = made.measurement(10.6, 20, 24.7)
    studies[0] = dataclasses.replace(studies[0], records=[dataclasses.replace(studies[0].records[0], measurement=slow)])
    table_rows = rows(studies)
    drawn = {chart.name: chart for chart in bars(table_rows, contest(studies, table_rows))}["bars_latency"]
    assert drawn.caption == (
        "Inference (ms). Lines show how far a latency may be off. That of a customised is cut: it ends at 35.3 ms."
    )
    assert drawn.figure.data[0].hovertext == (
        "a customised: 10.6 ms (0 ms to 35.3 ms)", "b customised: 10.1 ms"
    )  # fmt: skip
    assert drawn.figure.layout.xaxis.range[1] < 20


def test_all_learning_curves_are_in_one_figure(two):
    chart = curves(rows(two))
    named = [(trace.legendgroup, trace.line.dash, trace.xaxis) for trace in chart.figure.data if trace.legendgroup]
    assert named == [
        (name, dash, panel)
        for name in ("custom_cnn frozen", "custom_cnn customised")  # the record of vgg19 has none
        for panel in ("x", "x2")
        for dash in ("solid", "dot")
    ]
    assert [trace.name for trace in chart.figure.data if not trace.legendgroup] == ["validation", "training"]
    assert "custom_cnn frozen ends at 0.600 (training 0.600)" in chart.alt


def test_a_study_without_results_says_so(two):
    empty = Studied("empty", made.fingerprint(), [])
    found = comparison_chapter([two[0], empty])
    assert found.sections[0].blocks[0].items[0] == "No trial of empty completed."
    found = comparison_chapter([empty])
    assert [section.name for section in found.sections] == ["summary"]


def test_other_pictures_are_refused(two, curved):
    other = Studied("odd", made.fingerprint(dataset_digest="e" * 64), curved)
    with pytest.raises(NotComparable, match="dataset_digest"):
        comparison_chapter([*two, other])


# Texts of bars and fronts that are not wholly within their figure; how wide the plots of bars are.
OUTSIDE = """() => [...document.querySelectorAll('.plot:is([id*=bars_], [id*=joint_])')].flatMap(plot => {
  const frame = plot.querySelector('.main-svg').getBoundingClientRect();
  return [...plot.querySelectorAll('text')].map(e => [e.textContent, e.getBoundingClientRect()])
    .filter(([t, b]) => t && b.width && (b.left < frame.left - 1 || b.right > frame.right + 1
      || b.top < frame.top - 1 || b.bottom > frame.bottom + 1))
    .map(([t]) => plot.id + ': ' + t);
})"""
PLOTS = "[...document.querySelectorAll('.plot[id*=bars_] .plotclip rect')].map(e => e.width.baseVal.value)"
TABLES = "[...document.querySelectorAll('.scroll.table')]"
SCROLLS = f"{TABLES}.filter(e => e.scrollWidth > e.clientWidth).map(e => e.id)"


@pytest.fixture
def ordinary(studied, tested, digits):  # noqa: F811
    """Four studies of backbones with the names that they have; one latency is far off."""
    labels, shares = digits
    made_up = []
    for number, name in enumerate(("mobilenet_v2_0.35", "efficientnet_v2_b0", "inception_resnet_v2", "vgg19")):
        study = studied(
            name, "w", (0.9, 10.6 + number, 315.7 * 8**number, 0, 0), (0.9 + number / 50, 12.4, 84.3, 2, 128)
        )
        first, second = study.records
        slow = made.measurement(12.4, 84_300_000, 24.7 if number == 1 else 0.5, parameters=10**number * 123_456)
        study = dataclasses.replace(study, records=[first, dataclasses.replace(second, measurement=slow)])
        made_up.append(tested(study, labels, baseline=(first.candidate, [shares(20), shares(22)]),
                              t1=(second.candidate, [shares(23 + number), shares(25)])))  # fmt: skip
    return made_up


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_bars_are_whole_on_a_page_on_a_phone_and_on_paper(visit, ordinary, width):
    tab, wrong, requests = visit(Report("Comparison", "Of a test", (comparison_chapter(ordinary),)), width)
    assert wrong == [] and requests == []
    for place in ("window", "paper"):
        assert tab.evaluate(OUTSIDE) == [], place
        assert [text for text in tab.evaluate(OVERLAPS) if "bars_" in text] == [], place
        assert min(tab.evaluate(PLOTS)) > 290, place
        tab.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        tab.wait_for_timeout(1500)
    tab.close()


@pytest.mark.slow
def test_all_columns_of_the_comparison_fit_a_window(visit, ordinary):
    tab, _, _ = visit(Report("Comparison", "Of a test", (comparison_chapter(ordinary),)), 1280)
    assert "comparison-table-backbones" not in tab.evaluate(SCROLLS)
    tab.close()
