"""The Pareto plots of a study by Plotly, for a browser. `studies.plots.paper` draws the same data without one."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from studies.objectives import FLOPS, LATENCY, VAL_ACCURACY, Objective
from studies.paths import write_text
from studies.plots.data import ParetoData, Point, ThreeData, is_wide
from studies.plots.style import BEYOND, FAINT, FRONT, UNSURE


def draw_pareto(data: ParetoData) -> go.Figure:
    """The front as a line with marked members, the other trials behind it."""
    figure = go.Figure()
    groups = (
        (data.dominated, "dominated", {"color": FAINT, "size": 8, "opacity": 0.7}),
        (data.beyond, "on the front of all three", {"color": BEYOND, "size": 10, "symbol": "diamond-open"}),
    )
    for points, name, marker in groups:
        if points:
            figure.add_scatter(
                x=[p.at(data.x) for p in points],
                y=[p.accuracy for p in points],
                mode="markers",
                name=name,
                marker=marker,
                text=[p.text for p in points],
                hovertemplate="%{text}<extra></extra>",
            )
    figure.add_scatter(
        x=[p.at(data.x) for p in data.front],
        y=[p.accuracy for p in data.front],
        mode="lines+markers",
        name="front",
        line={"shape": "hv", "color": FRONT, "width": 1.5},
        marker={"color": FRONT, "size": 10},
        text=[p.text for p in data.front],
        error_x=uncertainty(data.front, data.x),
        hovertemplate="%{text}<extra></extra>",
    )
    figure.update_xaxes(title=data.x.label, **axis_of([p.at(data.x) for p in data.everything]))
    figure.update_yaxes(title=VAL_ACCURACY.label, range=data.y_range)
    return framed(figure, data.title, data.subtitle)


def draw_three(data: ThreeData) -> go.Figure:
    """Latency, FLOPs and accuracy in space, the front in colour."""
    figure = go.Figure()
    points: list[Point] = []
    for group, label, marker in (
        (data.dominated, "dominated", {"color": FAINT, "size": 4, "opacity": 0.7}),
        (data.front, "front", {"color": FRONT, "size": 6}),
    ):
        shown = [point for point in group if point.accuracy >= data.y_range[0]]  # a scene does not clip what is outside
        points += shown
        if shown:
            figure.add_scatter3d(
                x=[p.at(LATENCY) for p in shown],
                y=[p.at(FLOPS) for p in shown],
                z=[p.accuracy for p in shown],
                mode="markers",
                name=label,
                marker=marker,
                text=[p.text for p in shown],
                hovertemplate="%{text}<extra></extra>",
            )
    figure.update_scenes(
        xaxis_title=LATENCY.title,
        yaxis_title=FLOPS.label,
        zaxis_title=VAL_ACCURACY.brief,
        xaxis=axis_of([p.at(LATENCY) for p in points]),
        yaxis=axis_of([p.at(FLOPS) for p in points]),
        zaxis_range=data.y_range,
        camera={"eye": {"x": -1.5, "y": -1.5, "z": 0.7}, "center": {"z": -0.15}},
    )
    return framed(figure, data.title, data.subtitle)


def uncertainty(points: Sequence[Point], x: Objective) -> dict[str, Any] | None:
    """Plotly's bars along x: how far latencies may be off."""
    if x is not LATENCY:
        return None
    return {
        "type": "data",
        "symmetric": False,
        "array": [p.latency_high - p.at(LATENCY) for p in points],
        "arrayminus": [p.at(LATENCY) - p.latency_low for p in points],
        "thickness": 1,
        "width": 3,
        "color": UNSURE,
    }


def axis_of(values: Sequence[float]) -> dict[str, Any]:
    """Plotly's settings of an axis: linear, or logarithmic with ticks at 1, 2 and 5 written in full."""
    if not is_wide(values):
        return {"type": "linear"}
    ticks = log_ticks(min(values), max(values))
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten, from the last one below `low` to the first one above `high`."""
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    ticks = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5)]
    below = [tick for tick in ticks if tick <= low][-1:]
    return below + [tick for tick in ticks if low < tick < high] + [tick for tick in ticks if tick >= high][:1]


def write_html(figure: go.Figure, path: Path) -> None:
    """One file with everything inside, for a browser without a network."""
    page = figure.to_html(
        include_plotlyjs=True,
        full_html=True,
        default_height="96vh",
        config={"displaylogo": False, "responsive": True, "modeBarButtonsToRemove": ["sendChartToCloud"]},
    )
    write_text(path, page)


def framed(figure: go.Figure, title: str, subtitle: str) -> go.Figure:
    """A figure with title, legend and the look of all our pages."""
    return figure.update_layout(
        template="plotly_white",
        title={"text": title, "subtitle": {"text": subtitle}},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 1, "xanchor": "right"},
        margin={"t": 110},
        font={"size": 14},
        hoverlabel={"align": "left"},
    )
