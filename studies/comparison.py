"""Studies of several backbones on the same pictures, side by side: three rows for each backbone, one joint front."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from studies.errors import NotComparable
from studies.fingerprint import Fingerprint
from studies.pareto import front
from studies.records import CompleteTrial, TrialRecord, complete
from studies.tables.table import Table, of_texts, records_to_csv
from studies.tables.trials import count, describe, latency

# What must be equal for accuracies and latencies to be comparable: the pictures, and what measured.
COMMON = (
    "dataset",
    "dataset_digest",
    "split",
    "device",
    "backend",
    "dtype",
    "latency_protocol",
    "latency_runtime",
    "latency_threads",
    "latency_device",
)
FROZEN, CUSTOMISED, SCRATCH = "pretrained, frozen", "customised", "from scratch"
HEADS = (
    "backbone",
    "kind",
    "trial",
    "val_accuracy",
    "weights",
    "MMACs",
    "MFLOPs",
    "latency ms (uncertainty)",
    "epochs",
    "seconds",
    "parameters",
)


@dataclass(frozen=True)
class Studied:
    """A study as it is compared: its fingerprint and all of its records."""

    name: str
    fingerprint: Fingerprint
    records: Sequence[TrialRecord]

    @property
    def backbone(self) -> str:
        """Its name."""
        return self.fingerprint.backbone

    @property
    def from_scratch(self) -> bool:
        """Whether its networks began with random weights."""
        return self.fingerprint.from_scratch


@dataclass(frozen=True)
class Row:
    """A line of the table; `record` is None where no study has such a trial."""

    backbone: str
    kind: str  # FROZEN, CUSTOMISED or SCRATCH
    study: str
    record: CompleteTrial | None
    on_front: bool  # of all studies together


def check_comparable(studies: Sequence[Studied]) -> None:
    """That accuracies and latencies of these studies may stand side by side.

    Raises:
        NotComparable: they differ in a field of `COMMON`.
    """
    first = studies[0]
    for other in studies[1:]:
        pairs = {name: (getattr(first.fingerprint, name), getattr(other.fingerprint, name)) for name in COMMON}
        differing = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
        if differing:
            values = "; ".join(f"{name} ({there} there, {here} here)" for name, (there, here) in differing.items())
            raise NotComparable(f"studies {first.name} and {other.name} cannot be compared: they differ in {values}")


def joint_front(studies: Sequence[Studied]) -> list[CompleteTrial]:
    """The trials that none of any study dominates, from the fastest to the slowest."""
    return front([record for study in studies for record in study.records])


def rows(studies: Sequence[Studied]) -> list[Row]:
    """Three rows for each backbone, in the order of the studies.

    The frozen baseline is the most accurate trial with a linear head on frozen pretrained layers; the customised one
    the most accurate of all other pretrained trials; from scratch, the most accurate of a study without weights. Of
    equally accurate trials the one on the joint front, then the faster one.
    """
    members = {id(record) for record in joint_front(studies)}
    table_rows = []
    for backbone in dict.fromkeys(study.backbone for study in studies):
        kinds: dict[str, list[tuple[Studied, CompleteTrial]]] = {FROZEN: [], CUSTOMISED: [], SCRATCH: []}
        for study in studies:
            for record in complete(study.records):
                if study.backbone == backbone:
                    kinds[_kind(study, record)].append((study, record))
        for kind, entries in kinds.items():
            if entries:
                study, best = max(entries, key=lambda entry: _rank(entry[1], id(entry[1]) in members))
                table_rows.append(Row(backbone, kind, study.name, best, id(best) in members))
            else:
                table_rows.append(Row(backbone, kind, "", None, False))
    return table_rows


def _rank(record: CompleteTrial, on_front: bool) -> tuple[float, bool, float]:
    return record.val_accuracy, on_front, -record.latency_ms


def _kind(study: Studied, record: CompleteTrial) -> str:
    if study.from_scratch:
        return SCRATCH
    return FROZEN if record.candidate.linear_probe else CUSTOMISED


def cells(row: Row) -> tuple[str, ...]:
    """The texts of a row under `HEADS`; a star marks members of the joint front."""
    record = row.record
    if record is None:
        return (row.backbone, row.kind, *["-"] * (len(HEADS) - 3), "no such trial")
    cost = record.measurement
    return (
        row.backbone,
        row.kind,
        f"{record.number}{'*' if row.on_front else ''}",
        f"{record.val_accuracy:.4f}",
        count(cost.parameters),
        f"{cost.macs / 1e6:.4g}",
        f"{cost.flops / 1e6:.4g}",
        latency(cost),
        f"{record.best_epoch} of {record.epochs}",
        f"{record.seconds:.1f}",
        describe(record.candidate),
    )


def values(row: Row) -> dict[str, Any]:
    """The numbers of a row in full, for CSV and JSON; None where there is no such trial."""
    record = row.record
    cost = record.measurement if record else None
    return {
        "backbone": row.backbone,
        "kind": row.kind,
        "study": row.study or None,
        "trial": record.number if record else None,
        "on_joint_front": row.on_front,
        "val_accuracy": record.val_accuracy if record else None,
        "parameters": cost.parameters if cost else None,
        "macs": cost.macs if cost else None,
        "flops": cost.flops if cost else None,
        "latency_ms": cost.latency_ms if cost else None,
        "latency_p10_ms": cost.latency.p10_ms if cost else None,
        "latency_p90_ms": cost.latency.p90_ms if cost else None,
        "latency_low_ms": cost.latency.low if cost else None,
        "latency_high_ms": cost.latency.high if cost else None,
        "latency_measured_in": cost.latency.measured_in if cost else None,
        "best_epoch": record.best_epoch if record else None,
        "epochs": record.epochs if record else None,
        "seconds": round(record.seconds, 3) if record else None,
        "candidate": describe(record.candidate) if record else None,
    }


def to_csv(rows: Sequence[Row]) -> str:
    """All rows, with a line of column names."""
    return records_to_csv([values(row) for row in rows])


def to_table(rows: Sequence[Row]) -> Table:
    """What commands and notebooks show; a star marks members of the joint front."""
    left = ("backbone", "kind", "parameters")
    return of_texts("comparison", "* is on the joint front of all studies", HEADS, map(cells, rows), left)
