"""Bars with their intervals: what is drawn, and what the captions say of it."""

import dataclasses

import pytest

from studies.plots.style import FRONT
from studies.report.bars import Compared, bars, chart, compared, draw
from studies.report.material import shown_models
from tests import made


def column(values, intervals, lines="are"):
    return Compared("a", "unit", "{:g} u".format, values, intervals, lines)


LABELS = ("trial 0: pretrained baseline, fastest", "mobilenet_v2_0.35 customised", "trial <7>")


def test_a_bar_for_each_model_and_its_interval_as_a_line():
    figure = draw(column([1, 2, 3], [(0.5, 1.5), (1, 3), (2, 4)]), LABELS, {1})
    (bar,) = figure.data
    assert tuple(bar.x) == (1, 2, 3)
    assert [colour == FRONT for colour in bar.marker.color] == [False, True, False]
    assert (tuple(bar.error_x.array), tuple(bar.error_x.arrayminus)) == ((0.5, 1, 1), (0.5, 1, 1))
    assert bar.hovertext[2] == "trial &lt;7&gt;: 3 u (2 u to 4 u)"
    assert not draw(column([1, 2], [(1, 1), (2, 2)]), LABELS[:2]).data[0].error_x.visible


def test_labels_stand_above_their_bars_and_values_behind_them():
    figure = draw(column([1, 2, 3], [(0.5, 1.5), (1, 3), (2, 4)]), LABELS)
    names, values = figure.layout.annotations[:3], figure.layout.annotations[3:]
    assert [name.text for name in names] == [*LABELS[:2], "trial &lt;7&gt;"]
    assert [(value.text, value.x) for value in values] == [("1 u", 1.5), ("2 u", 3), ("3 u", 4)]
    (bar,) = figure.data
    for place, (name, middle) in enumerate(zip(names, bar.y, strict=True)):
        assert name.x == 0
        assert place < name.y == pytest.approx(middle - bar.width / 2)
        assert middle + bar.width / 2 < place + 1
    assert figure.layout.xaxis.title.text is None and not figure.layout.yaxis.showticklabels
    assert figure.layout.margin.l == 10  # nothing stands beside the bars


def test_the_axis_has_room_for_the_longest_text():
    low, high = draw(
        column([10000.25, 20000.25], [(10000.25, 10000.25), (20000.25, 20000.25)]), LABELS[:2]
    ).layout.xaxis.range
    assert low == 0
    assert (1 - 20000.25 / high) * 290 >= 7 * len("20000.2 u")
    assert draw(column([0.0], [(0.0, 0.0)]), LABELS[:1]).layout.xaxis.range == (0, 1)


def test_a_long_label_is_in_several_lines_and_its_row_higher():
    long = "inception_resnet_v2 (a_file_of_weights_with_a_long_name.weights.h5) customised"
    texts = draw(column([1], [(1, 1)]), [long]).layout.annotations[0].text.split("<br>")
    assert " ".join(texts).replace(" ", "") == long.replace(" ", "")
    assert all(len(text) <= 42 for text in texts)
    one, two = (chart(column([1], [(1, 1)]), [label], [label]).height for label in (LABELS[0], long))
    assert two - one == 14 * (len(texts) - 1)


def test_one_wide_interval_is_cut_and_the_others_stay_long():
    cut = column([1.0, 2.0], [(0.9, 26.8), (1.9, 2.1)], "show it")
    assert (cut.reach, cut.drawn) == (3.0, [(0.9, 3.0), (1.9, 2.1)])
    assert cut.full_texts == ["1 u (0.9 u to 26.8 u)", "2 u (1.9 u to 2.1 u)"]
    assert cut.caption(["a", "b"]) == "Unit. Lines show it. That of a is cut: it ends at 26.8 u."
    assert column([0.0], [(0.0, 11.4)]).reach == 11.4


def test_accuracies_are_those_on_validation_pictures_before_the_evaluation(make_material, curved):
    known = [dataclasses.replace(record, val_size=50) for record in curved]
    accuracy, flops, latency, parameters = compared(shown_models(make_material(known)))
    assert (accuracy.title, accuracy.values, accuracy.caption("abc")) == (
        "validation accuracy (%)", [60.0, 85.0, 90.0], "Validation accuracy (%). Lines are 95 % intervals."
    )  # fmt: skip
    assert accuracy.intervals[2] == pytest.approx((78.6, 95.7), abs=0.1)  # Wilson's of 45 of 50
    assert [flops.lines, parameters.lines] == ["", ""]
    assert latency.intervals[0] == pytest.approx((0.85, 1.15))


def test_the_caption_names_what_is_cut(make_material, curved):
    slow = dataclasses.replace(curved[1], measurement=made.measurement(1.5, 10, 25.3))
    charts = bars(shown_models(make_material([curved[0], slow, curved[2]]))).charts
    assert [chart.caption for chart in charts] == [
        "Validation accuracy (%).",
        "MFLOPs for one picture.",
        "Inference (ms). Lines show how far a latency may be off. That of trial 1 is cut: it ends at 26.8 ms.",
        "Parameters (millions).",
    ]
