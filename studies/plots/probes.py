"""Maps drawn: accuracy of frozen places against a cost, a line for each side, the front over all of them marked."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go
from matplotlib.figure import Figure

from studies.objectives import VAL_ACCURACY, Objective
from studies.plots import page, paper
from studies.plots.data import is_wide
from studies.plots.style import BLACK, INK, SERIES
from studies.probes import Map, Probe, front
from studies.tables.probes import kept

DASHES = ("solid", "dash", "dot", "dashdot")
LINES = ("-", "--", ":", "-.")  # the same for Matplotlib


class Line(NamedTuple):
    """One side of one network, by the blocks that are kept."""

    name: str
    backbone: int  # its number, for dashes
    side: int  # its number, for colours
    points: tuple[Probe, ...]


class MapData(NamedTuple):
    """What there is to draw."""

    title: str
    subtitle: str
    x: Objective
    log_x: bool
    lines: tuple[Line, ...]
    front: tuple[Probe, ...]  # over all lines, by accuracy and this cost


def map_data(maps: Sequence[Map], x: Objective) -> MapData:
    """What to draw of maps for accuracy against the cost `x`."""
    sides = sorted({side for one in maps for side in one.resolutions})
    several = len(maps) > 1
    lines = tuple(
        Line(
            f"{one.backbone}, {side} px" if several else f"{side} px",
            number,
            sides.index(side),
            tuple(probe for probe in one.probes if probe.resolution == side),
        )
        for number, one in enumerate(maps)
        for side in one.resolutions
    )
    probes = [probe for one in maps for probe in one.probes]
    names = ", ".join(one.backbone for one in maps)
    sizes = dict.fromkeys(f"{one.n_train:,} training and {one.n_val:,} validation pictures" for one in maps)
    return MapData(
        title=f"Map of {names} on {maps[0].dataset}",
        subtitle=f"a linear classifier on each block, nothing trained; numbers: blocks kept; {'; '.join(sizes)}",
        x=x,
        log_x=is_wide([x.shown(getattr(probe, x.name)) for probe in probes]),
        lines=lines,
        front=tuple(sorted(front(probes, (VAL_ACCURACY, x)), key=lambda probe: getattr(probe, x.name))),
    )


def draw_paper(data: MapData) -> Figure:
    """By Matplotlib."""
    figure, axes = paper.framed(data.title, data.subtitle)
    for line in data.lines:
        xs, ys = _places(line.points, data.x)
        style = LINES[line.backbone % len(LINES)]
        axes.plot(xs, ys, style, color=_colour(line), marker="o", markersize=3.5, linewidth=1.2, label=line.name)
    xs, ys = _places(data.front, data.x)
    axes.scatter(xs, ys, s=64, facecolors="none", edgecolors=BLACK, linewidths=1.1, label="front", zorder=4)
    for probe, place in _labelled(data):
        axes.annotate(str(probe.kept), place, (0, 7), textcoords="offset points", fontsize=8, ha="center", color=INK)
    if data.log_x:
        paper.logarithmic(axes)
    axes.set_xlabel(data.x.label)
    figure.legend(loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    return figure


def draw_page(data: MapData) -> go.Figure:
    """By Plotly, with a title."""
    return page.framed(draw_map(data), data.title, data.subtitle)


def draw_map(data: MapData) -> go.Figure:
    """By Plotly, without one."""
    figure = go.Figure()
    for line in data.lines:
        xs, ys = _places(line.points, data.x)
        figure.add_scatter(
            x=xs,
            y=ys,
            mode="lines+markers",
            name=line.name,
            line={"color": _colour(line), "width": 1.5, "dash": DASHES[line.backbone % len(DASHES)]},
            marker={"size": 6},
            text=[_text(probe) for probe in line.points],
            hovertemplate="%{text}<extra></extra>",
        )
    xs, ys = _places(data.front, data.x)
    figure.add_scatter(
        x=xs,
        y=ys,
        mode="markers",
        name="front",
        marker={"color": BLACK, "size": 12, "symbol": "circle-open", "line": {"width": 1.5}},
        text=[_text(probe) for probe in data.front],
        hovertemplate="%{text}<extra></extra>",
    )
    values = [x for line in data.lines for x in _places(line.points, data.x)[0]]
    figure.update_xaxes(title=data.x.label, **page.axis_of(values))
    figure.update_yaxes(title=VAL_ACCURACY.label)
    return figure


def _places(probes: Sequence[Probe], x: Objective) -> tuple[list[float], list[float]]:
    return [x.shown(getattr(probe, x.name)) for probe in probes], [probe.val_accuracy for probe in probes]


def _labelled(data: MapData) -> list[tuple[Probe, tuple[float, float]]]:
    """Members of the front that are named: of those of one side that follow one another the last."""
    xs, ys = _places(data.front, data.x)
    places = list(zip(data.front, zip(xs, ys, strict=True), strict=True))
    following = itertools.zip_longest(places, places[1:])
    return [one for one, after in following if not after or after[0].resolution != one[0].resolution]


def _text(probe: Probe) -> str:
    latency = probe.measurement.latency
    return "<br>".join(
        [
            f"<b>{probe.backbone}, {probe.resolution} px</b>",
            f"{kept(probe)}, frozen",
            f"val_accuracy {probe.val_accuracy:.4f}",
            f"latency {probe.latency_ms:.3g} ms ({latency.measured_in})",
            f"{probe.flops / 1e6:.4g} MFLOPs, {probe.measurement.parameters:,} weights",
        ]
    )


def _colour(line: Line) -> str:
    return SERIES[line.side % len(SERIES)]
