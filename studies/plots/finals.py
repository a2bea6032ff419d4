"""Pictures of a final evaluation, drawn by Matplotlib: confusion matrix and learning curves of a model."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from studies.finals import FinalModel
from studies.paths import in_one_step, name_of
from studies.plots.style import FRONT, GRID

MOST_NUMBERS = 20  # classes up to which the cells of a confusion matrix are written out
MOST_NAMES = 40  # classes up to which all are named


def draw_confusion(model: FinalModel, class_names: Sequence[str]) -> Figure:
    """Share of each true class (a row) that was predicted to be each class (a column), over all runs."""
    counts = model.confusion()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    classes = len(class_names)
    side = float(np.clip(2.5 + 0.42 * classes, 4.5, 14))
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.add_subplot()
    drawn = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if classes <= MOST_NUMBERS:
        for (row, column), share in np.ndenumerate(shares):
            if counts[row, column]:
                colour = "white" if share > 0.5 else "black"
                axes.text(column, row, f"{share:.2f}", ha="center", va="center", fontsize=8, color=colour)
    step = 1 if classes <= MOST_NAMES else int(np.ceil(classes / MOST_NAMES))
    names = [name if len(name) <= 24 else f"{name[:23]}…" for name in class_names[::step]]
    axes.set_xticks(range(0, classes, step), names, rotation=90, parse_math=False)
    axes.set_yticks(range(0, classes, step), names, parse_math=False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(_title(model, "share of each true class"), fontsize=10, loc="left")
    figure.colorbar(drawn, ax=axes, fraction=0.046, label="share of the row")
    return figure


def draw_curves(model: FinalModel) -> Figure:
    """Training loss and accuracy of each run by epoch; nothing is validated on in a final training."""
    figure = Figure(figsize=(8.0, 3.4), layout="constrained")
    for column, (name, label) in enumerate((("loss", "training loss (nats)"), ("accuracy", "training accuracy"))):
        axes = figure.add_subplot(1, 2, column + 1)
        for run, style in zip(model.runs, ("-", "--", ":", "-.") * len(model.runs), strict=False):
            epochs = [point["epoch"] for point in run.curve]
            axes.plot(epochs, [point[name] for point in run.curve], style, color=FRONT, label=f"seed {run.seed}")
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.grid(color=GRID, linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=9)
    figure.suptitle(_title(model, "final training"), fontsize=10, x=0.01, ha="left")
    return figure


def write(model: FinalModel, class_names: Sequence[str], folder: Path) -> list[Path]:
    """`confusion.png` and `curves.png` of a model in its folder."""
    paths = [folder / "confusion.png", folder / "curves.png"]
    for path, figure in zip(paths, (draw_confusion(model, class_names), draw_curves(model)), strict=True):
        with in_one_step(path) as part:
            figure.savefig(part, dpi=120)
    return paths


def _title(model: FinalModel, what: str) -> str:
    low, high = model.interval
    return f"{name_of(model.label)}: {what}; test accuracy {model.accuracy:.3f} ({low:.3f}-{high:.3f})"
