"""Parallel coordinates: every trial a line from what was decided to what came out.

Each axis is a row, not a column, so that names and values have room. Drawn as ordinary lines: Plotly's own
parallel coordinates need WebGL and lose their colours on paper.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from models.candidate import DIMENSIONS, FIELDS
from studies.objectives import OBJECTIVES
from studies.pareto import front
from studies.plots.page import log_ticks
from studies.plots.style import AXIS, FAINT, FRONT, RECOMMENDED
from studies.records import CompleteTrial, TrialRecord, complete
from studies.report.charts import bare
from studies.tables.trials import columns_of, row, settings_of

RESULTS = sorted(OBJECTIVES, key=lambda objective: not objective.known_before_training)
CAME_OUT = tuple(objective.name for objective in RESULTS)
LOGARITHMIC = {name for name in FIELDS if DIMENSIONS[name].log} | {
    objective.name for objective in OBJECTIVES if objective.log
}
TITLES = {name: DIMENSIONS[name].title or name for name in FIELDS} | {
    objective.name: objective.head for objective in OBJECTIVES
}
ROW = 62  # pixels
VALUES_UP_TO = 8  # of a setting: then each has its tick, at its true place
APART, FROM_END = 0.09, 0.13  # of a row: texts closer than that would meet; those at the ends are not centred


@dataclass(frozen=True)
class Axis:
    """A row: where each trial's line crosses it, from 0 to 1, and what is written below which places."""

    name: str
    places: tuple[float, ...]
    ticks: tuple[tuple[float, str], ...]
    log: bool = False

    @property
    def title(self) -> str:
        """What people read beside the row."""
        return TITLES.get(self.name, self.name) + (", log" if self.log else "")


def axes(records: Sequence[TrialRecord], logarithmic: Collection[str] = ()) -> list[Axis]:
    """Of complete trials: all that differs between them, and the three objectives.

    Args:
        records: of the trials.
        logarithmic: hyperparameters of a HyperModel that are searched on a logarithm.
    """
    rows, settings = [row(record, False, columns_of(records)) for record in records], settings_of(records)
    ours = LOGARITHMIC if settings == FIELDS else set(CAME_OUT) & LOGARITHMIC  # a HyperModel's may be called like ours
    drawn = []
    for name in (*settings, *CAME_OUT):
        values = [trial[name] for trial in rows]
        if name in CAME_OUT or len(set(values)) > 1:
            drawn.append(_axis(name, values, name in ours or name in logarithmic))
    return drawn


def _axis(name: str, values: Sequence[Any], logarithmic: bool) -> Axis:
    values = ["none" if value is None else value for value in values]  # of a hyperparameter that is not active
    try:
        kinds = sorted(set(values))
    except TypeError:
        values = [_label(value) for value in values]
        kinds = sorted(set(values))
    if isinstance(kinds[0], (str, bool)):
        at = {kind: place / max(1, len(kinds) - 1) if len(kinds) > 1 else 0.5 for place, kind in enumerate(kinds)}
        return Axis(name, tuple(at[value] for value in values), tuple((at[kind], _label(kind)) for kind in kinds))
    if len(kinds) == 1:
        return Axis(name, (0.5,) * len(values), ((0.5, _label(kinds[0])),))
    low, high = kinds[0], kinds[-1]
    log = logarithmic and low > 0
    scale = math.log if log else float
    between = kinds[1:-1] if name not in CAME_OUT and len(kinds) <= VALUES_UP_TO else round_values(low, high, log)

    def place(value: float) -> float:
        return (scale(value) - scale(low)) / (scale(high) - scale(low))

    ticks = [(place(value), _label(value)) for value in between]
    return Axis(name, tuple(map(place, values)), _spaced([(0.0, _label(low)), *ticks, (1.0, _label(high))]), log)


def round_values(low: float, high: float, log: bool) -> list[float]:
    """Round numbers between two: 1, 2 and 5 times powers of ten, or a few at equal distances."""
    if log:
        return [value for value in log_ticks(low, high) if low < value < high]
    step = 10.0 ** math.floor(math.log10(high - low))
    step *= next(factor for factor in (0.2, 0.5, 1.0, 2.0, 5.0) if (high - low) / (factor * step) <= 5)
    first = math.floor(low / step) + 1
    return [round(number * step, 12) for number in range(first, math.ceil(high / step)) if number * step < high]


def _spaced(ticks: Sequence[tuple[float, str]]) -> tuple[tuple[float, str], ...]:
    """Both ends, and of those between them what leaves room for the text of each."""
    kept, last = [ticks[0]], ticks[-1]
    for tick in ticks[1:-1]:
        least = APART if len(kept) > 1 else FROM_END
        if tick[0] - kept[-1][0] >= least and last[0] - tick[0] >= FROM_END:
            kept.append(tick)
    return (*kept, last)


def _label(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return f"{value / 1e6:.4g} M" if abs(value) >= 1e6 else f"{value:.3g}" if value < 1000 else f"{value:,.0f}"
    return str(value)


def _brief(record: CompleteTrial) -> str:
    """One line: it is kept for every point of a trial's line."""
    values = [objective.say(getattr(record, objective.name)) for objective in OBJECTIVES]
    return f"trial {record.number}: {', '.join(values)}"


def _lines(
    trained: Sequence[CompleteTrial], belongs: Sequence[bool], rows: Sequence[Axis]
) -> tuple[list[float | None], list[int | None], list[str]]:
    """Of the trials that belong to a group: places, rows and texts, with a gap behind each line."""
    xs: list[float | None] = []
    ys: list[int | None] = []
    texts: list[str] = []
    for number, record in enumerate(trained):
        if belongs[number]:
            xs += [*(axis.places[number] for axis in rows), None]
            ys += [*range(len(rows)), None]
            texts += [_brief(record)] * (len(rows) + 1)
    return xs, ys, texts


def draw(
    records: Sequence[TrialRecord], recommended: int | None, logarithmic: Collection[str] = ()
) -> tuple[go.Figure, int]:
    """The figure and its height in pixels; dominated trials are grey, the front blue, the recommended one thick."""
    trained = complete(records)
    rows = axes(trained, logarithmic)
    members = {record.number for record in front(trained)} - {recommended}
    groups = (
        ("dominated", [r.number not in members and r.number != recommended for r in trained], FAINT, 1.0, "dot"),
        ("front", [record.number in members for record in trained], FRONT, 1.6, "solid"),
        (f"recommended: trial {recommended}", [r.number == recommended for r in trained], RECOMMENDED, 4.0, "solid"),
    )
    figure = go.Figure()
    for label, belongs, colour, width, dash in groups:
        xs, ys, texts = _lines(trained, belongs, rows)
        if xs:
            figure.add_scatter(
                x=xs,
                y=ys,
                mode="lines+markers",
                name=label,
                line={"color": colour, "width": width, "dash": dash},
                marker={"size": 5},
                text=texts,
                hovertemplate="%{text}<extra></extra>",
            )
    for height, axis in enumerate(rows):
        figure.add_shape(type="line", x0=0, x1=1, y0=height, y1=height, line={"color": AXIS, "width": 1})
        for at, text in axis.ticks:
            figure.add_annotation(
                x=at, y=height, text=text, showarrow=False, yshift=-11, font={"size": 11},
                xanchor="left" if at == 0 else "right" if at == 1 else "center", bgcolor="rgba(255, 255, 255, 0.85)",
            )  # fmt: skip
    figure.update_xaxes(visible=False, range=[-0.02, 1.02])
    figure.update_yaxes(
        tickvals=list(range(len(rows))),
        ticktext=[axis.title for axis in rows],
        range=[len(rows) - 0.5, -0.4],
        showgrid=False,
        zeroline=False,
        automargin=True,
    )
    bare(figure)
    return figure.update_layout(margin={"b": 10, "l": 10}, hovermode="closest"), ROW * len(rows) + 70
