"""Tables on a terminal of some width."""

import io

from rich.console import Console

from hpo.terminal.console import show
from studies.tables.table import Column, Table


def printed(table, width, section_after=()):
    console = Console(file=io.StringIO(), width=width, highlight=False)
    show(console, table, section_after)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


TABLE = Table(
    "t",
    "Title",
    (
        Column("network"),
        Column("kind"),
        Column("test accuracy", numeric=True),
        Column("MiB", numeric=True),
        Column("why", wide=True),
    ),
    (
        ("vgg19", "frozen", "0.9123", "80.1", "the most accurate one"),
        ("lenet5", "free", "0.5", "0.3", "the smallest one"),
    ),
)


def test_a_table_that_fits_is_one_table():
    assert printed(TABLE, 80) == [
        "Title",
        "",
        "                        test",
        " network   kind     accuracy    MiB   why",
        " ──────────────────────────────────────────────────────────",
        " vgg19     frozen     0.9123   80.1   the most accurate one",
        " lenet5    free          0.5    0.3   the smallest one",
        "",
    ]


def test_what_does_not_fit_stands_below():
    assert printed(TABLE, 40) == [
        "Title",
        "",
        "                        test",
        " network   kind     accuracy    MiB",
        " ──────────────────────────────────",
        " vgg19     frozen     0.9123   80.1",
        " lenet5    free          0.5    0.3",
        "",
        "vgg19, frozen: the most accurate one",
        "lenet5, free: the smallest one",
        "",
    ]
    assert printed(TABLE, 30)[-5:] == [
        "vgg19, frozen: MiB 80.1; the",
        "    most accurate one",
        "lenet5, free: MiB 0.3; the",
        "    smallest one",
        "",
    ]
