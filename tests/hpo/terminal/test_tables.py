"""The tables that commands end with."""

import io

from rich.console import Console

from hpo.terminal.tables import show_front
from tests.studies.conftest import make_record, records  # noqa: F401  (fixtures)


def shown(trials, width):
    console = Console(file=io.StringIO(), width=width, highlight=False)
    show_front(console, trials)
    return console.file.getvalue()


def test_front_as_a_table(records):  # noqa: F811
    text = shown(records, 160)
    assert [line.split()[0] for line in text.splitlines() if line.strip()[:1].isdigit()] == ["0", "2", "1"]
    for head in ("trial", "val_accuracy", "latency ms", "(uncertainty)", "MFLOPs", "epochs", "seconds", "settings"):
        assert head in text


def test_at_80_columns_settings_have_a_line_of_their_own(records):  # noqa: F811
    text = shown(records, 80)
    assert max(map(len, text.splitlines())) <= 80
    assert [line.split()[0] for line in text.splitlines() if line.strip()[:1].isdigit()] == ["0", "2", "1"]
    assert "trial 0: 32 px, frozen, head 128, dropout 0.25, 1.0e-03 cosine\n" in text
