"""The plots as PNG, SVG and PDF for a report: drawn by Matplotlib, so that no browser is needed."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from studies.objectives import FLOPS, LATENCY, VAL_ACCURACY, Objective
from studies.paths import in_one_step
from studies.plots.data import INTERVAL, ParetoData, Point, ThreeData, is_wide, label_groups
from studies.plots.style import BEYOND, FAINT, FRONT, GRID, QUIET

FORMATS = ("png", "svg", "pdf")
SIZE = (8.0, 5.0)  # inches
SUBTITLE_WIDTH = 105  # characters of a line that fit


def draw_pareto(data: ParetoData) -> Figure:
    """Accuracy against latency or FLOPs: the front joined by steps, dominated trials faint, members numbered."""
    figure, axes = framed(data.title, data.subtitle)
    axes.scatter(
        [p.at(data.x) for p in data.dominated],
        [p.accuracy for p in data.dominated],
        s=28,
        c=FAINT,
        label="dominated",
        zorder=1,
    )
    if data.beyond:
        axes.scatter(
            [p.at(data.x) for p in data.beyond],
            [p.accuracy for p in data.beyond],
            s=42,
            marker="D",
            facecolors="none",
            edgecolors=BEYOND,
            label="on the front of all three",
            zorder=2,
        )
    xs, ys = [p.at(data.x) for p in data.front], [p.accuracy for p in data.front]
    axes.step(xs, ys, where="post", color=FRONT, linewidth=1.2, zorder=2)
    axes.scatter(xs, ys, s=48, c=FRONT, label="front", zorder=3)
    if data.band.at:
        axes.fill_between(data.band.at, data.band.low, data.band.high, step="post", color=FRONT, alpha=0.12,
                          linewidth=0, label=INTERVAL, zorder=0)  # fmt: skip
    uncertainty(axes, data.front, data.x)
    if data.log_x:
        logarithmic(axes)
    axes.set_xlim(data.x_range)
    axes.set_ylim(data.y_range)
    _number(axes, data.front, data.x)
    axes.set_xlabel(data.x.label)
    axes.legend(loc="lower right", frameon=True, fontsize=9)
    return figure


def draw_three(data: ThreeData) -> Figure:
    """All three on paper: accuracy against latency, FLOPs as colour; members of the front large and numbered."""
    figure, axes = framed(data.title, data.subtitle)
    points = [*data.dominated, *data.front]  # the front on top
    drawn = axes.scatter(
        [p.at(LATENCY) for p in points],
        [p.accuracy for p in points],
        c=[p.at(FLOPS) for p in points],
        s=[22] * len(data.dominated) + [90] * len(data.front),
        cmap="viridis",
        edgecolors="black",
        linewidths=[0.2] * len(data.dominated) + [1.0] * len(data.front),
    )
    if is_wide([point.at(LATENCY) for point in points]):
        logarithmic(axes)
    axes.set_ylim(data.y_range)
    axes.autoscale_view(scaley=False)
    _number(axes, data.front, LATENCY)
    axes.set_xlabel(LATENCY.label)
    figure.colorbar(drawn, ax=axes, label=f"{FLOPS.label}; large: on the front")
    return figure


def write(figure: Figure, stem: Path) -> list[Path]:
    """`stem` with each of `FORMATS` as suffix."""
    paths = [stem.with_name(f"{stem.name}.{suffix}") for suffix in FORMATS]
    for path in paths:
        with in_one_step(path) as part:
            figure.savefig(part, dpi=150)
    return paths


def framed(title: str, subtitle: str) -> tuple[Figure, Axes]:
    """An empty figure with title, grid and the look of all our pictures."""
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.add_subplot()
    figure.suptitle(plain(title), fontsize=13, x=0.02, ha="left")
    axes.set_title(plain(textwrap.fill(subtitle, SUBTITLE_WIDTH)), fontsize=9, loc="left", color=QUIET)
    axes.set_ylabel(VAL_ACCURACY.label)
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def plain(text: str) -> str:
    """A text with a name in it: Matplotlib reads formulas between dollars."""
    return text.replace("$", r"\$")


def uncertainty(axes: Axes, points: Sequence[Point], x: Objective) -> None:
    """Bars along x: how far latencies may be off."""
    if x is not LATENCY:
        return
    xs, ys = [p.at(x) for p in points], [p.accuracy for p in points]
    off = [[p.at(x) - p.latency_low for p in points], [p.latency_high - p.at(x) for p in points]]
    axes.errorbar(xs, ys, xerr=off, fmt="none", ecolor=FRONT, elinewidth=0.8, capsize=2, alpha=0.4, label="uncertainty")


def _number(axes: Axes, points: Sequence[Point], x: Objective) -> None:
    """The trial's number beside each point of the front; points that almost coincide share a label."""
    to_share = axes.transData + axes.transAxes.inverted()  # from data to shares of the axes
    placed = [(*to_share.transform((point.at(x), point.accuracy)), point.number) for point in points]
    for across, up, text in label_groups(placed, x_reach=0.035, y_reach=0.045):
        axes.annotate(text, (across, up), (6, 5), xycoords="axes fraction", textcoords="offset points", fontsize=9)


def logarithmic(axes: Axes) -> None:
    """Make the x axis logarithmic, with plain numbers at its ticks."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
