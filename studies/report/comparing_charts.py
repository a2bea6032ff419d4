"""The figures of several studies: a bar chart for each column of their table, and their learning curves in one."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from studies.comparison import Row
from studies.contest import Contest, score
from studies.plots.page import safe
from studies.plots.style import GRID, INK, SERIES
from studies.report import charts
from studies.report.bars import Compared, chart, millions_text, ms_text, share_text
from studies.report.blocks import Chart
from studies.report.wording import UNSURE, listed, mega
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
    lines: str = ""  # what the lines on the bars do


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


OVER_PICTURES, OVER_BOTH = "are 95 % intervals over pictures", "are 95 % intervals over pictures and seeds"
MEASURES = (
    Measure("val_accuracy", "validation accuracy (%)", _validation, share_text, OVER_PICTURES),
    Measure("test_accuracy", "test accuracy (%)", _test, share_text, OVER_BOTH),
    Measure("macro_precision", "macro precision (%)", _macro("macro_precision"), share_text, OVER_BOTH),
    Measure("macro_recall", "macro recall (%)", _macro("macro_recall"), share_text, OVER_BOTH),
    Measure("macro_f1", "macro F1 (%)", _macro("macro_f1"), share_text, OVER_BOTH),
    Measure("flops", "MFLOPs for one picture", lambda row, *_: (row.costs.flops / 1e6, None, None),
            millions_text(mega)),
    Measure("latency", "inference (ms)", _latency, ms_text, UNSURE),
    Measure("parameters", "parameters (millions)", lambda row, *_: (row.costs.parameters / 1e6, None, None),
            millions_text(count)),
    Measure("size", "size of the model's file (MiB)",
            lambda row, *_: (row.final.runs[0].model_bytes / 2**20, None, None) if row.final else None,
            lambda value: f"{value:.2f} MiB"),
    Measure("seconds", "training, with what it prepares (s)", lambda row, *_: final_seconds(row),
            lambda value: f"{value:.3g} s", "go from the quickest to the slowest run"),
)  # fmt: skip


def bars(rows: Sequence[Row], found: Contest) -> tuple[Chart, ...]:
    """A chart for each column of which a row has a number; rows without one are left out of it."""
    drawn = []
    for measure in MEASURES:
        known = [(row, value) for place, row in enumerate(rows) if (value := measure.of(row, place, found)) is not None]
        if known:
            names = [row.name for row, _ in known]
            drawn.append(chart(_compared(_named(measure, rows), [value for _, value in known]), names, names))
    return tuple(drawn)


def _named(measure: Measure, rows: Sequence[Row]) -> Measure:
    """With one run of each model nothing is known of seeds."""
    single = all(len(row.final.runs) == 1 for row in rows if row.final)
    return measure._replace(lines=OVER_PICTURES) if single and measure.lines == OVER_BOTH else measure


def _compared(measure: Measure, spreads: Sequence[Spread]) -> Compared:
    ends = [(value if low is None else low, value if high is None else high) for value, low, high in spreads]
    values = [value for value, _, _ in spreads]
    return Compared(measure.name, measure.title, measure.text, values, ends, measure.lines)


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
                name=safe(row.name),
                legendgroup=row.name,
                showlegend=column == 1 and kind == "validation",
                line={"color": colour, "dash": dash, "width": 2},
                marker={"symbol": symbol, "size": 6},
                hovertemplate=f"{safe(row.name)}, {kind}<br>epoch %{{x}}: %{{y:.4f}}<extra></extra>",
                row=1,
                col=column,
            )


def _last(row: Row, key: str) -> str:
    assert row.record is not None
    value = row.record.learning_curve[-1].get(key)
    return "an unknown value" if value is None else f"{value:.3f}"
