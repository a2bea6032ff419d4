"""What the Pareto plots show, and that the pages hold it without a network."""

import json
import re

import pytest

from studies.objectives import FLOPS, LATENCY
from studies.plots import page


def numbers(points):
    return [point.number for point in points]


def test_groups_of_accuracy_against_latency(records):
    data = page.pareto_data("s", records, LATENCY)
    assert (numbers(data.front), numbers(data.beyond), numbers(data.dominated)) == ([0, 1], [2], [3])
    assert data.x.label == "latency (ms per picture, batch 1, median)"
    assert "not drawn: 1 over budget, 1 failed" in data.subtitle
    assert data.subtitle.startswith("4 trials, 3 on the front of all three objectives")


def test_groups_of_accuracy_against_flops(records):
    data = page.pareto_data("s", records, FLOPS)
    assert (numbers(data.front), numbers(data.beyond), numbers(data.dominated)) == ([2, 0, 1], [], [3])
    assert data.x.label == "MFLOPs per picture"


def test_hover_names_every_parameter_and_number(records):
    text = page.to_point(records[1]).text
    for part in (
        "trial 1",
        "32 px",
        "top 1 block free",
        "head 128",
        "dropout 0.25",
        "1.0e-03 cosine",
        "val_accuracy 0.9000 after epoch 2 of 3",
        "latency 2 ms (p10 1.8, p90 2.4)",
        "20 MFLOPs",
        "318,000 weights",
        "4.5 s",
    ):
        assert part in text


def test_wide_axes_are_logarithmic(make_record):
    narrow = [make_record(0, 0.5, 1.0, 1), make_record(1, 0.6, 7.0, 2)]
    assert not page.pareto_data("s", narrow, LATENCY).log_x
    assert page.pareto_data("s", [*narrow, make_record(2, 0.7, 9.0, 3)], LATENCY).log_x


@pytest.mark.parametrize(
    ("values", "on_front", "low", "high"),
    [
        ([], [], 0.0, 1.0),
        ([0.1, 0.8, 0.9], [0.8, 0.9], 0.6 - 0.018, 0.9 + 0.036),  # twice the front's extent below it
        ([0.75, 0.8, 0.9], [0.8, 0.9], 0.75 - 0.009, 0.9 + 0.018),  # but not below the worst trial
        ([0.1, 0.9], [0.9], 0.85 - 0.003, 0.9 + 0.006),
    ],
)  # one member: 0.05
def test_accuracy_axis_shows_the_front(values, on_front, low, high):
    assert page.accuracy_range(values, on_front) == pytest.approx((low, high))


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(2.4, 38.0, [2, 5, 10, 20, 50]), (0.3, 9.0, [0.2, 0.5, 1, 2, 5, 10]), (1, 100, [1, 2, 5, 10, 20, 50, 100])],
)
def test_ticks_of_a_logarithmic_axis(low, high, ticks):
    assert page.log_ticks(low, high) == pytest.approx(ticks)


def test_points_too_close_share_a_label():
    points = [(0.10, 0.5, 3), (0.11, 0.5, 7), (0.11, 0.9, 8), (0.5, 0.9, 9)]
    assert page.label_groups(points, 0.05, 0.05) == [(0.11, 0.5, "3, 7"), (0.11, 0.9, "8"), (0.5, 0.9, "9")]


def test_figure_joins_the_front_by_steps(records):
    figure = page.draw_pareto(page.pareto_data("s", records, LATENCY))
    front = next(trace for trace in figure.data if trace.name == "front")
    assert front.line.shape == "hv"
    assert list(front.x) == [1.0, 2.0]
    assert list(front.y) == [0.8, 0.9]
    assert list(front.error_x.array) == pytest.approx([0.2, 0.4])
    assert figure.layout.xaxis.title.text == "latency (ms per picture, batch 1, median)"
    assert figure.layout.yaxis.title.text == "validation accuracy (share correct)"
    dominated = next(trace for trace in figure.data if trace.name == "dominated")
    assert dominated.marker.opacity < 1


def test_three_objectives_in_space(records):
    figure = page.draw_three("s", records)
    front = next(trace for trace in figure.data if trace.name == "front")
    assert sorted(zip(front.x, front.y, front.z, strict=True)) == [(1.0, 10.0, 0.8), (1.5, 5.0, 0.78), (2.0, 20.0, 0.9)]


def test_page_is_self_contained(records, tmp_path):
    path = tmp_path / "a.html"
    page.write_html(page.draw_pareto(page.pareto_data("study <b>", records, LATENCY)), path)
    text = path.read_text(encoding="utf-8")
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=", text)
    assert json.dumps("dominated") in text
    assert len(text) > 1_000_000  # Plotly itself is inside


def test_empty_study_is_drawn_without_points():
    data = page.pareto_data("s", [], LATENCY)
    assert data.front == data.beyond == data.dominated == ()
    assert page.draw_pareto(data).layout.title.text == "s: accuracy against latency"
    assert page.draw_three("s", []).layout.title.text == "s: accuracy, latency and FLOPs"


def test_every_trial_that_ended_is_drawn_or_counted(make_record):
    drawn = [make_record(0, 0.8, 1.0, 10), make_record(1, 0.7, 2.0, 20)]
    states = ("stopped", "stopped", "duplicate", "infeasible", "failed", "interrupted", "running", "waiting")
    left = [make_record(2 + n, None, 3.0, 30, state=state) for n, state in enumerate(states)]
    assert page.tally(drawn + left) == (
        "2 trials, 1 on the front of all three objectives; not drawn: 2 stopped early, 1 the same as another, "
        "1 over budget, 1 failed, 1 interrupted"
    )
