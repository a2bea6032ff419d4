"""Standard output, and tables on it."""

import sys
from collections.abc import Collection, Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

PIPE_WIDTH = 180  # columns for tables that no terminal limits


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Rich would exit with code 1, which means something else here."""
        raise BrokenPipeError


def make_console() -> Console:
    """Standard output; in a pipe wide enough that no table is folded."""
    return _Console(highlight=False) if sys.stdout.isatty() else _Console(highlight=False, width=PIPE_WIDTH)


def make_table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]] = (),
    left: Collection[str] = (),
    title: str | None = None,
    section_after: Collection[int] = (),
) -> Table:
    """A table for a terminal.

    Args:
        left: headings of the columns that stand left; numbers stand right.
        section_after: rows, from 0, that a line follows.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left")
    for head in heads:
        table.add_column(head, justify="left" if head in left else "right", overflow="fold")
    for number, row in enumerate(rows):
        table.add_row(*row, end_section=number in section_after)
    return table
