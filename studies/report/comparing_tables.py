"""The table that a report on several studies begins with."""

from collections.abc import Sequence
from typing import Any

from studies.comparison import Row
from studies.contest import Contest, score
from studies.macro import MACRO
from studies.report.model_tables import EPOCHS, FLOPS, SETTINGS, TEST, TIME, WEIGHTS
from studies.scores import wilson_interval
from studies.tables.comparison import final_seconds, starred
from studies.tables.table import Column, Table
from studies.tables.trials import describe


def _mean_percent(value: tuple[float, float | None, float | None]) -> str:
    return f"{100 * value[0]:.1f}"  # with its interval it is drawn, and in the CSV file


def _mean_number(value: tuple[float, float, float]) -> str:
    return f"{value[0]:.3g}"


def _parts(name: str) -> tuple[str, str, str]:
    return name, f"{name}_low", f"{name}_high"


COLUMNS = (
    Column("backbone"),
    Column("kind"),
    Column("validation accuracy (%)", _mean_percent, True, parts=_parts("val_accuracy")),
    TEST,
    Column("macro precision (%)", _mean_percent, True, parts=_parts("macro_precision")),
    Column("macro recall (%)", _mean_percent, True, parts=_parts("macro_recall")),
    Column("macro F1 (%)", _mean_percent, True, parts=_parts("macro_f1")),
    FLOPS,
    Column("inference (ms)", _mean_number, True, parts=TIME.parts),
    WEIGHTS,
    Column("size (MiB)", "{:.2f}", True, parts=("model_mib",)),
    Column("training (s)", _mean_number, True, parts=_parts("final_seconds")),
)


def models_table(rows: Sequence[Row], found: Contest, dataset: str) -> Table:
    """A row for each kind of each study; what only a final evaluation knows is missing before it."""
    best = [place for place in found.order[:1] if len(found.order) > 1]
    caption = (
        f"Models of all studies on {dataset}. Test accuracy, precision, recall and F1 are means over training runs, "
        "with 95 % intervals over pictures and seeds, or over pictures alone after one run of each. Intervals that are "
        "not here are in the table's CSV file. Training is that of one run, with what it prepares."
    )
    return Table("backbones", caption, COLUMNS, tuple(_cells(row, place, found) for place, row in enumerate(rows)),
                 frozenset(best))  # fmt: skip


def _cells(row: Row, place: int, found: Contest) -> tuple[Any, ...]:
    record, final, latency = row.record, row.final, row.costs.latency
    return (
        row.backbone,
        row.kind,
        (record.val_accuracy, *wilson_interval(record.val_accuracy, row.val_size)) if record else None,
        (final.accuracy, *final.interval) if final else None,
        *(score(row, place, found, name) for name in MACRO),
        row.costs.flops,
        (latency.record_ms, latency.low, latency.high),
        row.costs.parameters,
        final.runs[0].model_bytes / 2**20 if final else None,
        final_seconds(row),
    )


def settings_table(rows: Sequence[Row]) -> Table:
    """Which trial each model is, and what was decided for it."""
    body = tuple(
        (
            row.name,
            row.study,
            starred(row),
            (row.record.best_epoch, row.record.epochs) if row.record else None,
            len(row.final.runs) if row.final else None,
            describe(row.candidate),
        )
        for row in rows
    )
    columns = (
        Column("model"), Column("study"), Column("trial", numeric=True), EPOCHS, Column("final runs", numeric=True),
        SETTINGS,
    )  # fmt: skip
    return Table("settings", "Where each model comes from; a star marks members of the joint front.", columns, body)
