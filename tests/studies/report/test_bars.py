"""Bars with their intervals: what is drawn, and what the captions say of it."""

import dataclasses

import pytest

from studies.plots.style import FRONT
from studies.report.bars import Compared, bars, compared, draw
from studies.report.material import shown_models
from tests import made


def test_a_bar_for_each_model_and_its_interval_as_a_line(make_material, curved):
    models = shown_models(make_material(curved))
    column = Compared("a", "unit", [1, 2, 3], ["one", "two", "three"], [(0.5, 1.5), (1, 3), (2, 4)], "are")
    bar, lines = draw(models, column).data
    assert tuple(bar.x) == tuple(lines.x) == (1, 2, 3)
    assert bar.y[0] == "trial 0<br>pretrained baseline<br>fastest"
    assert [colour == FRONT for colour in bar.marker.color] == [False, True, False]
    assert (tuple(lines.error_x.array), tuple(lines.error_x.arrayminus)) == ((0.5, 1, 1), (0.5, 1, 1))
    assert len(draw(models, dataclasses.replace(column, lines="")).data) == 1


def test_one_wide_interval_is_cut_and_the_others_stay_long():
    column = Compared("a", "unit", [1.0, 2.0], ["", ""], [(0.9, 26.8), (1.9, 2.1)])
    assert (column.reach, column.drawn, column.cut) == (3.0, [(0.9, 3.0), (1.9, 2.1)], [0])


def test_accuracies_are_those_on_validation_pictures_before_the_evaluation(make_material, curved):
    known = [dataclasses.replace(record, val_size=50) for record in curved]
    accuracy, flops, latency, parameters = compared(shown_models(make_material(known)))
    assert (accuracy.title, accuracy.values, accuracy.lines) == (
        "validation accuracy (%)", [60.0, 85.0, 90.0], "are 95 % intervals"
    )  # fmt: skip
    assert accuracy.intervals[2] == pytest.approx((78.6, 95.7), abs=0.1)  # Wilson's of 45 of 50
    assert [flops.lines, parameters.lines] == ["", ""]
    assert latency.intervals[0] == pytest.approx((0.85, 1.15))


def test_the_caption_names_what_is_cut(make_material, curved):
    slow = dataclasses.replace(curved[1], measurement=made.measurement(1.5, 10, 25.3))
    charts = bars(shown_models(make_material([curved[0], slow, curved[2]]))).charts
    assert [chart.caption for chart in charts] == [
        "Validation accuracy (%) of each model.",
        "MFLOPs for one picture of each model.",
        "Inference (ms) of each model. Lines show how far a latency may be off. That of trial 1 is cut: it ends at "
        "26.8.",
        "Parameters (millions) of each model.",
    ]
