"""Standard output, and tables on it."""

import sys
from collections.abc import Collection

import rich.table
from rich import box
from rich.console import Console
from rich.text import Text

from studies.tables.table import Table

PIPE_WIDTH = 180  # columns for tables that no terminal limits


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Rich would exit with code 1, which means something else here."""
        raise BrokenPipeError


def make_console() -> Console:
    """Standard output; in a pipe wide enough that no table is folded."""
    return _Console(highlight=False) if sys.stdout.isatty() else _Console(highlight=False, width=PIPE_WIDTH)


def on_terminal(table: Table, section_after: Collection[int] = ()) -> rich.table.Table:
    """A table for a terminal, its caption above it; a line follows the rows in `section_after`, counted from 0."""
    shown = rich.table.Table(box=box.SIMPLE_HEAD, pad_edge=False, title=table.caption or None, title_justify="left")
    for column in table.columns:
        shown.add_column(Text(column.head), justify="right" if column.numeric else "left", overflow="fold")
    for number, row in enumerate(table.texts()):
        shown.add_row(*map(Text, row), end_section=number in section_after)
    return shown
