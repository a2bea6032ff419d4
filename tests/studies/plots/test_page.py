"""The Pareto plots for a browser: what Plotly is told, and that a page needs no network."""

import json
import re

import pytest

from studies.objectives import LATENCY
from studies.plots import page
from studies.plots.data import pareto_data, three_data


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(2.4, 38.0, [2, 5, 10, 20, 50]), (0.3, 9.0, [0.2, 0.5, 1, 2, 5, 10]), (1, 100, [1, 2, 5, 10, 20, 50, 100])],
)
def test_ticks_of_a_logarithmic_axis(low, high, ticks):
    assert page.log_ticks(low, high) == pytest.approx(ticks)


def test_figure_joins_the_front_by_steps(records):
    figure = page.draw_pareto(pareto_data("s", records, LATENCY))
    front = next(trace for trace in figure.data if trace.name == "front")
    assert front.line.shape == "hv"
    assert list(front.x) == [1.0, 2.0]
    assert list(front.y) == [0.8, 0.9]
    assert list(front.error_x.array) == pytest.approx([0.15, 0.3])
    assert figure.layout.xaxis.title.text == "latency (ms per picture, batch 1)"
    assert figure.layout.yaxis.title.text == "validation accuracy (share correct)"
    dominated = next(trace for trace in figure.data if trace.name == "dominated")
    assert dominated.marker.opacity < 1


def test_three_objectives_in_space(records):
    figure = page.draw_three(three_data("s", records))
    front = next(trace for trace in figure.data if trace.name == "front")
    assert sorted(zip(front.x, front.y, front.z, strict=True)) == [(1.0, 10.0, 0.8), (1.5, 5.0, 0.78), (2.0, 20.0, 0.9)]


def test_page_is_self_contained(records, tmp_path):
    path = tmp_path / "a.html"
    page.write_html(page.draw_pareto(pareto_data("study <b>", records, LATENCY)), path)
    text = path.read_text(encoding="utf-8")
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=", text)
    assert json.dumps("dominated") in text
    assert len(text) > 1_000_000  # Plotly itself is inside


def test_empty_study_is_drawn_without_points():
    data = pareto_data("s", [], LATENCY)
    assert data.front == data.beyond == data.dominated == ()
    assert page.draw_pareto(data).layout.title.text == "s: accuracy against latency"
    assert page.draw_three(three_data("s", [])).layout.title.text == "s: accuracy, latency and FLOPs"
