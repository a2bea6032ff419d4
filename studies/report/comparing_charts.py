"""The figures of several studies: a bar chart for each column of their table, and their learning curves in one."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from studies.comparison import Row
from studies.contest import Contest, score
from studies.plots.style import FRONT, GRID, INK, PALE, SERIES
from studies.report import charts
from studies.report.blocks import Chart
from studies.report.wording import listed, mega
from studies.scores import wilson_interval
from studies.tables.comparison import final_seconds
from studies.tables.trials import count

CURVES_WIDTH = 680  # pixels; two panels need as much
Spread = tuple[float, float | None, float | None]  # a number, and the ends of its interval if there is one


class Measure(NamedTuple):
    """A column as bars: its file, its heading, the number of a row if it has one, and how a number is written."""

    name: str
    title: str
    of: Callable[[Row, int, Contest], Spread | None]
    text: Callable[[float], str]
    interval: str  # what the line on a bar is; nothing without one


def _validation(row: Row, _place: int, _found: Contest) -> Spread | None:
    record = row.record
    return _percent((record.val_accuracy, *wilson_interval(record.val_accuracy, row.val_size))) if record else None


def _test(row: Row, _place: int, _found: Contest) -> Spread | None:
    return _percent((row.final.accuracy, *row.final.interval)) if row.final else None


def _macro(name: str) -> Callable[[Row, int, Contest], Spread | None]:
    def of(row: Row, place: int, found: Contest) -> Spread | None:
        value = score(row, place, found, name)
        return _percent(value) if value else None

    return of


def _percent(value: Spread) -> Spread:
    share, low, high = value
    return 100 * share, None if low is None else 100 * low, None if high is None else 100 * high


def _latency(row: Row, _place: int, _found: Contest) -> Spread | None:
    latency = row.costs.latency
    return latency.record_ms, latency.low, latency.high


def _share(value: float) -> str:
    return f"{value:.1f} %"


OVER_PICTURES, OVER_BOTH = "95 % interval over pictures", "95 % interval over pictures and seeds"
MEASURES = (
    Measure("val_accuracy", "validation accuracy (%)", _validation, _share, OVER_PICTURES),
    Measure("test_accuracy", "test accuracy (%)", _test, _share, OVER_BOTH),
    Measure("macro_precision", "macro precision (%)", _macro("macro_precision"), _share, OVER_BOTH),
    Measure("macro_recall", "macro recall (%)", _macro("macro_recall"), _share, OVER_BOTH),
    Measure("macro_f1", "macro F1 (%)", _macro("macro_f1"), _share, OVER_BOTH),
    Measure("flops", "MFLOPs for one picture", lambda row, *_: (row.costs.flops / 1e6, None, None),
            lambda value: mega(1e6 * value), ""),
    Measure("latency", "inference (ms)", _latency, lambda value: f"{value:.3g} ms", "how far it may be off"),
    Measure("parameters", "parameters (millions)", lambda row, *_: (row.costs.parameters / 1e6, None, None),
            lambda value: count(1e6 * value), ""),
    Measure("size", "size of the model's file (MiB)",
            lambda row, *_: (row.final.runs[0].model_bytes / 2**20, None, None) if row.final else None,
            lambda value: f"{value:.2f} MiB", ""),
    Measure("seconds", "training, with what it prepares (s)", lambda row, *_: final_seconds(row),
            lambda value: f"{value:.3g} s", "from the quickest to the slowest run"),
)  # fmt: skip


def bars(rows: Sequence[Row], found: Contest) -> tuple[Chart, ...]:
    """A chart for each column of which a row has a number; rows without one are left out of it."""
    drawn = []
    for measure in MEASURES:
        known = [(row, value) for place, row in enumerate(rows) if (value := measure.of(row, place, found)) is not None]
        if known:
            drawn.append(_bars(measure, [row for row, _ in known], [value for _, value in known]))
    return tuple(drawn)


def _bars(measure: Measure, rows: Sequence[Row], values: Sequence[Spread]) -> Chart:
    texts = [measure.text(value) for value, _, _ in values]
    unsure = [
        f" ({measure.text(low)} to {measure.text(high)})" if low is not None and high is not None else ""
        for _, low, high in values
    ]
    lows = [value - (value if low is None else low) for value, low, _ in values]
    highs = [(value if high is None else high) - value for value, _, high in values]
    ends = [value + high for (value, _, _), high in zip(values, highs, strict=True)]
    figure = go.Figure(
        go.Bar(
            x=[value for value, _, _ in values],
            y=[charts.safe(row.name) for row in rows],
            orientation="h",
            marker={"color": PALE, "line": {"color": FRONT, "width": 1}},
            error_x={"type": "data", "symmetric": False, "array": highs, "arrayminus": lows,
                     "color": INK, "thickness": 1.2, "width": 4, "visible": any(unsure)},
            customdata=[text + more for text, more in zip(texts, unsure, strict=True)],
            hovertemplate="%{y}: %{customdata}<extra></extra>",
        )
    )  # fmt: skip
    for row, text, end in zip(rows, texts, ends, strict=True):  # beyond the line, which a text on the bar would hide
        figure.add_annotation(x=end, y=charts.safe(row.name), text=text, showarrow=False, xanchor="left", xshift=5,
                              font={"size": 12})  # fmt: skip
    figure.update_xaxes(title=measure.title, range=[0, 1.32 * max(ends) or 1.0], gridcolor=GRID, nticks=5)
    figure.update_yaxes(autorange="reversed", tickfont={"size": 11}, automargin=True)
    charts.bare(figure, legend=False).update_layout(margin={"l": 10, "r": 10, "t": 28, "b": 46}, bargap=0.4)
    title = f"{measure.title[0].upper()}{measure.title[1:]}"
    lines = f"; lines: {measure.interval}" if measure.interval and any(unsure) else ""
    described = listed([f"{row.name} {text}{more}" for row, text, more in zip(rows, texts, unsure, strict=True)])
    return Chart(f"bars_{measure.name}", f"{title}{lines}.", f"Bars of {measure.title}: {described}.", figure,
                 96 + 40 * len(rows))  # fmt: skip


PANELS = (("accuracy", "accuracy (share correct)"), ("loss", "loss (nats)"))


def curves(rows: Sequence[Row]) -> Chart | None:
    """Accuracy and loss over the epochs of the search, of training and of validation; None without any."""
    shown = [row for row in rows if row.record is not None and row.record.learning_curve]
    if not shown:
        return None
    figure = make_subplots(rows=1, cols=2, horizontal_spacing=0.1)
    for number, row in enumerate(shown):
        _add_curves(figure, row, SERIES[number % len(SERIES)], charts.SYMBOLS[number % len(charts.SYMBOLS)])
    for name, dash in (("validation", "solid"), ("training", "dot")):  # what the dashes mean
        figure.add_scatter(x=[None], y=[None], mode="lines", name=name, line={"color": INK, "dash": dash})
    for column, (_, title) in enumerate(PANELS, start=1):
        figure.update_xaxes(title="epoch", gridcolor=GRID, row=1, col=column)
        figure.update_yaxes(title={"text": title, "standoff": 4}, gridcolor=GRID, row=1, col=column)
    ends = [f"{row.name} ends at {_last(row, 'val_accuracy')} (training {_last(row, 'accuracy')})" for row in shown]
    caption = (
        "Accuracy and loss of each model after each epoch of the search, on training pictures (dotted) and validation "
        "pictures (solid)."
    )
    alt = f"Lines of accuracy and loss over epochs. Validation accuracy: {listed(ends)}."
    return Chart("curves", caption, alt, charts.bare(figure), 440, CURVES_WIDTH)


def _add_curves(figure: go.Figure, row: Row, colour: str, symbol: str) -> None:
    assert row.record is not None
    for column, (key, _) in enumerate(PANELS, start=1):
        for name, kind, dash in ((f"val_{key}", "validation", "solid"), (key, "training", "dot")):
            points = [point for point in row.record.learning_curve if point.get(name) is not None]
            figure.add_scatter(
                x=[point["epoch"] for point in points],
                y=[point[name] for point in points],
                mode="lines+markers" if kind == "validation" else "lines",
                name=charts.safe(row.name),
                legendgroup=row.name,
                showlegend=column == 1 and kind == "validation",
                line={"color": colour, "dash": dash, "width": 2},
                marker={"symbol": symbol, "size": 6},
                hovertemplate=f"{charts.safe(row.name)}, {kind}<br>epoch %{{x}}: %{{y:.4f}}<extra></extra>",
                row=1,
                col=column,
            )


def _last(row: Row, key: str) -> str:
    assert row.record is not None
    value = row.record.learning_curve[-1].get(key)
    return "an unknown value" if value is None else f"{value:.3f}"
