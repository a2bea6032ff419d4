"""The section on final models as they are deployed: each form of each model, and the front over all of them."""

from collections.abc import Sequence

import plotly.graph_objects as go

from studies.forms import AS_TRAINED, METHOD, Ranked, verdicts
from studies.objectives import LATENCY
from studies.paths import name_of
from studies.plots.forms import MARKS, TEST_ACCURACY, drawn, short, staircase
from studies.plots.page import axis_of
from studies.plots.style import FRONT, GRID, INK
from studies.report.blocks import Block, Chart, Points, Section, Text
from studies.report.charts import bare
from studies.report.gallery import Gallery
from studies.report.material import Material
from studies.report.model_tables import TEST
from studies.report.wording import counted, listed, percent
from studies.tables.forms import ENERGY, marks
from studies.tables.table import Column, Table


def deployed(material: Material, _gallery: Gallery) -> Section | None:
    """As `hpo.evaluate --runtimes` left them; None without any."""
    forms = material.forms
    if not forms:
        return None
    n = forms[0].form.pairs.n
    words = verdicts(forms) or [f"On these {n:,} test pictures no form costs or gains more than chance explains."]
    blocks: tuple[Block, ...] = (Text(METHOD), Points(tuple(words)), _chart(forms), table(forms))
    return Section("forms", "Final models as deployed", blocks)


def table(forms: Sequence[Ranked]) -> Table:
    """A row for each form; the best of each model is highlighted."""
    counted_energy = any(one.form.energy_mj is not None for one in forms)
    columns = (
        Column("model"),
        Column("form"),
        Column("marks"),
        TEST,
        Column("same answers (%)", lambda share: f"{100 * share:.1f}", True, parts=("same_class",)),
        Column("difference (points), 95 % interval", _points, True, parts=("difference", "diff_low", "diff_high")),
        Column("McNemar's p", "{:.2g}", True, parts=("mcnemar_p",)),
        Column("inference (ms)", "{:.3g}", True, parts=("latency_ms",)),
        Column("p50 / p90 / p99 (ms)", "{0[0]:.3g} / {0[1]:.3g} / {0[2]:.3g}", True,
               parts=("latency_p50_ms", "latency_p90_ms", "latency_p99_ms")),
        Column("file (MiB)", "{:.2f}", True, parts=("mib",)),
        *([Column(ENERGY, "{:.3g}", True, parts=("energy_mj",))] if counted_energy else []),
        Column("measured in"),
    )  # fmt: skip
    rows = tuple(_row(one, counted_energy) for one in forms)
    marked = frozenset(number for number, one in enumerate(forms) if one.best)
    n_models = len({one.form.label for one in forms})
    caption = (
        f"{counted(n_models, 'final model')} as trained and as deployed, on {forms[0].form.pairs.n:,} test pictures; "
        "highlighted: the best form of each, the fastest that does not lose more than chance explains."
    )
    return Table("forms", caption, columns, rows, marked)


def _row(one: Ranked, with_energy: bool) -> tuple[object, ...]:
    form, alone = one.form, one.form.format == AS_TRAINED
    pairs, latency = form.pairs, form.latency
    return (
        name_of(form.label),
        form.format,
        marks(one),
        (pairs.accuracy, *pairs.interval),
        form.same_class,
        None if alone else (pairs.difference, *pairs.difference_interval()),
        None if alone else pairs.p_value,
        form.latency_ms,
        (latency.median_ms, latency.p90_ms, latency.p99_ms) if latency else None,
        form.bytes / 2**20,
        *([form.energy_mj] if with_energy else []),
        form.runtime if latency else None,
    )


def _chart(forms: Sequence[Ranked]) -> Chart:
    members = sorted((one for one in forms if one.on_front), key=lambda one: one.at)
    shown = [
        f"{name_of(one.form.label)} as {one.form.format} ({percent(one.at[1])}, {one.at[0]:.3g} ms)" for one in members
    ]
    alt = f"Test accuracy against latency of {counted(len(forms), 'form')}; on the front are {listed(shown)}."
    caption = (
        "Test accuracy against latency over all forms of all models; numbers are trials, base is the frozen "
        "baseline, bars are 95 % intervals of the accuracy, circles mark the best form of each model."
    )
    return Chart("forms", caption, alt, _figure(forms))


def _figure(forms: Sequence[Ranked]) -> go.Figure:
    figure = go.Figure()
    timed = [one for one in forms if one.form.latency]
    xs, ys = staircase(forms)
    figure.add_scatter(x=xs, y=ys, mode="lines", name="front of all forms", hoverinfo="skip",
                       line={"shape": "hv", "color": FRONT, "width": 1.5})  # fmt: skip
    for name, own in drawn(forms).items():
        ends = [one.form.pairs.interval for one in own]
        accuracies = [one.form.accuracy for one in own]
        figure.add_scatter(
            x=[one.at[0] for one in own],
            y=accuracies,
            mode="markers+text",
            name=name,
            text=[short(one.form.label) for one in own],
            textposition="top right",
            textfont={"size": 11},
            customdata=[f"{name_of(one.form.label)} as {name}, {one.form.runtime}" for one in own],
            hovertemplate="%{customdata}<br>%{y:.4f}, %{x:.3g} ms<extra></extra>",
            marker={"symbol": MARKS[name].symbol, "color": MARKS[name].colour, "size": 9},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [high - y for y, (_, high) in zip(accuracies, ends, strict=True)],
                "arrayminus": [y - low for y, (low, _) in zip(accuracies, ends, strict=True)],
                "thickness": 1,
                "width": 3,
            },
        )
    best = [one.at for one in timed if one.best]
    figure.add_scatter(
        x=[x for x, _ in best], y=[y for _, y in best], mode="markers",
        name="best form of its model", hoverinfo="skip",
        marker={"symbol": "circle-open", "color": INK, "size": 18, "line": {"width": 1}},
    )  # fmt: skip
    figure.update_xaxes(title=LATENCY.brief, gridcolor=GRID, **axis_of([one.at[0] for one in timed]))
    figure.update_yaxes(title=TEST_ACCURACY, gridcolor=GRID)
    return bare(figure)


def _points(value: tuple[float, float, float]) -> str:
    difference, low, high = value
    return f"{100 * difference:+.2f} ({100 * low:+.2f} to {100 * high:+.2f})"
