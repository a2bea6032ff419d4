"""The tables that commands end with."""

import io

from rich.console import Console

from hpo.terminal.tables import show_front
from tests.studies.conftest import make_record, records  # noqa: F401  (fixtures)


def test_front_as_a_table(records):  # noqa: F811
    console = Console(file=io.StringIO(), width=160)
    show_front(console, records)
    text = console.file.getvalue()
    assert [line.split()[0] for line in text.splitlines() if line.strip()[:1].isdigit()] == ["0", "2", "1"]
    for head in ("trial", "parameters", "val_accuracy", "latency ms (uncertainty)", "MFLOPs", "epochs", "seconds"):
        assert head in text
