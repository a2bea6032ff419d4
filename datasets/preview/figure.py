"""The preview as a picture: samples of each class, and the class distribution as bars and as a pie."""

import math
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from datasets.preview.samples import ClassRow, Preview, about_test, balance, heading
from datasets.wording import printable

_BAR = "#0072B2"  # Okabe and Ito: told apart by colour-blind readers
_REST = "#B8B8B8"
_FAINT = "#555555"
ROWS = 25  # classes below each other; more go into further columns
_NAME = 24  # characters of a class name
_GAP = 0.08  # between pictures, share of their side


def draw(preview: Preview) -> Figure:
    """All of it on one page."""
    blocks = math.ceil(len(preview.rows) / ROWS)
    rows = math.ceil(len(preview.rows) / blocks)
    across = max(len(row.samples) + len(row.changed) for row in preview.rows)
    cell = min(1.0, max(7.5 / rows, 0.35)) if blocks == 1 else 0.38  # inches
    width = max(10.0, blocks * (across * cell + 1.8))
    notes = _notes(preview)
    heights = (0.5 + 0.2 * len(notes), rows * cell + 0.3, _charts_height(preview))
    figure = Figure(figsize=(width, sum(heights)), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.06))
    parts: Any = figure.subfigures(3, 1, height_ratios=heights)
    head, grid, charts = parts
    for number, line in enumerate([heading(preview), *notes]):
        down = 0.15 + (0.15 + 0.2 * number if number else 0)  # inches
        size, colour = (9, _FAINT) if number else (13, "black")
        head.text(0.15 / width, 1 - down / heights[0], line, va="top", size=size, color=colour, parse_math=False)
    for axes, first in zip(np.ravel(grid.subplots(1, blocks)), range(0, len(preview.rows), rows), strict=True):
        _draw_samples(axes, preview.rows[first : first + rows], across)
    _draw_charts(charts, preview)
    return figure


def draw_counts(preview: Preview) -> Figure:
    """The bars alone, for the page."""
    figure = _alone(16.0 if _is_long(preview) else 6.4, 4.6 if _is_long(preview) else _charts_height(preview))
    _draw_bars(figure.subplots(), preview)
    return figure


def draw_shares(preview: Preview) -> Figure:
    """The pie alone, for the page."""
    figure = _alone(5.2, 4.0 if _is_long(preview) else _charts_height(preview))
    _draw_pie(figure.subplots(), preview)
    return figure


def _alone(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.06))


def strip(row: ClassRow, across: int) -> np.ndarray:
    """(h, w, 3) uint8: the samples side by side on white, then the changed ones after a wider gap."""
    height, width = row.samples.shape[1:3]
    gap = max(1, round(_GAP * width))
    tile = np.full((height, across * (width + gap) + (2 * gap if len(row.changed) else 0), 3), 255, np.uint8)
    for number, picture in enumerate([*row.samples, *row.changed]):
        left = number * (width + gap) + (2 * gap if number >= len(row.samples) else 0)
        tile[:, left : left + width] = picture  # grey is repeated in three channels
    return tile


def _is_long(preview: Preview) -> bool:
    return len(preview.rows) > ROWS


def _charts_height(preview: Preview) -> float:
    return 8.5 if _is_long(preview) else max(3.6, 0.28 * len(preview.rows) + 1.0)


def _notes(preview: Preview) -> list[str]:
    notes = [balance(preview), f"test split: {about_test(preview)}"]
    if len(preview.counts) > len(preview.rows):
        notes.append(f"shown are the first {len(preview.rows)} of {len(preview.counts):,} classes")
    if preview.augment != "none":
        notes.append(f"right of the gap: the first picture of the row after {preview.augment} augmentation")
    return notes


def _draw_samples(axes: Axes, rows: tuple[ClassRow, ...], across: int) -> None:
    strips = [strip(row, across) for row in rows]
    height, width = strips[0].shape[:2]
    gap = max(1, round(_GAP * height))
    spaced = [np.concatenate([pictures, np.full((gap, width, 3), 255, np.uint8)]) for pictures in strips]
    axes.imshow(np.concatenate(spaced), interpolation="nearest" if height < 64 else "antialiased")
    axes.set_yticks([number * (height + gap) + height / 2 for number in range(len(rows))], _names(rows))
    axes.set_xticks([])
    axes.set_anchor("NW")  # a shorter last column begins at the top too
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    _plain(axes)


def _draw_charts(figure: Figure | SubFigure, preview: Preview) -> None:
    bars, pie = figure.subplots(2, 1) if _is_long(preview) else figure.subplots(1, 2, width_ratios=(3, 2))
    _draw_bars(bars, preview)
    _draw_pie(pie, preview)


def _draw_bars(bars: Axes, preview: Preview) -> None:
    if _is_long(preview):
        bars.bar(range(len(preview.rows)), [row.pictures for row in preview.rows], color=_BAR)
        bars.set_xticks(range(len(preview.rows)), _names(preview.rows), rotation=90, fontsize=7)
        bars.set_xlim(-0.7, len(preview.rows) - 0.3)
        bars.set_ylabel("pictures")
        bars.yaxis.set_major_formatter("{x:,.0f}")
        bars.grid(axis="y", color="#E6E6E6", linewidth=0.7)
    else:
        drawn = bars.barh(range(len(preview.rows)), [row.pictures for row in preview.rows], color=_BAR)
        bars.bar_label(drawn, [f" {row.pictures:,}" for row in preview.rows], fontsize=9)
        bars.set_yticks(range(len(preview.rows)), _names(preview.rows))
        room = max(len(preview.rows), 5) / 2  # two bars need not fill the page
        bars.set_ylim((len(preview.rows) - 1) / 2 + room, (len(preview.rows) - 1) / 2 - room)
        bars.margins(x=0.15)
        bars.xaxis.set_major_formatter("{x:,.0f}")
        bars.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10], integer=True))
        bars.set_xlabel("pictures")
        bars.grid(axis="x", color="#E6E6E6", linewidth=0.7)
    bars.set_axisbelow(True)
    bars.spines[["top", "right"]].set_visible(False)
    bars.set_title("pictures of each class", fontsize=10, loc="left")
    _plain(bars)


def _draw_pie(axes: Axes, preview: Preview) -> None:
    """Every slice is labelled beside it, so that colours need not be told apart."""
    counts = [count for _, count in preview.slices]
    labels = [f"{_short(name)}  {count / preview.n:.1%}" for name, count in preview.slices]
    colours = [colormaps["cividis"](share) for share in np.linspace(0.15, 0.95, len(counts))]
    if len(counts) < len(preview.counts):
        colours[-1] = _REST
    most = counts.index(max(counts))
    start = 90.0
    if 2 * counts[most] > preview.n:  # on the left; the labels of thin slices have room below each other on the right
        start = 180 + 360 * (sum(counts[:most]) + counts[most] / 2) / preview.n
    axes.pie(
        counts,
        labels=labels,
        colors=colours,
        startangle=start,
        counterclock=False,
        wedgeprops={"edgecolor": "white", "linewidth": 1},
        textprops={"fontsize": 8},
    )
    axes.set_title("share of all pictures", fontsize=10, loc="left")
    _plain(axes)


def _names(rows: tuple[ClassRow, ...]) -> list[str]:
    return [_short(row.name) for row in rows]


def _short(name: str) -> str:
    name = printable(name)
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"


def _plain(axes: Axes) -> None:
    """A `$` in a class's name is a character, not a formula."""
    for text in (*axes.get_xticklabels(), *axes.get_yticklabels(), *axes.texts):
        text.set_parse_math(False)
