"""The joint front: a colour for each backbone, hollow from scratch, every complete trial once."""

import dataclasses

import pytest

from studies.comparison import joint_front
from studies.objectives import FLOPS, LATENCY
from studies.plots.joint import draw_page, draw_paper, joint_data
from studies.plots.style import SERIES
from tests.studies.test_comparison import studied, three  # noqa: F401  (fixtures)


@pytest.mark.parametrize(("x", "front"), [(LATENCY, [1.0, 1.2, 1.9, 5.0]), (FLOPS, [9, 10, 12, 20, 50])])
def test_every_complete_trial_is_drawn_once(three, x, front):  # noqa: F811
    data = joint_data(three, x)
    assert [(group.label, group.colour, group.hollow, len(group.points)) for group in data.groups] == [
        ("a", SERIES[0], False, 4),
        ("b", SERIES[1], False, 1),
        ("a from scratch", SERIES[0], True, 2),
    ]
    shown = sorted({point.at(x) for point in data.front})
    assert shown == front
    accuracies = [point.accuracy for point in data.front]
    assert accuracies == sorted(accuracies)
    assert "2 backbones" in data.title
    assert data.subtitle.startswith("7 trials, 5 on the joint front of all three objectives")
    assert len(data.members) == len(joint_front(three)) == 5  # one size in every figure
    assert all(point in data.members for point in data.front)


LINE, RING = "front of accuracy and latency", "joint front (5)"


def test_page_and_paper_show_the_same_points(three):  # noqa: F811
    data = joint_data(three, LATENCY)
    page, paper = draw_page(data), draw_paper(data)
    traces = {trace.name: sorted(zip(trace.x, trace.y, strict=True)) for trace in page.data}
    groups = [one for one in paper.axes[0].collections if one.get_label() in traces]
    drawn = {one.get_label(): sorted(map(tuple, one.get_offsets().tolist())) for one in groups}
    assert drawn == {name: points for name, points in traces.items() if name != LINE}
    assert [text.get_text() for text in paper.axes[0].get_legend().get_texts()] == [*traces, "uncertainty"]
    bars = next(trace for trace in page.data if trace.name == LINE).error_x
    assert list(bars.array) == pytest.approx([0.0] * len(data.front))  # these are exact
    assert paper.axes[0].get_xlabel() == data.x.label
    assert len(traces[RING]) == 5
    assert "study a-w" in page.data[2].text[0]


def test_more_backbones_than_colours_are_told_apart_by_their_markers(studied):  # noqa: F811
    many = [studied(f"net{number}", "w", (0.5, 1.0 + number, 10, 1, 0)) for number in range(20)]
    looks = [(group.colour, group.marker) for group in joint_data(many, LATENCY).groups]
    assert len(set(looks)) == 20


def test_two_studies_of_one_backbone_are_told_apart(studied):  # noqa: F811
    both = [studied("a", "none", (0.6, 3.0, 9, 4, 0), name=name) for name in ("short", "long")]
    groups = joint_data(both, LATENCY).groups
    assert [group.label for group in groups] == ["a from scratch (short)", "a from scratch (long)"]
    assert groups[0].marker != groups[1].marker


def test_weights_of_a_file_are_named(studied):  # noqa: F811
    study = dataclasses.replace(studied("a", "w", (0.6, 3.0, 9, 1, 0)), options={"weights": "x/mine.weights.h5"})
    (group,) = joint_data([study], LATENCY).groups
    assert (group.label, group.hollow) == ("a (mine.weights.h5)", False)
