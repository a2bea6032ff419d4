"""The Pareto plots for a browser: what Plotly is told, and that a page needs no network."""

import json
import math
import re

import pytest

from studies.objectives import LATENCY
from studies.plots import page
from studies.plots.data import pareto_data, three_data
from tests.browser import OVERLAPS, browser  # noqa: F401  (fixture)


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


def test_the_front_has_its_band_and_the_axis_its_width(make_record):
    records = [make_record(0, 0.8, 1.0, 10, val_size=100), make_record(1, 0.9, 20.0, 20, val_size=100)]
    data = pareto_data("s", records, LATENCY)
    low, high = page.draw_pareto(data).data[:2]
    assert (low.x, low.y, high.y) == data.band
    assert (low.showlegend, high.name, high.fill) == (False, "95 % interval", "tonexty")
    layout = page.draw_pareto(data).layout
    assert layout.xaxis.range == pytest.approx([math.log10(end) for end in data.x_range])  # logarithmic
    scene = page.draw_three(three_data("s", records)).layout.scene
    assert all((axis.showline, axis.mirror) == (True, True) for axis in (scene.xaxis, scene.yaxis, scene.zaxis))


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_title_legend_and_ticks_keep_apart_in_a_browser(browser, make_record, tmp_path, width):  # noqa: F811
    """A long name, all groups of points, and a subtitle that says all it can."""
    records = [
        make_record(n, 0.6 + n / 40 - (n == 3) * 0.2, 0.5 + n, 30 - 2 * n, val_size=1000, unsure=50.0 * (n == 9))
        for n in range(10)
    ]
    name, path = "efficientnet_v2_b0-a_folder_with_a_long_name", tmp_path / "page.html"
    for figure in (page.draw_pareto(pareto_data(name, records, LATENCY)), page.draw_three(three_data(name, records))):
        page.write_html(figure, path)
        tab = browser.new_page(viewport={"width": width, "height": 844})
        tab.goto(path.as_uri())
        tab.wait_for_selector(".legendtext")
        tab.wait_for_timeout(300)
        assert tab.evaluate("document.documentElement.scrollWidth") == width
        assert tab.evaluate(OVERLAPS) == []
        header, legend = (tab.locator(place).bounding_box() for place in ("header", ".legend"))
        assert header["x"] + header["width"] <= width
        assert header["y"] + header["height"] <= legend["y"]
        assert legend["x"] + legend["width"] <= width
        tab.close()
