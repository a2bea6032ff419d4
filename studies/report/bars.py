"""Models beside each other in bars, each number with its uncertainty as a line; how a bar chart of models is drawn."""

import textwrap
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from studies.plots.page import safe
from studies.plots.style import FRONT, GRID, INK, PALE
from studies.report.blocks import Chart, Charts
from studies.report.charts import ROWS, bare
from studies.report.material import Shown
from studies.report.wording import UNSURE, listed, mega
from studies.tables.trials import count

# Pixels. A chart is narrowest on a phone and in one of two columns on paper; there are LEAST for the plot.
LEAST, LETTER, LINE, BAR, GAP = 290, 7, 14, 13, 9
TOP, BOTTOM = 4, 26  # of the margins
NAME_LETTERS = 42  # in a line above a bar


@dataclass(frozen=True)
class Compared:
    """A number of each model, in the unit of `title`.

    `text` writes one; `intervals` are the values themselves where there is none; `lines` says what lines over the bars
    show.
    """

    name: str
    title: str
    text: Callable[[float], str]
    values: Sequence[float]
    intervals: Sequence[tuple[float, float]]
    lines: str = ""

    @property
    def reach(self) -> float:
        """The furthest that is drawn: one wide interval must not make all bars short."""
        furthest = max(high for _, high in self.intervals)
        return min(furthest, 1.5 * max(self.values) or furthest)

    @property
    def drawn(self) -> list[tuple[float, float]]:
        """The intervals, cut there."""
        return [(low, min(high, self.reach)) for low, high in self.intervals]

    @property
    def texts(self) -> list[str]:
        """The values."""
        return [self.text(value) for value in self.values]

    @property
    def full_texts(self) -> list[str]:
        """With their intervals."""
        return [
            f"{text} ({self.text(low)} to {self.text(high)})" if low < high else text
            for text, (low, high) in zip(self.texts, self.intervals, strict=True)
        ]

    def caption(self, names: Sequence[str]) -> str:
        """What is drawn, and which intervals go on beyond the end of their lines."""
        said = [f"{self.title[0].upper()}{self.title[1:]}."]
        if self.lines and any(low < high for low, high in self.intervals):
            said.append(f"Lines {self.lines}.")
        said += [
            f"That of {name} is cut: it ends at {self.text(high)}."
            for name, (_, high) in zip(names, self.intervals, strict=True)
            if high > self.reach
        ]
        return " ".join(said)


def bars(models: Sequence[Shown]) -> Charts:
    """Accuracy, FLOPs, latency and parameters of each model beside each other; the recommended one stands out."""
    names, labels = [model.name for model in models], [model.title for model in models]
    strong = {place for place, model in enumerate(models) if "recommended" in model.roles}
    return Charts(tuple(chart(column, labels, names, strong) for column in compared(models)))


def compared(models: Sequence[Shown]) -> list[Compared]:
    """What is set side by side; accuracies are those on test pictures if every model has one."""
    costs = [model.record.measurement for model in models]
    tested = [model.final for model in models if model.final is not None]
    if len(tested) == len(models):
        kind, shares, ends = "test", [final.accuracy for final in tested], [final.interval for final in tested]
    else:
        kind, shares = "validation", [model.record.val_accuracy for model in models]
        ends = [model.record.interval or (share, share) for model, share in zip(models, shares, strict=True)]
    return [
        Compared("accuracy", f"{kind} accuracy (%)", share_text, [100 * share for share in shares],
                 [(100 * low, 100 * high) for low, high in ends], "are 95 % intervals"),
        Compared("flops", "MFLOPs for one picture", millions_text(mega), *exact([cost.flops / 1e6 for cost in costs])),
        Compared("latency", "inference (ms)", ms_text, [cost.latency_ms for cost in costs],
                 [(cost.latency.low, cost.latency.high) for cost in costs], UNSURE),
        Compared("parameters", "parameters (millions)", millions_text(count),
                 *exact([cost.parameters / 1e6 for cost in costs])),
    ]  # fmt: skip


def share_text(percent: float) -> str:
    """`84.3 %`."""
    return f"{percent:.1f} %"


def ms_text(milliseconds: float) -> str:
    """`1.23 ms`."""
    return f"{milliseconds:.3g} ms"


def millions_text(text: Callable[[float], str]) -> Callable[[float], str]:
    """Writes a number of millions as `text` writes the number itself."""
    return lambda millions: text(round(1e6 * millions))


def exact(values: Sequence[float]) -> tuple[Sequence[float], list[tuple[float, float]]]:
    """Numbers that are counted, with their intervals."""
    return values, [(value, value) for value in values]


def chart(column: Compared, labels: Sequence[str], names: Sequence[str], strong: Collection[int] = ()) -> Chart:
    """A bar for each label; `names` are for the caption, bars at the places in `strong` stand out."""
    described = listed([f"{label} {text}" for label, text in zip(labels, column.full_texts, strict=True)])
    alt = f"Bars of {column.title}: {described}."
    height = TOP + BOTTOM + len(labels) * _row(labels)
    return Chart(f"bars_{column.name}", column.caption(names), alt, draw(column, labels, strong), height)


def draw(column: Compared, labels: Sequence[str], strong: Collection[int] = ()) -> go.Figure:
    """Each label stands above its bar: beside it a long one would leave no room for the bars on a phone or on paper.

    A row has the height 1; for the same reason the axis has no title, which the caption begins with.
    """
    row = _row(labels)
    bottoms = [place + (row - GAP - BAR) / row for place in range(len(labels))]  # of the labels, from above
    middles = [bottom + BAR / 2 / row for bottom in bottoms]
    figure = go.Figure(
        go.Bar(
            x=list(column.values),
            y=middles,
            width=BAR / row,
            orientation="h",
            marker={"color": [FRONT if place in strong else PALE for place in range(len(labels))],
                    "line": {"color": FRONT, "width": 1}},
            error_x={"type": "data", "symmetric": False, "color": INK, "thickness": 1.2, "width": 4,
                     "visible": any(low < high for low, high in column.intervals),
                     "array": [high - value for value, (_, high) in zip(column.values, column.drawn, strict=True)],
                     "arrayminus": [value - low for value, (low, _) in zip(column.values, column.drawn, strict=True)]},
            hovertext=[f"{safe(label)}: {text}" for label, text in zip(labels, column.full_texts, strict=True)],
            hovertemplate="%{hovertext}<extra></extra>",
        )
    )  # fmt: skip
    for label, bottom in zip(labels, bottoms, strict=True):
        lines = "<br>".join(safe(line) for line in _lines(label))
        figure.add_annotation(x=0, y=bottom, text=lines, showarrow=False, xanchor="left", yanchor="bottom",
                              align="left", borderpad=0, font={"size": 11})  # fmt: skip
    for middle, text, (_, high) in zip(middles, column.texts, column.drawn, strict=True):
        # Beyond the line, which a text on the bar would hide.
        figure.add_annotation(x=high, y=middle, text=text, showarrow=False, xanchor="left", yanchor="middle", xshift=5,
                              borderpad=0, font={"size": 11})  # fmt: skip
    room = min(0.6, (10 + LETTER * max(map(len, column.texts))) / LEAST)  # for the texts, of the plot's width
    figure.update_xaxes(range=[0, column.reach / (1 - room) or 1.0], gridcolor=GRID, nticks=5, tickfont={"size": 11})
    figure.update_yaxes(range=[len(labels), 0], showticklabels=False, showgrid=False, zeroline=False)
    margin = {"l": 10, "r": 10, "t": TOP, "b": BOTTOM}
    return bare(figure, legend=False).update_layout(margin=margin, meta=ROWS)


def _row(labels: Sequence[str]) -> int:
    """How high a bar is with its label above and what is free below, in pixels."""
    return LINE * max(len(_lines(label)) for label in labels) + BAR + GAP


def _lines(label: str) -> list[str]:
    return textwrap.wrap(label, NAME_LETTERS, break_on_hyphens=False) or [""]
