"""The picture of all forms: its points are the numbers."""

import numpy as np

from studies.forms import AS_TRAINED, rank
from studies.plots.forms import MARKS, draw, drawn, short, staircase
from tests import made

FORMS = rank(
    [
        made.form(AS_TRAINED, None),
        made.form("litert", 2.0),
        made.form("litert-int8", 0.5, lost=40, gained=4),
        made.form("litert", 1.0, lost=100, label="baseline"),
    ]
)


def test_what_has_no_latency_is_not_drawn():
    assert {name: [one.form.label for one in own] for name, own in drawn(FORMS).items()} == {
        "litert": ["baseline", "7"],
        "litert-int8": ["7"],
    }
    assert staircase(FORMS) == ([0.5, 2.0], [0.882, 0.9])
    assert [short("7"), short("baseline")] == ["7", "base"]


def test_int8_has_a_mark_of_its_own():
    assert len({mark.marker for mark in MARKS.values()}) == len({mark.colour for mark in MARKS.values()}) == len(MARKS)


def test_points_are_latencies_and_accuracies():
    figure = draw("my study", FORMS)
    (axes,) = figure.axes
    points = {
        one.get_label(): np.asarray(one.get_offsets()).tolist() for one in axes.collections if one.get_label()[0] != "_"
    }
    assert points["litert"] == [[1.0, 0.85], [2.0, 0.9]]
    assert points["litert-int8"] == [[0.5, 0.882]]
    assert points["best form of its model"] == [[2.0, 0.9], [1.0, 0.85]]
    assert [text.get_text() for text in axes.texts] == ["base", "7", "7"]
    assert axes.get_title(loc="left") == "2 models; latency in LiteRT, 1 thread"
