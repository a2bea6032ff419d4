"""What a Pareto plot shows, and how Plotly draws it. `studies.plots.paper` draws the same data without a browser."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import plotly.graph_objects as go

from studies.objectives import FLOPS, LATENCY, OBJECTIVES, VAL_ACCURACY, Objective
from studies.pareto import front
from studies.paths import write_text
from studies.records import CompleteTrial, State, TrialRecord, complete
from studies.tables.trials import describe

FRONT, BEYOND, FAINT = "#0072B2", "#D55E00", "#B8B8B8"  # Okabe and Ito: told apart by colour-blind readers
LOG_FROM = 8.0  # an axis whose largest value exceeds its smallest this many times is logarithmic


class Point(NamedTuple):
    """A trial in a plot."""

    number: int
    values: Mapping[str, float]  # of each objective by its name, in the unit of its axis
    latency_low: float  # p10, ms
    latency_high: float  # p90, ms
    text: str  # every parameter, lines separated by <br>

    @property
    def accuracy(self) -> float:
        """Validation accuracy."""
        return self.at(VAL_ACCURACY)

    def at(self, objective: Objective) -> float:
        """Its value of an objective, in the unit of the axis."""
        return self.values[objective.name]


class ParetoData(NamedTuple):
    """Two axes and three groups of points; each point is in exactly one group."""

    title: str
    subtitle: str
    x: Objective
    log_x: bool
    y_range: tuple[float, float]  # of the first view; poor trials far below the front would flatten it
    front: tuple[Point, ...]  # on the front of the two objectives shown, by rising x
    beyond: tuple[Point, ...]  # on the front of all three objectives only
    dominated: tuple[Point, ...]

    @property
    def everything(self) -> tuple[Point, ...]:
        """All points."""
        return (*self.front, *self.beyond, *self.dominated)


def to_point(record: CompleteTrial) -> Point:
    """A trial with the text that is shown when the mouse is over it."""
    cost = record.measurement
    low, high = cost.latency.p10_ms, cost.latency.p90_ms
    text = "<br>".join(
        [
            f"<b>trial {record.number}</b>",
            *describe(record.candidate).split(", "),
            f"val_accuracy {record.val_accuracy:.4f} after epoch {record.best_epoch} of {record.epochs}",
            f"latency {LATENCY.say(cost.latency_ms)} (p10 {low:.3g}, p90 {high:.3g})",
            f"{FLOPS.say(cost.flops)}, {cost.parameters:,} weights",
            f"{record.seconds:.1f} s",
        ]
    )
    values = {objective.name: objective.shown(getattr(record, objective.name)) for objective in OBJECTIVES}
    return Point(record.number, values, low, high, text)


def pareto_data(name: str, records: Sequence[TrialRecord], x: Objective) -> ParetoData:
    """What to draw of a study for accuracy against the cost `x`.

    Only completed trials are drawn; the subtitle says how many others there are and why.
    """
    two = front(records, among=(VAL_ACCURACY, x))
    on_two = {record.number for record in two}
    on_three = {record.number for record in front(records)}
    points = {record.number: to_point(record) for record in complete(records)}
    values = [point.at(x) for point in points.values()]
    y_range = accuracy_range([point.accuracy for point in points.values()], [points[n].accuracy for n in on_two])
    return ParetoData(
        title=f"{name}: accuracy against {x.noun}",
        subtitle=tally(records) + below_axis(points.values(), y_range),
        x=x,
        log_x=is_wide(values),
        y_range=y_range,
        front=tuple(sorted((points[n] for n in on_two), key=lambda point: (point.at(x), point.number))),
        beyond=tuple(points[n] for n in sorted(on_three - on_two)),
        dominated=tuple(points[n] for n in sorted(set(points) - on_two - on_three)),
    )


def is_wide(values: Sequence[float]) -> bool:
    """Whether an axis over these values should be logarithmic."""
    return bool(values) and max(values) > LOG_FROM * min(values)


def accuracy_range(values: Sequence[float], on_front: Sequence[float]) -> tuple[float, float]:
    """Lower and upper end of the accuracy axis: down to twice the front's extent below its lowest member.

    At least 0.05 below it; no further than the worst trial; with a margin for the markers.
    """
    if not on_front:
        return 0.0, 1.0
    top, bottom = max(on_front), min(on_front)
    low = max(min(values), bottom - max(2 * (top - bottom), 0.05))
    margin = 0.06 * max(top - low, 0.01)
    return low - margin, top + 2 * margin


def below_axis(points: Iterable[Point], y_range: tuple[float, float]) -> str:
    """What the subtitle says of trials that the first view does not reach."""
    count = sum(point.accuracy < y_range[0] for point in points)
    return f"; {count} with lower accuracy lie below the axis" if count else ""


def label_groups(
    points: Sequence[tuple[float, float, int]], x_reach: float, y_reach: float
) -> list[tuple[float, float, str]]:
    """One label where several points are too close for one each: (x, y, "3, 7"), x and y of the group's last point.

    `points` are (x, y, number) in rising x; `x_reach` and `y_reach` are how close is too close, in their units.
    """
    groups: list[list[tuple[float, float, int]]] = []
    for point in points:
        near = groups and abs(point[0] - groups[-1][0][0]) < x_reach and abs(point[1] - groups[-1][0][1]) < y_reach
        if near:
            groups[-1].append(point)
        else:
            groups.append([point])
    return [(group[-1][0], group[-1][1], ", ".join(str(number) for *_, number in group)) for group in groups]


# Those that ended and have no place in a plot.
LEFT_OUT = (State.STOPPED, State.DUPLICATE, State.INFEASIBLE, State.FAILED, State.INTERRUPTED)


def tally(records: Sequence[TrialRecord]) -> str:
    """`20 trials, 5 on the front of all three objectives; not drawn: 2 over budget, 1 failed`."""
    states = Counter(record.state for record in records)
    left_out = [f"{states[state]} {state.words}" for state in LEFT_OUT if states[state]]
    n_drawn = states[State.COMPLETE]
    text = f"{n_drawn} trial{'s' * (n_drawn != 1)}, {len(front(records))} on the front of all three objectives"
    return text + (f"; not drawn: {', '.join(left_out)}" if left_out else "")


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
    spread = None
    if data.x is LATENCY:
        spread = {
            "type": "data",
            "symmetric": False,
            "array": [p.latency_high - p.at(LATENCY) for p in data.front],
            "arrayminus": [p.at(LATENCY) - p.latency_low for p in data.front],
            "thickness": 1,
            "width": 3,
            "color": "rgba(0, 114, 178, 0.4)",
        }
    figure.add_scatter(
        x=[p.at(data.x) for p in data.front],
        y=[p.accuracy for p in data.front],
        mode="lines+markers",
        name="front",
        line={"shape": "hv", "color": FRONT, "width": 1.5},
        marker={"color": FRONT, "size": 10},
        text=[p.text for p in data.front],
        error_x=spread,
        hovertemplate="%{text}<extra></extra>",
    )
    figure.update_xaxes(title=data.x.label, **axis_of([p.at(data.x) for p in data.everything]))
    figure.update_yaxes(title=VAL_ACCURACY.label, range=data.y_range)
    return framed(figure, data.title, data.subtitle)


def draw_three(name: str, records: Sequence[TrialRecord]) -> go.Figure:
    """Latency, FLOPs and accuracy in space, the front in colour."""
    figure = go.Figure()
    chosen = {record.number for record in front(records)}
    every = [to_point(record) for record in complete(records)]
    y_range = accuracy_range([p.accuracy for p in every], [p.accuracy for p in every if p.number in chosen])
    points = [point for point in every if point.accuracy >= y_range[0]]  # a scene does not clip what lies outside
    for on_front, label, marker in (
        (False, "dominated", {"color": FAINT, "size": 4, "opacity": 0.7}),
        (True, "front", {"color": FRONT, "size": 6}),
    ):
        shown = [point for point in points if (point.number in chosen) == on_front]
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
        zaxis_range=y_range,
        camera={"eye": {"x": -1.5, "y": -1.5, "z": 0.7}, "center": {"z": -0.15}},
    )
    return framed(figure, f"{name}: accuracy, latency and FLOPs", tally(records) + below_axis(every, y_range))


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
