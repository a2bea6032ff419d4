"""What the figures hold; how they look is for `test_page` in a browser and for people."""

import numpy as np
import pytest

from studies.objectives import LATENCY
from studies.plots.data import pareto_data, three_data
from studies.report import charts
from studies.report.importance import Importances
from studies.report.material import shown_models
from studies.report.search_progress import Step


def test_the_recommended_trial_has_a_star(records):
    figure = charts.pareto(pareto_data("s", records, LATENCY), 1)
    star = figure.data[-1]
    assert (star.name, star.marker.symbol, tuple(star.x), tuple(star.y)) == (
        "recommended: trial 1",
        "star",
        (2.0,),
        (0.9,),
    )
    assert [note.text for note in figure.layout.annotations] == ["0", "1"]
    assert charts.pareto_space(three_data("s", records), 1).data[-1].name == "recommended: trial 1"


def test_crowded_labels_are_joined(make_record):
    records = [make_record(n, 0.5 + n / 1000, 1 + n / 1000, 10, unsure=0.0) for n in range(6)]
    figure = charts.pareto(pareto_data("s", [*records, make_record(6, 0.9, 9, 10)], LATENCY), None)
    assert [note.text for note in figure.layout.annotations] == ["0 … 5", "6"]


def test_one_point_has_axes_around_it(make_record):
    figure = charts.pareto(pareto_data("s", [make_record(0, 0.8, 2.0, 10)], LATENCY), 0)
    assert tuple(figure.layout.xaxis.range) == (1.0, 3.0)
    low, high = figure.layout.yaxis.range
    assert low < 0.8 < high and high - low == pytest.approx(charts.LEAST_SPAN)


def test_curves_differ_in_more_than_colour(make_material, curved):
    lines = charts.learning_curves(shown_models(make_material(curved)), "val_accuracy", "title").data
    assert tuple(lines[1].y) == (0.4, 0.6, 0.8, 0.85)
    for look in ("line.color", "line.dash", "marker.symbol"):
        assert len({line[look] for line in lines}) == 3


def test_hypervolume():
    (line,) = charts.hypervolume([Step(0, 2.0, 0.3), Step(1, 5.0, 0.4)], "seconds").data
    assert (tuple(line.x), tuple(line.y), line.line.shape) == ((2.0, 5.0), (0.3, 0.4), "hv")


def test_importance_has_the_most_important_first():
    found = Importances({"val_accuracy": {"a": 0.2, "b": 0.8}, "flops": {"a": 0.1, "b": 0.9}}, "", 0.2)
    accuracy, flops = charts.importance(found).data
    assert (accuracy.name, accuracy.y, accuracy.x) == ("accuracy", ("b", "a"), (0.8, 0.2))
    assert flops.marker.pattern.shape != accuracy.marker.pattern.shape


def test_confusion_is_in_percent_of_the_true_class():
    (heat,) = charts.confusion(["a", "<b>"], np.array([[8, 2], [0, 0]])).data
    assert heat.z.tolist() == [[80, 20], [0, 0]]
    assert heat.hovertext[0][1] == "a taken for &lt;b&gt;: 2 (20.0 %)"
    many = charts.confusion(["a"] * 30, np.eye(30))
    assert many.data[0].text is None
    assert (heat.showscale, many.data[0].showscale) == (False, True)  # where no cell says it
    assert many.layout.yaxis.scaleanchor == "x"  # cells are square


def test_names_of_many_classes_are_thinned():
    ticks = charts.class_ticks([f"class {n}" for n in range(100)])
    assert ticks["tickvals"] == list(range(0, 100, 4))
    assert charts.class_ticks(["a" * 30])["ticktext"] == ["a" * 10 + "…" + "a" * 7]


def test_alike_names_stay_two_bars():
    (bar,) = charts.classes(["x", "x"], [3, 4]).data
    assert (tuple(bar.y), tuple(bar.x)) == ((0, 1), (3, 4))
