"""The table that a report on several studies begins with."""

from collections.abc import Sequence
from typing import Any

from studies.comparison import Row
from studies.contest import Contest, score
from studies.macro import MACRO
from studies.report.model_tables import FLOPS, SETTINGS, TEST, TIME, WEIGHTS
from studies.scores import wilson_interval
from studies.tables.comparison import final_seconds, starred
from studies.tables.table import Column, Table
from studies.tables.trials import describe


def _score(value: tuple[float, float | None, float | None]) -> str:
    return TEST.text(value) if value[1] is not None else f"{100 * value[0]:.1f}"


def _mean(seconds: tuple[float, float, float]) -> str:
    mean, low, high = seconds
    return f"{mean:.3g}" if low == high else f"{mean:.3g} ({low:.3g}–{high:.3g})"


def _parts(name: str) -> tuple[str, str, str]:
    return name, f"{name}_low", f"{name}_high"


COLUMNS = (
    Column("backbone"),
    Column("kind"),
    Column("trial", numeric=True),
    Column("validation accuracy (%), 95 % interval", TEST.text, True, parts=_parts("val_accuracy")),
    TEST,
    Column("macro precision (%)", _score, True, parts=_parts("macro_precision")),
    Column("macro recall (%)", _score, True, parts=_parts("macro_recall")),
    Column("macro F1 (%)", _score, True, parts=_parts("macro_f1")),
    FLOPS,
    TIME,
    WEIGHTS,
    Column("size (MiB)", "{:.2f}", True, parts=("model_mib",)),
    Column("preparing and training (s)", _mean, True, parts=_parts("final_seconds")),
    SETTINGS,
)


def models_table(rows: Sequence[Row], found: Contest, dataset: str) -> Table:
    """A row for each kind of each study; what only a final evaluation knows is missing before it."""
    best = [place for place in found.order[:1] if len(found.order) > 1]
    caption = (
        f"Models of all studies on {dataset}. Test accuracy, precision, recall and F1 are means over training runs, "
        "with 95 % intervals over pictures and seeds"
    )
    caption += "; the most accurate on the test pictures stands out." if best else "."
    return Table("backbones", caption, COLUMNS, tuple(_cells(row, place, found) for place, row in enumerate(rows)),
                 frozenset(best))  # fmt: skip


def _cells(row: Row, place: int, found: Contest) -> tuple[Any, ...]:
    record, final, latency = row.record, row.final, row.costs.latency
    return (
        row.backbone,
        row.kind,
        starred(row),
        (record.val_accuracy, *wilson_interval(record.val_accuracy, row.val_size)) if record else None,
        (final.accuracy, *final.interval) if final else None,
        *(score(row, place, found, name) for name in MACRO),
        row.costs.flops,
        (latency.record_ms, latency.low, latency.high),
        row.costs.parameters,
        final.runs[0].model_bytes / 2**20 if final else None,
        final_seconds(row),
        describe(row.candidate),
    )
