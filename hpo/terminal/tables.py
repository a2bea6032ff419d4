"""The tables that commands end with."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from hpo.terminal.console import make_console, show
from studies.pareto import front
from studies.records import TrialRecord
from studies.tables import comparison, finals, forms, probes, trials

if TYPE_CHECKING:
    from rich.console import Console

    from hpo.reporting.comparing import Comparison
    from studies.finals import FinalModel
    from studies.forms import Form, Ranked
    from studies.probes import Map


def show_front(console: "Console", records: Sequence[TrialRecord]) -> None:
    """The front, from the fastest to the slowest."""
    show(console, trials.front_table(front(records)))


def show_map(maps: "Sequence[Map]") -> None:
    """The front over all maps, and what has to be known of its numbers."""
    console = make_console()
    show(console, probes.front_table(maps))
    console.print(probes.METHOD)
    for text in filter(None, map(probes.subset, maps)):
        console.print(text)


def show_models(models: "Sequence[FinalModel]") -> None:
    """Final models on the test pictures, how they were compared, and what that says of each."""
    console = make_console()
    show(console, finals.on_terminal(models))
    for text in (finals.METHOD, *finals.verdicts(models)):
        console.print(text)


def show_comparison(compared: "Comparison") -> None:
    """Studies side by side, a line below each backbone, what that says, and where it was written to."""
    rows = compared.rows
    table = comparison.on_terminal(rows)
    titled = replace(table, caption=f"{compared.studies[0].fingerprint.dataset}; {table.caption}")
    ends = [number for number, (row, after) in enumerate(itertools.pairwise(rows)) if row.backbone != after.backbone]
    console = make_console()
    show(console, titled, [*ends, len(rows) - 1])
    for heading, sentences in compared.said.items():
        console.print(f"\n{heading}:", style="bold")
        for text in sentences:
            console.print(text, markup=False)
    click.echo(f"\nFiles in {compared.folder}:")
    for path in compared.files:
        click.echo(f"  {path.name}")


def show_forms(ranked: "Sequence[Ranked]") -> None:
    """All forms of final models, how they are compared, and in words what chance does not explain."""
    console = make_console()
    following = enumerate(itertools.pairwise(one.form.label for one in ranked))
    ends = [number for number, (label, after) in following if label != after]
    console.print()
    show(console, forms.to_table(ranked, forms.TERMINAL, forms.CAPTION), ends)
    for text in (forms.METHOD, *forms.verdicts(ranked)):
        console.print(text)


def show_exports(made: "Sequence[Form]") -> None:
    """A final model in several formats, beside the original."""
    show(make_console(), forms.exported(made))
