"""Trial records as rows: for the terminal, CSV and JSON."""

from collections.abc import Sequence
from typing import Any

from models.candidate import FIELDS, READING, Candidate, Searched
from studies.outcomes import Measurement
from studies.records import CompleteTrial, State, TrialRecord
from studies.tables import table

COLUMNS = (
    "trial",
    "state",
    "on_front",
    "backbone",
    *FIELDS,
    "val_accuracy",
    "val_accuracy_low",
    "val_accuracy_high",
    "latency_ms",
    "latency_p10_ms",
    "latency_p90_ms",
    "latency_p99_ms",
    "latency_runs",
    "latency_low_ms",
    "latency_high_ms",
    "latency_measured_in",
    "latency_measured_again",
    "flops",
    "macs",
    "parameters",
    "trainable_parameters",
    "epochs",
    "best_epoch",
    "seconds",
    "reason",
)


def row(record: TrialRecord, on_front: bool) -> dict[str, Any]:
    """One flat row with the keys of `COLUMNS`; None where the trial has no such value."""
    candidate = record.candidate.to_dict() | {"keep_blocks": record.candidate.blocks_kept} if record.candidate else {}
    cost = record.measurement
    spread = cost.latency if cost else None
    low, high = record.interval or (None, None)
    values = {
        "trial": record.number,
        "state": record.state,
        "on_front": on_front,
        **candidate,
        "val_accuracy": record.val_accuracy,
        "val_accuracy_low": low,
        "val_accuracy_high": high,
        "latency_ms": record.latency_ms,
        "latency_p10_ms": spread.p10_ms if spread else None,
        "latency_p90_ms": spread.p90_ms if spread else None,
        "latency_p99_ms": spread.p99_ms if spread else None,
        "latency_runs": spread.runs if spread else None,
        "latency_low_ms": spread.low if spread else None,
        "latency_high_ms": spread.high if spread else None,
        "latency_measured_in": spread.measured_in if spread else None,
        "latency_measured_again": record.measured_again,
        "flops": record.flops,
        "macs": cost.macs if cost else None,
        "parameters": cost.parameters if cost else None,
        "trainable_parameters": record.trainable_parameters,
        "epochs": record.epochs,
        "best_epoch": record.best_epoch,
        "seconds": round(record.seconds, 3),
        "reason": why(record),
    }
    return {column: values.get(column) for column in COLUMNS}


def to_csv(rows: Sequence[dict[str, Any]]) -> str:
    """All trials, with a line of column names."""
    return table.records_to_csv(rows, COLUMNS)


def why(record: TrialRecord) -> str:
    """Why a trial has no accuracy: its failure, or the budgets it exceeds."""
    over = "; ".join(f"{value:.3g} over {name}" for name, value in record.over_budget.items())
    if record.state is State.INFEASIBLE and not over:
        over = "over a budget when it was first measured"
    return over or record.reason


def describe(candidate: Candidate | None) -> str:
    """A candidate in one short line: `96 px, top 2 stages free, head 256, dropout 0.21, 3.0e-04 cosine`.

    What is searched only on request is named where it is not the default.
    """
    if candidate is None:
        return "?"
    shown = [
        dimension
        for dimension in READING
        if dimension.searched == Searched.ALWAYS or getattr(candidate, dimension.field) != dimension.default
    ]
    return ", ".join(text for dimension in shown if (text := dimension.say(candidate)))


def accuracy(record: CompleteTrial) -> str:
    """With its 95 % interval: `0.7410 (0.713-0.767)`."""
    around = "({:.3f}-{:.3f})".format(*record.interval) if record.interval else ""
    return f"{record.val_accuracy:.4f} {around}".rstrip()


def latency(measurement: Measurement) -> str:
    """With how far it may be off (see `studies.outcomes.Latency`), milliseconds: `1.23 (1.20-1.31)`."""
    spread = measurement.latency
    return f"{measurement.latency_ms:.3g} ({spread.low:.3g}-{spread.high:.3g})"


def measured_in(front: Sequence[CompleteTrial]) -> str:
    """What the latencies of a front were measured in: `LiteRT, 1 thread, measured again together at the end`."""
    names = "; ".join(dict.fromkeys(record.measurement.latency.measured_in for record in front))
    again = all(record.measured_again for record in front)
    return f"{names}, measured again together at the end" if again else names


def count(number: float) -> str:
    """A count in engineering form with three digits: 318 k, 20.0 M, 15.5 G."""
    for size, unit in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(number) >= size * 0.9995:
            return f"{number / size:.3g}{unit}" if number / size < 99.95 else f"{number / size:.0f}{unit}"
    return f"{number:.0f}"


def front_table(front: Sequence[CompleteTrial]) -> table.Table:
    """The front as commands and notebooks show it, in the order given."""
    heads = ("trial", "val_accuracy (95 %)", "latency ms (uncertainty)", "MFLOPs", "weights", "epochs", "seconds")
    columns = (*(table.Column(head, numeric=True) for head in heads), table.Column("settings", wide=True))
    rows = tuple(
        (
            str(record.number),
            accuracy(record),
            latency(record.measurement),
            f"{record.measurement.flops / 1e6:.4g}",
            count(record.measurement.parameters),
            f"{record.best_epoch} of {record.epochs}",
            f"{record.seconds:.1f}",
            describe(record.candidate),
        )
        for record in front
    )
    title = f"Pareto front; latency: {measured_in(front)}" if front else "Pareto front"
    return table.Table("front", title, columns, rows)
