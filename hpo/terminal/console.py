"""Standard output, and tables on it."""

import sys
import textwrap
from collections.abc import Collection
from dataclasses import replace

import rich.table
from rich import box
from rich.console import Console
from rich.text import Text

from studies.tables.table import Column, Table

GAP = 3  # columns of a terminal between two of a table
PIPE_WIDTH = 180  # columns for tables that no terminal limits


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Rich would exit with code 1, which means something else here."""
        raise BrokenPipeError


def make_console() -> Console:
    """Standard output; in a pipe wide enough that no table is folded."""
    return _Console(highlight=False) if sys.stdout.isatty() else _Console(highlight=False, width=PIPE_WIDTH)


def show(console: Console, table: Table, section_after: Collection[int] = ()) -> None:
    """Print a table: as many of its columns as fit side by side, the others below it, a line for each row.

    Args:
        console: where.
        table: its first columns name a row.
        section_after: rows that a line follows, counted from 0.
    """
    widths = [_width(column, texts) for column, texts in zip(table.columns, _columns(table), strict=True)]
    n = len(widths)
    while n > 1 and sum(widths[:n]) + GAP * n > console.width:
        n -= 1
    beside = replace(table, columns=table.columns[:n], rows=tuple(row[:n] for row in table.rows))
    console.print(on_terminal(beside, section_after))
    if n == len(widths):
        return
    for row in table.texts():
        below = [text if c.wide else f"{c.head} {text}" for c, text in zip(table.columns[n:], row[n:], strict=True)]
        line = textwrap.fill(
            f"{_name(table.columns, row)}: {'; '.join(below)}",
            console.width,
            subsequent_indent="    ",
            break_on_hyphens=False,
        )
        console.print(Text(line))
    console.print()


def on_terminal(table: Table, section_after: Collection[int] = ()) -> rich.table.Table:
    """A table for a terminal, its caption above it; a line follows the rows in `section_after`, counted from 0."""
    shown = rich.table.Table(box=box.SIMPLE_HEAD, pad_edge=False, title=table.caption or None, title_justify="left")
    for column, texts in zip(table.columns, _columns(table), strict=True):
        head = textwrap.fill(column.head, _width(column, texts), break_on_hyphens=False)
        shown.add_column(Text(head), justify="right" if column.numeric else "left", overflow="fold")
    for number, row in enumerate(table.texts()):
        shown.add_row(*map(Text, row), end_section=number in section_after)
    return shown


def _columns(table: Table) -> list[list[str]]:
    rows = table.texts()
    return [[row[place] for row in rows] for place in range(len(table.columns))]


def _width(column: Column, texts: list[str]) -> int:
    """Of a column whose heading breaks between words, and whose cells do not."""
    return max(len(text) for text in (*column.head.split(), *texts, "-"))


def _name(columns: tuple[Column, ...], row: list[str]) -> str:
    """What a row is called: its first text columns, or its number."""
    if columns[0].numeric:
        return f"{columns[0].head} {row[0]}"
    first_number = next((place for place, column in enumerate(columns) if column.numeric), 1)
    return ", ".join(row[:first_number])
