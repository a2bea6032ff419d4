"""Models beside each other in bars: accuracy with its interval, FLOPs, latency with its uncertainty, parameters."""

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from studies.plots.style import FRONT, GRID, INK, PALE
from studies.report.blocks import Chart, Charts
from studies.report.charts import bare
from studies.report.material import Shown
from studies.report.wording import listed, mega
from studies.tables.trials import count


@dataclass(frozen=True)
class Compared:
    """A number of each model, in the unit of `title`.

    `intervals` are the values themselves where there is none; `lines` says what lines over the bars show.
    """

    name: str
    title: str
    values: Sequence[float]
    texts: Sequence[str]
    intervals: Sequence[tuple[float, float]]
    lines: str = ""

    @property
    def reach(self) -> float:
        """The furthest that is drawn: one wide interval must not make all bars short."""
        return min(max(high for _, high in self.intervals), 1.5 * max(self.values))

    @property
    def drawn(self) -> list[tuple[float, float]]:
        """The intervals, cut there."""
        return [(low, min(high, self.reach)) for low, high in self.intervals]

    @property
    def cut(self) -> list[int]:
        """The places of those that go on."""
        return [place for place, (_, high) in enumerate(self.intervals) if high > self.reach]


def bars(models: Sequence[Shown]) -> Charts:
    """Accuracy, FLOPs, latency and parameters of each model beside each other."""
    drawn = []
    for column in compared(models):
        described = listed([f"{model.title} {text}" for model, text in zip(models, column.texts, strict=True)])
        caption = f"{column.title[0].upper()}{column.title[1:]} of each model."
        caption += f" Lines {column.lines}." if column.lines else ""
        for place in column.cut:
            caption += f" That of {models[place].name} is cut: it ends at {column.intervals[place][1]:.3g}."
        alt = f"Bars of {column.title}: {described}."
        drawn.append(Chart(f"bars_{column.name}", caption, alt, draw(models, column), 90 + 62 * len(models)))
    return Charts(tuple(drawn))


def compared(models: Sequence[Shown]) -> list[Compared]:
    """What is set side by side; accuracies are those on test pictures if every model has one."""
    costs = [model.record.measurement for model in models]
    tested = [model.final for model in models if model.final is not None]
    if len(tested) == len(models):
        kind, shares, ends = "test", [final.accuracy for final in tested], [final.interval for final in tested]
    else:
        kind, shares = "validation", [model.record.val_accuracy for model in models]
        ends = [model.record.interval or (share, share) for model, share in zip(models, shares, strict=True)]
    known = any(low < high for low, high in ends)
    percents, flops = [100 * share for share in shares], [cost.flops / 1e6 for cost in costs]
    latencies, millions = [cost.latency_ms for cost in costs], [cost.parameters / 1e6 for cost in costs]
    return [
        Compared("accuracy", f"{kind} accuracy (%)", percents, [f"{share:.1f} %" for share in percents],
                 [(100 * low, 100 * high) for low, high in ends], "are 95 % intervals" if known else ""),
        Compared("flops", "MFLOPs for one picture", flops, [mega(cost.flops) for cost in costs], _exact(flops)),
        Compared("latency", "inference (ms)", latencies, [f"{ms:.3g} ms" for ms in latencies],
                 [(cost.latency.low, cost.latency.high) for cost in costs], "show how far a latency may be off"),
        Compared("parameters", "parameters (millions)", millions, [count(cost.parameters) for cost in costs],
                 _exact(millions)),
    ]  # fmt: skip


def _exact(values: Sequence[float]) -> list[tuple[float, float]]:
    """The intervals of numbers that are counted."""
    return [(value, value) for value in values]


def draw(models: Sequence[Shown], column: Compared) -> go.Figure:
    """One column of the table of models with its intervals; the recommended one stands out."""
    names = ["<br>".join([f"trial {model.record.number}", *model.roles]) for model in models]
    figure = go.Figure(
        go.Bar(
            x=list(column.values),
            y=names,
            orientation="h",
            marker={"color": [FRONT if "recommended" in model.roles else PALE for model in models],
                    "line": {"color": FRONT, "width": 1}},
            customdata=list(column.texts),
            hovertemplate="%{y}: %{customdata}<extra></extra>",
        )
    )  # fmt: skip
    if column.lines:  # of their own, since Plotly writes a bar's text over its error bar
        figure.add_scatter(
            x=list(column.values), y=names, mode="markers", marker={"size": 1, "color": INK}, hoverinfo="skip",
            error_x={"type": "data", "symmetric": False, "thickness": 1.5, "width": 4, "color": INK,
                     "array": [high - value for value, (_, high) in zip(column.values, column.drawn, strict=True)],
                     "arrayminus": [value - low for value, (low, _) in zip(column.values, column.drawn, strict=True)]},
        )  # fmt: skip
    for name, text, (_, high) in zip(names, column.texts, column.drawn, strict=True):
        figure.add_annotation(x=high, y=name, text=text, showarrow=False, xanchor="left", xshift=5)
    figure.update_xaxes(title=column.title, range=[0, 1.45 * column.reach], gridcolor=GRID, nticks=5)
    figure.update_yaxes(autorange="reversed", tickfont={"size": 11}, automargin=True)
    return bare(figure, legend=False).update_layout(margin={"l": 10, "r": 10, "t": 8, "b": 46}, bargap=0.35)
