"""The joint Pareto front of several studies: what is drawn, by Plotly for a browser and by Matplotlib for paper."""

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go
from matplotlib.figure import Figure

from studies.comparison import Studied
from studies.fingerprint import PRETRAINED
from studies.objectives import LATENCY, OBJECTIVES, VAL_ACCURACY, Objective
from studies.pareto import front
from studies.plots import page, paper
from studies.plots.data import Point, accuracy_range, below_axis, cost_range, cut_bars, is_wide, to_point
from studies.plots.style import JOINT, SERIES
from studies.records import CompleteTrial, complete

# Beyond as many backbones as there are colours the markers tell them apart.
MARKERS = (("circle", "o"), ("square", "s"), ("diamond", "D"), ("triangle-up", "^"), ("triangle-down", "v"))


class Group(NamedTuple):
    """The trials of one study."""

    label: str
    colour: str  # of the backbone
    marker: tuple[str, str]  # Plotly's and Matplotlib's name
    hollow: bool  # trained from scratch
    points: tuple[Point, ...]


class JointData(NamedTuple):
    """What is drawn: groups of trials of several studies, and their joint front.

    The joint front has one size, that over all objectives; the line joins those that are on it for the two shown.
    """

    title: str
    subtitle: str
    x: Objective
    x_range: tuple[float, float]  # as in `ParetoData`
    y_range: tuple[float, float]  # of the first view; every member of the joint front is in it
    groups: tuple[Group, ...]
    members: tuple[Point, ...]  # of the joint front over all objectives, by rising x
    front: tuple[Point, ...]  # of all studies for the two objectives shown, by rising x

    @property
    def values(self) -> list[float]:
        """Where every point lies on the x axis."""
        return [point.at(self.x) for group in self.groups for point in group.points]


def joint_data(studies: Sequence[Studied], x: Objective) -> JointData:
    """What to draw of comparable studies for accuracy against the cost `x`; complete trials only."""
    backbones = list(dict.fromkeys(study.backbone for study in studies))
    groups = []
    for study in studies:
        number = backbones.index(study.backbone)
        label = _label(study)
        alike = [other.name for other in studies if _label(other) == label]
        label += f" ({study.name})" if len(alike) > 1 else ""
        points = tuple(_point(study, record) for record in complete(study.records))
        marker = MARKERS[(number + number // len(SERIES) + alike.index(study.name)) % len(MARKERS)]
        groups.append(Group(label, SERIES[number % len(SERIES)], marker, study.from_scratch, points))
    members = _on_front(studies, x, tuple(OBJECTIVES))
    two = _on_front(studies, x, (VAL_ACCURACY, x))
    shown = [point for group in groups for point in group.points]
    x_range = cost_range([point.at(x) for point in shown])
    y_range = accuracy_range([point.accuracy for point in shown], [point.accuracy for point in members])
    return JointData(
        title=f"{studies[0].fingerprint.dataset}: {len(backbones)} backbone{'s' * (len(backbones) > 1)}, "
        f"accuracy against {x.noun}",
        subtitle=f"{len(shown)} trials, {len(members)} on the joint front of all three objectives"
        + below_axis(shown, y_range)
        + (cut_bars(two, x_range) if x is LATENCY else ""),
        x=x,
        x_range=x_range,
        y_range=y_range,
        groups=tuple(groups),
        members=members,
        front=two,
    )


def _label(study: Studied) -> str:
    if study.origin == PRETRAINED:
        return study.backbone
    return f"{study.backbone} {study.origin}" if study.from_scratch else f"{study.backbone} ({study.origin})"


def _on_front(studies: Sequence[Studied], x: Objective, among: Sequence[Objective]) -> tuple[Point, ...]:
    chosen = {id(record) for record in front([one for study in studies for one in study.records], among=among)}
    found = [_point(study, one) for study in studies for one in complete(study.records) if id(one) in chosen]
    return tuple(sorted(found, key=lambda point: (point.at(x), point.accuracy)))


def _point(study: Studied, record: CompleteTrial) -> Point:
    point = to_point(record)
    name = f"{point.number} of {study.name}"
    return point._replace(
        name=name, text=f"<b>{page.safe(_label(study))}</b><br>study {page.safe(study.name)}<br>{point.text}"
    )


def _line(data: JointData) -> str:
    return f"front of accuracy and {data.x.noun}"


def _ring(data: JointData) -> str:
    return f"joint front ({len(data.members)})"


def draw_page(data: JointData) -> go.Figure:
    """For a page, with what each point is when the mouse is over it."""
    figure = go.Figure()
    xs, ys = [p.at(data.x) for p in data.front], [p.accuracy for p in data.front]
    line = {"shape": "hv", "color": JOINT, "width": 1.5}
    bars = page.uncertainty(data.front, data.x)
    figure.add_scatter(x=xs, y=ys, mode="lines", name=_line(data), line=line, error_x=bars, hoverinfo="skip")
    figure.add_scatter(
        x=[p.at(data.x) for p in data.members],
        y=[p.accuracy for p in data.members],
        mode="markers",
        name=_ring(data),
        marker={"color": JOINT, "symbol": "circle-open", "size": 17, "line": {"width": 1.5}},
        hoverinfo="skip",
    )
    for group in data.groups:
        symbol = group.marker[0] + ("-open" if group.hollow else "")
        figure.add_scatter(
            x=[p.at(data.x) for p in group.points],
            y=[p.accuracy for p in group.points],
            mode="markers",
            name=page.safe(group.label),
            marker={"color": group.colour, "symbol": symbol, "size": 10},
            text=[p.text for p in group.points],
            hovertemplate="%{text}<extra></extra>",
        )
    figure.update_xaxes(
        title=data.x.label, **page.axis_of(data.values), range=page.ends(data.x_range, is_wide(data.values))
    )
    figure.update_yaxes(title=VAL_ACCURACY.label, range=data.y_range)
    return page.framed(figure, data.title, data.subtitle)


def draw_paper(data: JointData) -> Figure:
    """For paper, told apart without colours too."""
    figure, axes = paper.framed(data.title, data.subtitle)
    xs, ys = [p.at(data.x) for p in data.front], [p.accuracy for p in data.front]
    axes.step(xs, ys, where="post", color=JOINT, linewidth=1.2, zorder=1, label=_line(data))
    axes.scatter(
        [p.at(data.x) for p in data.members],
        [p.accuracy for p in data.members],
        s=110,
        facecolors="none",
        edgecolors=JOINT,
        label=_ring(data),
        zorder=1,
    )
    paper.uncertainty(axes, data.front, data.x)
    for group in data.groups:
        axes.scatter(
            [p.at(data.x) for p in group.points],
            [p.accuracy for p in group.points],
            s=36,
            marker=group.marker[1],
            facecolors="none" if group.hollow else group.colour,
            edgecolors=group.colour,
            label=paper.plain(group.label),
            zorder=2,
        )
    if is_wide(data.values):
        paper.logarithmic(axes)
    axes.set_xlim(data.x_range)
    axes.set_ylim(data.y_range)
    axes.set_xlabel(data.x.label)
    axes.legend(loc="best", frameon=True, fontsize=9)
    return figure
