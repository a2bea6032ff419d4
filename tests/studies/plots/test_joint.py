"""The joint front: a colour for each backbone, hollow from scratch, every complete trial once."""

import dataclasses
from html import escape

import matplotlib
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


def test_one_long_bar_is_cut_and_the_subtitle_names_its_study(studied, make_record):  # noqa: F811
    def slow(place, **changes):
        return dataclasses.replace(studied("b", "w"), records=[make_record(place, 0.9, 11.0, 20, **changes)])

    even = studied("a", "w", (0.7, 10.0, 10, 0, 0), (0.8, 10.5, 20, 1, 0))
    data = joint_data([even, slow(4, unsure=24.7)], LATENCY)
    assert data.x_range == pytest.approx((9.92, 11.08))
    assert data.subtitle.endswith("; the bar of trial 4 of b-w (0 to 35.7 ms) is cut at the axis")
    assert draw_page(data).layout.xaxis.range == draw_paper(data).axes[0].get_xlim() == data.x_range
    assert all("cut" not in joint_data(studies, x).subtitle for studies, x in (
        ([even, slow(4, unsure=0.0)], LATENCY), ([even, slow(4, unsure=24.7)], FLOPS)
    ))  # fmt: skip


def test_a_long_bar_is_cut_on_a_logarithmic_axis_too(studied, make_record):  # noqa: F811
    unsure = make_record(0, 0.9, 20.0, 20, unsure=400.0)
    data = joint_data(
        [studied("a", "w", (0.7, 1.0, 10, 0, 0)), dataclasses.replace(studied("b", "w"), records=[unsure])], LATENCY
    )
    assert "trial 0 of b-w (0 to 420 ms)" in data.subtitle
    page, axes = draw_page(data), draw_paper(data).axes[0]
    assert (page.layout.xaxis.type, axes.get_xscale()) == ("log", "log")
    assert axes.get_xlim() == data.x_range
    assert [10**end for end in page.layout.xaxis.range] == pytest.approx(data.x_range)
    assert data.x_range == pytest.approx((0.787, 25.42), rel=1e-3)


def test_every_member_of_the_joint_front_is_on_the_accuracy_axis(studied):  # noqa: F811
    """Trial 0 is on it by its FLOPs alone, far below the front of accuracy and latency."""
    data = joint_data([studied("a", "w", (0.3, 3.0, 1, 0, 0), (0.9, 2.0, 20, 1, 0), (0.92, 2.5, 20, 1, 0))], LATENCY)
    assert [point.accuracy for point in data.front] == [0.9, 0.92]
    assert min(point.accuracy for point in data.members) == 0.3 > data.y_range[0]
    assert "below the axis" not in data.subtitle


@pytest.mark.parametrize("file", [r"x$\frac$.h5", "a_$b$.h5", r"\$<b>.h5"])
def test_names_are_drawn_as_they_are(studied, tmp_path, file):  # noqa: F811
    study = dataclasses.replace(studied("a", "w", (0.6, 3.0, 9, 1, 0)), options={"weights": f"x/{file}"})
    data = joint_data([study], LATENCY)._replace(title=file)
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        draw_paper(data).savefig(tmp_path / "joint.svg")
    drawn = (tmp_path / "joint.svg").read_text(encoding="utf-8")
    assert f">{escape(file)}</text>" in drawn and f">a ({escape(file)})</text>" in drawn
    name = draw_page(data).data[-1].name
    assert "$" not in name and "<" not in name
