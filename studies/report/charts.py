"""The figures of a chapter, by Plotly: what is on paper is what is on the page, so titles are left to the captions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from studies.objectives import FLOPS, LATENCY, OBJECTIVES, VAL_ACCURACY
from studies.plots import page
from studies.plots.data import ParetoData, ThreeData, label_groups
from studies.plots.page import safe
from studies.plots.style import FRONT, GRID, INK, RECOMMENDED, SERIES
from studies.report.importance import Importances
from studies.report.material import Shown
from studies.report.search_progress import Step

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x")
PATTERNS = ("", "/", ".")
FONT = {"family": "system-ui, 'Segoe UI', 'DejaVu Sans', 'Noto Sans CJK SC', sans-serif", "size": 13, "color": INK}
LEAST_SPAN = 0.05  # of the accuracy axis
ROWS = "rows"  # the mark, in `layout.meta`, of a figure that is not much lower on paper: its rows would collide
TEXTS_UP_TO = 12  # classes whose shares are written into the confusion matrix


def bare(figure: go.Figure, *, legend: bool = True, left: int = 60) -> go.Figure:
    """The frame that all figures share."""
    return figure.update_layout(
        template="plotly_white",
        title={"text": "", "subtitle": {"text": ""}},
        font=FONT,
        showlegend=legend,
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
        margin={"t": 24, "r": 16, "b": 56, "l": left},
        hoverlabel={"align": "left"},
    )


def pareto(data: ParetoData, recommended: int | None) -> go.Figure:
    """Accuracy against one cost; members of the front numbered, the recommended one with a star."""
    figure = page.draw_pareto(data)
    xs, ys = [p.at(data.x) for p in data.front], [p.accuracy for p in data.front]
    low, high = page.ends(data.x_range, data.log_x)
    at = np.log10(xs) if data.log_x else np.asarray(xs)
    placed = [(float(a), b, p.number) for a, b, p in zip(at, ys, data.front, strict=True)]
    reach = 0.08 * (high - low)  # of a phone's width
    labels = label_groups(placed, reach, 0.07 * (data.y_range[1] - data.y_range[0]))
    for across, up, text in labels:
        words = text.split(", ")
        shown = text if len(words) < 4 else f"{words[0]} … {words[-1]}"
        figure.add_annotation(
            x=across, y=up, text=shown, showarrow=False, xanchor="right", yanchor="bottom", xshift=-3, yshift=3,
            font={"size": 11, "color": INK},
        )  # fmt: skip
    star = [point for point in data.everything if point.number == recommended]
    if star:
        figure.add_scatter(
            x=[p.at(data.x) for p in star],
            y=[p.accuracy for p in star],
            mode="markers",
            name=f"recommended: trial {recommended}",
            marker={"color": RECOMMENDED, "symbol": "star", "size": 17, "line": {"color": INK, "width": 1.2}},
            text=[p.text for p in star],
            hovertemplate="%{text}<extra></extra>",
        )
    bottom, top = data.y_range
    room = max(0.0, (LEAST_SPAN - (top - bottom)) / 2)
    figure.update_yaxes(title=VAL_ACCURACY.brief, range=[bottom - room, top + room], ticks="outside", ticklen=4)
    figure.update_xaxes(title={"text": data.x.brief, "standoff": 8}, ticks="outside", ticklen=6)
    return bare(figure)


def pareto_space(data: ThreeData, recommended: int | None) -> go.Figure:
    """Latency, FLOPs and accuracy in space."""
    figure = page.draw_three(data)
    star = [point for point in data.front if point.number == recommended]
    for point in star:
        figure.add_scatter3d(
            x=[point.at(LATENCY)],
            y=[point.at(FLOPS)],
            z=[point.accuracy],
            mode="markers",
            name=f"recommended: trial {recommended}",
            marker={"color": RECOMMENDED, "symbol": "diamond", "size": 9, "line": {"color": INK, "width": 1}},
            text=[point.text],
            hovertemplate="%{text}<extra></extra>",
        )
    bare(figure)
    return figure.update_layout(margin={"t": 10, "r": 0, "b": 0, "l": 0}, font={"size": 11})


def learning_curves(models: Sequence[Shown], key: str, title: str) -> go.Figure:
    """One line for each model over the epochs of the search."""
    figure = go.Figure()
    for number, model in enumerate(models):
        curve = [point for point in model.record.learning_curve if point.get(key) is not None]
        figure.add_scatter(
            x=[point["epoch"] for point in curve],
            y=[point[key] for point in curve],
            mode="lines+markers",
            name=model.name,
            line={"color": SERIES[number % len(SERIES)], "dash": DASHES[number % len(DASHES)], "width": 2},
            marker={"symbol": SYMBOLS[number % len(SYMBOLS)], "size": 7},
            hovertemplate=f"{model.title}<br>epoch %{{x}}: %{{y:.4f}}<extra></extra>",
        )
    n_epochs = max((len(model.record.learning_curve) for model in models), default=1)
    figure.update_xaxes(title="epoch", gridcolor=GRID, **({"dtick": 1} if n_epochs <= 12 else {}))
    figure.update_yaxes(title=title, gridcolor=GRID)
    return bare(figure)


def hypervolume(steps: Sequence[Step], over: str) -> go.Figure:
    """`over` is "number" or "seconds"."""
    figure = go.Figure(
        go.Scatter(
            x=[getattr(step, over) for step in steps],
            y=[step.hypervolume for step in steps],
            mode="lines+markers",
            line={"shape": "hv", "color": FRONT, "width": 2},
            marker={"size": 5},
            text=[f"after trial {step.number}, {step.seconds:.0f} s" for step in steps],
            hovertemplate="%{text}: %{y:.4f}<extra></extra>",
        )
    )
    figure.update_xaxes(title="trial" if over == "number" else "seconds spent in trials", gridcolor=GRID)
    figure.update_yaxes(title="hypervolume (0 to 1)", rangemode="tozero", gridcolor=GRID)
    return bare(figure, legend=False)


def importance(importances: Importances) -> go.Figure:
    """A group of bars for each parameter, one for each objective."""
    parameters = {name for shares in importances.shares.values() for name in shares}
    order = sorted(parameters, key=lambda name: -sum(shares.get(name, 0) for shares in importances.shares.values()))
    figure = go.Figure()
    for number, objective in enumerate(OBJECTIVES):
        if objective.name in importances.shares:
            shares = importances.shares[objective.name]
            figure.add_bar(
                x=[shares.get(name, 0.0) for name in order],
                y=order,
                orientation="h",
                name=objective.noun,
                marker={"color": SERIES[number], "pattern": {"shape": PATTERNS[number], "fgcolor": "white"}},
                hovertemplate=f"%{{y}}: %{{x:.1%}} of what matters for {objective.noun}<extra></extra>",
            )
    figure.update_xaxes(title="share of importance", tickformat=".0%", gridcolor=GRID)
    figure.update_yaxes(autorange="reversed", automargin=True)
    return bare(figure).update_layout(barmode="group", margin={"l": 10})


def classes(names: Sequence[str], counts: Sequence[int]) -> go.Figure:
    """Pictures of each class."""
    figure = go.Figure(
        go.Bar(
            x=list(counts),
            y=list(range(len(names))),
            orientation="h",
            marker={"color": FRONT},
            text=[f"{count:,}" for count in counts] if len(names) <= 40 else None,
            textposition="outside",
            cliponaxis=False,
            customdata=[safe(name) for name in names],
            hovertemplate="%{customdata}: %{x:,} pictures<extra></extra>",
        )
    )
    figure.update_xaxes(title="pictures", range=[0, 1.2 * max([*counts, 1])], gridcolor=GRID, nticks=6)
    figure.update_yaxes(autorange="reversed", automargin=True, **class_ticks(names))
    return bare(figure, legend=False).update_layout(margin={"l": 10, "t": 8})


def confusion(names: Sequence[str], matrix: np.ndarray) -> go.Figure:
    """`matrix` (classes, classes) pictures, rows are true classes; drawn are shares of each row in percent."""
    totals = matrix.sum(1, keepdims=True)
    shares = 100 * matrix / np.where(totals > 0, totals, 1)
    labels = [safe(name) for name in names]
    text = [[f"{value:.0f}" if value >= 0.5 else "" for value in row] for row in shares]
    hover = [
        [
            f"{labels[true]} taken for {labels[guess]}: {matrix[true, guess]:,} ({shares[true, guess]:.1f} %)"
            for guess in range(len(names))
        ]
        for true in range(len(names))
    ]
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            x=list(range(len(names))),
            y=list(range(len(names))),
            colorscale="Blues",
            zmin=0,
            zmax=100,
            xgap=1,
            ygap=1,
            text=text if len(names) <= TEXTS_UP_TO else None,
            texttemplate="%{text}" if len(names) <= TEXTS_UP_TO else None,
            hovertext=hover,
            hovertemplate="%{hovertext}<extra></extra>",
            colorbar={"title": {"text": "%"}, "thickness": 10, "len": 0.9},
            showscale=len(names) > TEXTS_UP_TO,  # else every cell says it
        )
    )

    def small_title(text: str) -> dict[str, Any]:  # half a sheet has little room beside the names
        return {"text": text, "font": {"size": 12}, "standoff": 4}

    figure.update_xaxes(
        title=small_title("predicted class"), automargin=True, showgrid=False, **class_ticks(names, 12), tickangle=-90
    )
    figure.update_yaxes(
        title=small_title("true class"), automargin=True, autorange="reversed", showgrid=False, scaleanchor="x",
        constrain="domain", **class_ticks(names),
    )  # fmt: skip
    figure.update_xaxes(constrain="domain")
    return bare(figure, legend=False).update_layout(margin={"l": 10, "r": 4, "t": 8, "b": 10})


def class_ticks(names: Sequence[str], most: int = 25) -> Mapping[str, Any]:
    """Ticks with names, so that two classes whose names look alike stay two; every second, third ... of many."""
    every = -(-len(names) // most)
    places = list(range(0, len(names), every))
    texts = [names[index] for index in places]
    shown = [safe(text if len(text) <= 18 else f"{text[:10]}…{text[-7:]}") for text in texts]  # ends differ too
    return {"tickvals": places, "ticktext": shown, "tickfont": {"size": 11}}
