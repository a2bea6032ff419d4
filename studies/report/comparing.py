"""The chapter before those of several studies: their best models in one table, and their joint Pareto front."""

from collections.abc import Sequence

import plotly.graph_objects as go

from studies import comparison
from studies.comparison import FROZEN, Studied
from studies.objectives import COSTS
from studies.plots import joint
from studies.plots.joint import JointData
from studies.records import complete
from studies.report import charts
from studies.report.blocks import Chapter, Chart, Points, Section, Text
from studies.report.material import Material
from studies.report.model_tables import EPOCHS, FLOPS, SECONDS, SETTINGS, TIME, VALIDATION, WEIGHTS
from studies.report.wording import counted, listed, mega, percent
from studies.tables.table import Column, Table


def comparison_chapter(materials: Sequence[Material], name: str = "comparison") -> Chapter:
    """The best models of several studies, and their joint front.

    Raises:
        NotComparable: they are on other pictures, or measured on another device.
    """
    studies = [material.studied() for material in materials]
    comparison.check_comparable(studies)
    sections = [Section("summary", "The studies together", (Points(_sentences(studies)),))]
    if comparison.joint_front(studies):
        text = (
            "For each backbone: the pretrained network with a linear head, the most accurate customised candidate, and "
            "the most accurate one trained from scratch where there is such a study. A star marks members of the joint "
            "front."
        )
        sections.append(Section("models", "Backbones side by side", (Text(text), _table(studies))))
        sections.append(Section("front", "Joint Pareto front", tuple(_charts(studies))))
    return Chapter(name, f"Comparison of {len(studies)} studies", tuple(sections))


def _sentences(studies: Sequence[Studied]) -> tuple[str, ...]:
    sentences = []
    rows = [(row, row.record) for row in comparison.rows(studies) if row.record is not None]
    for study in studies:
        if not complete(study.records):
            sentences.append(f"No trial of {study.name} completed.")
    if not rows:
        return tuple(sentences)
    best, record = max(rows, key=lambda entry: entry[1].val_accuracy)
    sentences.append(
        f"The most accurate of all is trial {record.number} of {best.study} ({best.kind}): "
        f"{percent(record.val_accuracy)} validation accuracy, {record.latency_ms:.3g} ms and "
        f"{mega(record.flops)} MFLOPs for one picture."
    )
    frozen = [(row, record) for row, record in rows if row.kind == FROZEN]
    if frozen:
        first, record = max(frozen, key=lambda entry: entry[1].val_accuracy)
        sentences.append(
            f"The best pretrained baseline is {first.backbone} with {percent(record.val_accuracy)} "
            f"(trial {record.number} of {first.study})."
        )
    members = {id(record) for record in comparison.joint_front(studies)}
    shares = [
        f"{n} of {study.name}" for study in studies if (n := sum(id(record) in members for record in study.records))
    ]
    sentences.append(f"The joint Pareto front has {counted(len(members), 'candidate')}: {listed(shares)}.")
    return tuple(sentences)


def _table(studies: Sequence[Studied]) -> Table:
    rows = []
    for row in comparison.rows(studies):
        record = row.record
        if record is None:
            continue
        cost = record.measurement
        rows.append(
            (
                row.backbone,
                row.kind,
                f"{record.number}{'*' if row.on_front else ''}",
                record.val_accuracy,
                cost.flops,
                (cost.latency_ms, cost.latency.low, cost.latency.high),
                cost.parameters,
                (record.best_epoch, record.epochs),
                record.seconds,
                comparison.describe(record.candidate),
            )
        )
    columns = (
        Column("backbone"), Column("kind"), Column("trial", numeric=True), VALIDATION, FLOPS, TIME, WEIGHTS,
        EPOCHS, SECONDS, SETTINGS,
    )  # fmt: skip
    caption = f"Pretrained, customised and from scratch on {studies[0].fingerprint.dataset}."
    return Table("backbones", caption, columns, tuple(rows))


def _drawn(data: JointData) -> go.Figure:
    figure = charts.bare(joint.draw_page(data))
    return figure.update_xaxes(title={"text": data.x.brief, "standoff": 8})


def _charts(studies: Sequence[Studied]) -> list[Chart]:
    fronts = []
    for x in COSTS:
        data = joint.joint_data(studies, x)
        names = listed(list(dict.fromkeys(group.label for group in data.groups)))
        caption = (
            f"Accuracy against {x.noun} of {names}; hollow markers: trained from scratch. "
            f"{data.subtitle[0].upper()}{data.subtitle[1:]}."
        )
        alt = (
            f"Accuracy against {x.noun} of the complete trials of {names}; the joint front of "
            f"{counted(len(data.front), 'trial')} rises to {percent(max(point.accuracy for point in data.front))}."
        )
        fronts.append(Chart(f"joint_{x.stem}", caption, alt, _drawn(data)))
    return fronts
