"""The front over all forms of all final models on paper: test accuracy against the latency of record."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from studies.forms import AS_TRAINED, Ranked
from studies.objectives import LATENCY
from studies.paths import BASELINE
from studies.plots.data import is_wide
from studies.plots.paper import framed, logarithmic
from studies.plots.style import BLACK, BLUE, FRONT, GREEN, INK, VERMILION

TEST_ACCURACY = "test accuracy (share correct), 95 % interval"


@dataclass(frozen=True)
class Mark:
    """How points of a form look, for Matplotlib and for Plotly."""

    marker: str
    symbol: str
    colour: str


MARKS = {
    AS_TRAINED: Mark("o", "circle", BLACK),
    "litert": Mark("s", "square", BLUE),
    "litert-int8": Mark("D", "diamond", VERMILION),
    "onnx": Mark("^", "triangle-up", GREEN),
}


def drawn(forms: Sequence[Ranked]) -> dict[str, list[Ranked]]:
    """Those that have a latency, by form, the fastest first."""
    timed = sorted((one for one in forms if one.form.latency), key=lambda one: one.at)
    return {name: own for name in MARKS if (own := [one for one in timed if one.form.format == name])}


def staircase(forms: Sequence[Ranked]) -> tuple[list[float], list[float]]:
    """Latencies and accuracies of the front, from the fastest to the slowest."""
    points = sorted(one.at for one in forms if one.on_front)
    return [x for x, _ in points], [y for _, y in points]


def short(label: str) -> str:
    """A model beside its point: its number, or `base`."""
    return "base" if label == BASELINE else label


def draw(name: str, forms: Sequence[Ranked]) -> Figure:
    """All forms of the study `name`; the front is joined by steps, a ring marks the best form of each model."""
    where = "; ".join(dict.fromkeys(one.form.runtime for one in forms if one.form.latency))
    n_models = len({one.form.label for one in forms})
    figure, axes = framed(f"{name}: final models as deployed", f"{n_models} models; latency in {where}")
    for form, own in drawn(forms).items():
        mark = MARKS[form]
        xs, ys = [one.at[0] for one in own], [one.at[1] for one in own]
        ends = [one.form.pairs.interval for one in own]
        spread = [[y - low for y, (low, _) in zip(ys, ends, strict=True)],
                  [high - y for y, (_, high) in zip(ys, ends, strict=True)]]  # fmt: skip
        axes.errorbar(xs, ys, yerr=spread, fmt="none", ecolor=mark.colour, elinewidth=0.8, capsize=2, alpha=0.35)
        axes.scatter(xs, ys, s=42, marker=mark.marker, c=mark.colour, label=form, zorder=3)
        for one, x, y in zip(own, xs, ys, strict=True):
            axes.annotate(short(one.form.label), (x, y), (7, 4), textcoords="offset points", fontsize=8)
    axes.step(*staircase(forms), where="post", color=FRONT, linewidth=1.2, zorder=1, label="front of all forms")
    best = [one.at for one in forms if one.best and one.form.latency]
    axes.scatter(
        [x for x, _ in best], [y for _, y in best], s=170, facecolors="none", edgecolors=INK, linewidths=1.0,
        label="best form of its model", zorder=2,
    )  # fmt: skip
    if is_wide([one.at[0] for one in forms if one.form.latency]):
        logarithmic(axes)
    axes.margins(x=0.08)  # room for the last label
    axes.set_xlabel(LATENCY.label)
    axes.set_ylabel(TEST_ACCURACY)
    figure.legend(loc="outside lower center", ncols=6, frameon=False, fontsize=9)
    return figure
