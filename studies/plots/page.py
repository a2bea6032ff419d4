"""The Pareto plots of a study by Plotly, for a browser. `studies.plots.paper` draws the same data without one."""

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from studies.objectives import FLOPS, LATENCY, VAL_ACCURACY, Objective
from studies.paths import write_text
from studies.plots.data import INTERVAL, Band, ParetoData, Point, ThreeData, cost_range, is_wide
from studies.plots.style import AXIS, BAND, BEYOND, FAINT, FRONT, GRID, INK, QUIET, UNSURE
from studies.wording import printable

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
body {{ margin: 0; padding: .8rem; box-sizing: border-box; height: 100vh; min-height: 30rem; display: flex;
  flex-direction: column; font: 15px/1.45 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: {ink} }}
h1 {{ font-size: 1.25rem; font-weight: 600; margin: 0; overflow-wrap: anywhere }}
p {{ color: {quiet}; margin: .2rem 0 0 }}
main {{ flex: 1; min-height: 0 }} main > div {{ height: 100% }}
</style></head>
<body><header><h1>{title}</h1><p>{subtitle}</p></header><main>{plot}</main></body></html>
"""
# A scene is cut at the sides of a phone: step back from it.
STEP_BACK = """
const place = document.getElementById("{plot_id}"), eye = place.layout.scene && place.layout.scene.camera.eye;
if (eye && place.clientWidth < 520)
  Plotly.relayout(place, "scene.camera.eye", {x: 1.55 * eye.x, y: 1.55 * eye.y, z: 1.55 * eye.z});
"""


def draw_pareto(data: ParetoData) -> go.Figure:
    """The front as a line with marked members, the other trials behind it."""
    figure = go.Figure()
    _shade(figure, data.band)
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
    figure.update_xaxes(
        title=data.x.label, **axis_of([p.at(data.x) for p in data.everything]), range=ends(data.x_range, data.log_x)
    )
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
    costs = {
        name: {**axis_of(values), "range": ends(cost_range(values), is_wide(values)), "title": {"text": cost.title}}
        for name, cost in (("xaxis", LATENCY), ("yaxis", FLOPS))
        for values in ([p.at(cost) for p in points],)
    }
    figure.update_scenes(
        **costs,
        zaxis={"range": data.y_range, "title": {"text": VAL_ACCURACY.title}, "nticks": 6},
        camera={"eye": {"x": -1.5, "y": -1.5, "z": 0.75}, "center": {"z": -0.12}},
        aspectmode="cube",
    )
    edges = {"showline": True, "mirror": True, "linecolor": AXIS, "linewidth": 2, "gridcolor": GRID}
    figure.update_scenes(xaxis=edges, yaxis=edges, zaxis=edges)  # all twelve edges of the box
    return framed(figure, data.title, data.subtitle).update_layout(margin={"l": 0, "r": 0, "b": 0})


def _shade(figure: go.Figure, band: Band) -> None:
    """Between which steps the front may lie."""
    for heights, fill, label in ((band.low, None, ""), (band.high, "tonexty", INTERVAL)):
        if band.at:
            figure.add_scatter(
                x=band.at, y=heights, mode="lines", line={"shape": "hv", "width": 0}, fill=fill, fillcolor=BAND,
                name=label, showlegend=bool(label), hoverinfo="skip",
            )  # fmt: skip


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


def ends(axis: tuple[float, float], log: bool) -> tuple[float, float]:
    """Of an axis as Plotly takes them, which wants exponents of ten where it is logarithmic."""
    return (math.log10(axis[0]), math.log10(axis[1])) if log else axis


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
    """One file with everything inside, for a browser without a network; title and subtitle wrap on a phone."""
    bare = go.Figure(figure).update_layout(title={"text": "", "subtitle": {"text": ""}}, margin={"t": 30, "r": 12})
    plot = bare.to_html(
        include_plotlyjs=True,
        full_html=False,
        default_height="100%",
        post_script=STEP_BACK,
        config={"displaylogo": False, "responsive": True, "modeBarButtonsToRemove": ["sendChartToCloud"]},
    )
    title = figure.layout.title
    words = {"title": escape(title.text), "subtitle": escape(title.subtitle.text or "")}
    write_text(path, PAGE.format(**words, plot=plot, ink=INK, quiet=QUIET))


def safe(text: str) -> str:
    """A name for a label: Plotly reads some HTML, and formulas between dollars."""
    return escape(printable(text), quote=False).replace("$", "&#36;")


def framed(figure: go.Figure, title: str, subtitle: str) -> go.Figure:
    """A figure with title, legend and the look of all our pages."""
    return figure.update_layout(
        template="plotly_white",
        title={"text": title, "subtitle": {"text": subtitle}},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "xanchor": "left"},
        margin={"t": 110},
        font={"size": 14},
        hoverlabel={"align": "left"},
    )
