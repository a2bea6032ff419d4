"""The tables that commands end with."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from hpo.terminal.console import make_console, make_table
from studies import comparison
from studies.pareto import front
from studies.records import TrialRecord
from studies.tables import finals, trials

if TYPE_CHECKING:
    from rich.console import Console

    from hpo.final.exporting import Converted
    from hpo.reporting.comparing import Comparison
    from studies.finals import FinalModel


def show_front(console: "Console", records: Sequence[TrialRecord]) -> None:
    """The front, from the fastest to the slowest."""
    heads, rows = trials.front_rows(front(records))
    console.print(make_table(heads, rows, left=("parameters",), title="Pareto front"))


def show_models(models: "Sequence[FinalModel]") -> None:
    """Final models on the test pictures, and how their intervals were made."""
    seeds = len(models[0].runs)
    title = f"On the test pictures, means over {seeds} seed{'s' * (seeds > 1)}"
    rows = [finals.cells(model, finals.TERMINAL) for model in models]
    console = make_console()
    console.print(make_table(finals.TERMINAL, rows, left=("model",), title=title))
    console.print(finals.METHOD)


def show_comparison(compared: "Comparison") -> None:
    """Studies side by side, a line below each backbone, and where that was written to."""
    rows = compared.rows
    title = f"{compared.studies[0].fingerprint.dataset}; * is on the joint front of all studies"
    ends = [number for number, row in enumerate(rows) if row is rows[-1] or row.kind == comparison.SCRATCH]
    left = ("backbone", "kind", "parameters")
    make_console().print(make_table(comparison.HEADS, map(comparison.cells, rows), left, title, ends))
    click.echo(f"\nFiles in {compared.folder}:")
    for path in compared.files:
        click.echo(f"  {path.name}")


def show_exports(converted: "Sequence[Converted]") -> None:
    """A final model in several formats, beside the original."""
    from hpo.final.exporting import HEADS, cells

    make_console().print(make_table(HEADS, map(cells, converted), left=("format", "runtime")))
