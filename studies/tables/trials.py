"""Trial records as rows: for the terminal, CSV and JSON."""

from collections.abc import Iterable, Sequence
from typing import Any

from models.candidate import FIELDS, AnyCandidate, HyperCandidate
from studies.outcomes import Measurement
from studies.records import CompleteTrial, State, TrialRecord
from studies.tables import table

WHICH = ("trial", "state", "on_front", "backbone")
CAME_OUT = (
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
COLUMNS = (*WHICH, *FIELDS, *CAME_OUT)  # of trials of a backbone


def settings_of(records: Iterable[TrialRecord]) -> tuple[str, ...]:
    """The columns of what trials decide: dimensions, or the hyperparameters that a HyperModel's trials have."""
    hyper = [record.candidate for record in records if isinstance(record.candidate, HyperCandidate)]
    names = dict.fromkeys(name for candidate in hyper for name in candidate.settings())
    return tuple(map(column_of, names)) if hyper else FIELDS


def columns_of(records: Iterable[TrialRecord]) -> tuple[str, ...]:
    """The columns of a table of these trials."""
    return (*WHICH, *settings_of(records), *CAME_OUT)


def column_of(hyperparameter: str) -> str:
    """Its name, unless another column has it."""
    taken = hyperparameter in WHICH or hyperparameter in CAME_OUT
    return f"{hyperparameter} (hyperparameter)" if taken else hyperparameter


def row(record: TrialRecord, on_front: bool, columns: Sequence[str] = COLUMNS) -> dict[str, Any]:
    """One flat row with the keys of `columns`; None where the trial has no such value."""
    settings = record.candidate.settings() if record.candidate else {}
    if isinstance(record.candidate, HyperCandidate):
        settings = {column_of(name): value for name, value in settings.items()}
    cost = record.measurement
    spread = cost.latency if cost else None
    low, high = record.interval or (None, None)
    values = {
        "trial": record.number,
        "state": record.state,
        "on_front": on_front,
        "backbone": record.candidate.backbone if record.candidate else None,
        **settings,
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
    return {column: values.get(column) for column in columns}


def to_csv(rows: Sequence[dict[str, Any]], columns: Sequence[str] = COLUMNS) -> str:
    """All trials, with a line of column names."""
    return table.records_to_csv(rows, columns)


def why(record: TrialRecord) -> str:
    """Why a trial has no accuracy: its failure, or the budgets it exceeds."""
    over = "; ".join(f"{value:.3g} over {name}" for name, value in record.over_budget.items())
    if record.state is State.INFEASIBLE and not over:
        over = "over a budget when it was first measured"
    return over or record.reason


def describe(candidate: AnyCandidate | None) -> str:
    """A candidate in one short line."""
    return "?" if candidate is None else candidate.describe()


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
