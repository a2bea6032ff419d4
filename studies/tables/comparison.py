"""Tables of studies side by side: the model that stands for each kind, and which of them differ."""

from collections.abc import Sequence
from typing import Any

from studies.comparison import Row
from studies.contest import Contest, Pair, score
from studies.macro import MACRO
from studies.scores import wilson_interval
from studies.tables.table import MISSING, Column, Table, records_to_csv
from studies.tables.trials import count, describe

HEADS = (
    "backbone",
    "kind",
    "trial",
    "val_accuracy",
    "test accuracy (95 %)",
    "macro F1",
    "weights",
    "MFLOPs",
    "latency ms (uncertainty)",
    "MiB",
)


def values(row: Row, place: int, found: Contest) -> dict[str, Any]:
    """The numbers of a row in full; None for what is not known.

    Args:
        row: a line of the table.
        place: of the row.
        found: what the predictions of all rows say.
    """
    record, costs = row.record, row.costs
    search = (record.val_accuracy, *wilson_interval(record.val_accuracy, row.val_size)) if record else None
    return {
        "backbone": row.backbone,
        "kind": row.kind,
        "study": row.study,
        "trial": record.number if record else None,
        "on_joint_front": row.on_front,
        **_spread("val_accuracy", search),
        **_tested(row, place, found),
        "parameters": costs.parameters,
        "macs": costs.macs,
        "flops": costs.flops,
        "latency_ms": costs.latency.record_ms,
        "latency_p10_ms": costs.latency.p10_ms,
        "latency_p90_ms": costs.latency.p90_ms,
        "latency_low_ms": costs.latency.low,
        "latency_high_ms": costs.latency.high,
        "latency_measured_in": costs.latency.measured_in,
        "best_epoch": record.best_epoch if record else None,
        "epochs": record.epochs if record else None,
        "seconds": round(record.seconds, 3) if record else None,
        "candidate": describe(row.candidate),
    }


def _tested(row: Row, place: int, found: Contest) -> dict[str, Any]:
    """Of the final evaluation: means over its runs."""
    final = row.final
    numbers: dict[str, Any] = {"runs": len(final.runs) if final else None}
    numbers |= _spread("test_accuracy", (final.accuracy, *final.interval) if final else None)
    for name in MACRO:
        numbers |= _spread(name, score(row, place, found, name))
    numbers["model_bytes"] = final.runs[0].model_bytes if final else None
    return numbers | _spread("final_seconds", final_seconds(row))


def _spread(name: str, value: Sequence[float | None] | None) -> dict[str, float | None]:
    """A number with its lower and upper end, by the names of columns."""
    return dict(zip((name, f"{name}_low", f"{name}_high"), value or (None, None, None), strict=True))


def final_seconds(row: Row) -> tuple[float, float, float] | None:
    """Of a final run, from building the network to the last epoch: mean, least and most over the runs."""
    seconds = [run.training_seconds for run in row.final.runs] if row.final else []
    return (sum(seconds) / len(seconds), min(seconds), max(seconds)) if seconds else None


def to_csv(rows: Sequence[Row], found: Contest) -> str:
    """All rows, with a line of column names."""
    return records_to_csv([values(row, place, found) for place, row in enumerate(rows)])


def on_terminal(rows: Sequence[Row]) -> Table:
    """What commands and notebooks show; a star marks members of the joint front."""
    columns = [Column(head, numeric=head not in ("backbone", "kind")) for head in HEADS]
    columns.append(Column("settings", wide=True))
    return Table("comparison", "* is on the joint front of all studies", tuple(columns), tuple(map(_cells, rows)))


def _cells(row: Row) -> tuple[str, ...]:
    """The texts of a row under `HEADS`, and its settings."""
    record, final, costs = row.record, row.final, row.costs
    tested = (MISSING, MISSING, MISSING)
    if final:
        accuracy = f"{final.accuracy:.4f} ({final.interval[0]:.4f}-{final.interval[1]:.4f})"
        tested = (accuracy, f"{final.mean('macro_f1'):.4f}", f"{final.runs[0].model_bytes / 2**20:.2f}")
    latency = costs.latency
    return (
        row.backbone,
        row.kind,
        starred(row) or MISSING,
        f"{record.val_accuracy:.4f}" if record else MISSING,
        *tested[:2],
        count(costs.parameters),
        f"{costs.flops / 1e6:.4g}",
        f"{latency.record_ms:.3g} ({latency.low:.3g}-{latency.high:.3g})",
        tested[2],
        describe(row.candidate),
    )


def starred(row: Row) -> str | None:
    """The number of the trial, with a star on the joint front."""
    return f"{row.record.number}{'*' if row.on_front else ''}" if row.record else None


def pair_values(rows: Sequence[Row], pair: Pair) -> dict[str, Any]:
    """The numbers of a difference in full."""
    one = pair.difference
    return {
        "model": rows[pair.first].name,
        "other": rows[pair.second].name,
        "difference": one.difference,
        "difference_low": one.low,
        "difference_high": one.high,
        "p": one.p,
        "p_adjusted": one.p_adjusted,
        "verdict": str(one.verdict),
    }


def differences_table(rows: Sequence[Row], found: Contest) -> Table:
    """Every two models, the more accurate one first."""
    columns = (
        Column("model"),
        Column("beside"),
        Column(
            "difference (points), 95 % interval",
            lambda value: f"{100 * value[0]:+.1f} ({100 * value[1]:+.1f} to {100 * value[2]:+.1f})",
            True,
            parts=("difference", "difference_low", "difference_high"),
        ),
        Column("p", _p_value, True),
        Column("p, Holm", _p_value, True, parts=("p_adjusted",)),
        Column("verdict", wide=True),
    )
    body = []
    for pair in found.pairs:
        one = pair.difference
        interval = (one.difference, one.low, one.high)
        body.append((rows[pair.first].name, rows[pair.second].name, interval, one.p, one.p_adjusted, str(one.verdict)))
    caption = (
        "Differences of test accuracy between every two models, on the same pictures; those called better are "
        "significant."
    )
    marked = frozenset(place for place, pair in enumerate(found.pairs) if pair.difference.differs)
    return Table("differences", caption, columns, tuple(body), marked)


def _p_value(p: float) -> str:
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}"
