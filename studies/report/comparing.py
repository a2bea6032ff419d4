"""The chapter before those of several studies: their models side by side, which of them differ, and a joint front."""

from collections.abc import Sequence

import plotly.graph_objects as go

from studies import comparison
from studies.comparison import Row, Studied
from studies.contest import METHOD, Contest, contest, missing, tally, verdicts
from studies.likeness import ALIKE, notes
from studies.objectives import COSTS, LATENCY, VAL_ACCURACY
from studies.plots import joint
from studies.plots.joint import JointData
from studies.records import complete
from studies.report import charts
from studies.report.blocks import Block, Chapter, Chart, Charts, Points, Section, Text
from studies.report.comparing_charts import bars, curves
from studies.report.comparing_tables import models_table, settings_table
from studies.report.wording import UNSURE, counted, listed, mega, percent
from studies.tables.comparison import differences_table

TOGETHER, SIGNIFICANT = "The studies together", "Which differences are significant"
NOT_ALIKE, MISSING = "What is not like for like", "What is missing"
STANDS_FOR = {  # by whether a study is from scratch
    False: "A pretrained study is represented by its frozen network with a linear head and by its most accurate "
    "customised candidate.",
    True: "A study from scratch is represented by its most accurate candidate.",
}
CHOSEN = "All were chosen by validation accuracy, never by the test pictures."
HIGHLIGHTED = "The highlighted model is the most accurate on the test pictures."


def comparison_chapter(studies: Sequence[Studied], name: str = "comparison") -> Chapter:
    """The models that stand for several studies, what they are worth on the test pictures, and their joint front.

    Raises:
        NotComparable: they are on other pictures, or measured on another device.
    """
    comparison.check_comparable(studies)
    rows = comparison.rows(studies)
    found = contest(studies, rows)
    sections: list[Section | None] = [Section("summary", TOGETHER, (Points(summary(studies, rows, found)),))]
    if rows:
        sections += [
            _models(studies, rows, found),
            _differences(studies, rows, found),
            _likeness(studies),
            _curves(rows),
            _front(studies),
        ]
    title = f"Comparison of {counted(len(studies), 'study', 'studies')}"
    return Chapter(name, title, tuple(section for section in sections if section is not None))


def summary(studies: Sequence[Studied], rows: Sequence[Row], found: Contest) -> tuple[str, ...]:
    """What is most accurate in the search and on the test pictures, and how large the joint front is."""
    sentences = [f"No trial of {study.name} completed." for study in studies if not complete(study.records)]
    searched = [(row, row.record) for row in rows if row.record is not None]
    if searched:
        best, record = max(searched, key=lambda entry: entry[1].val_accuracy)
        sentences.append(
            f"The most accurate in the search is trial {record.number} of {best.study} ({best.name}): "
            f"{percent(record.val_accuracy)} validation accuracy, {record.latency_ms:.3g} ms and "
            f"{mega(record.flops)} MFLOPs for one picture."
        )
    probes = [entry for entry in searched if entry[1].candidate.linear_probe]
    if probes:
        first, record = max(probes, key=lambda entry: entry[1].val_accuracy)
        which = (
            "Of the frozen networks with a linear head the best is"
            if len(probes) > 1
            else ("The only frozen network with a linear head is")
        )
        sentences.append(
            f"{which} {first.backbone} with {percent(record.val_accuracy)} validation accuracy (trial {record.number} "
            f"of {first.study})."
        )
    if found.order:
        sentences.append(_tested(rows[found.order[0]], len(found.order), sum(row.final is not None for row in rows)))
    sentences += [tally(found.pairs)] if found.pairs else []
    members = {id(record) for record in comparison.joint_front(studies)}
    shares = [
        f"{n} of {study.name}" for study in studies if (n := sum(id(record) in members for record in study.records))
    ]
    if members:
        sentences.append(f"The joint Pareto front has {counted(len(members), 'candidate')}: {listed(shares)}.")
    return tuple(sentences)


def _tested(best: Row, n_models: int, n_tested: int) -> str:
    final = best.final
    assert final is not None
    low, high = final.interval
    over = f"over {counted(len(final.runs), 'training run')}" if len(final.runs) > 1 else "in one training run"
    which = f"{n_models} models" if n_models == n_tested else f"the {n_models} models whose predictions are there"
    among = f"{best.name} is the most accurate of {which}"
    if n_models == 1:
        among = f"only {best.name} {'was tested' if n_tested == 1 else 'has its predictions'}"
    return (
        f"On the {final.runs[0].n_test:,} test pictures {among}: {percent(final.accuracy)} "
        f"({percent(low)} to {percent(high)}) {over}."
    )


def _models(studies: Sequence[Studied], rows: Sequence[Row], found: Contest) -> Section:
    kinds = {study.from_scratch for study in studies}
    text = " ".join([sentence for scratch, sentence in STANDS_FOR.items() if scratch in kinds] + [CHOSEN])
    text += f" {HIGHLIGHTED}" if found.pairs else ""
    blocks: list[Block] = [Text(text), models_table(rows, found, studies[0].fingerprint.dataset)]
    if lacking := missing(studies, rows, found):
        blocks.append(Points(lacking))
    blocks += [Charts(bars(rows, found)), settings_table(rows)]
    return Section("models", "Models side by side", tuple(blocks))


def _differences(studies: Sequence[Studied], rows: Sequence[Row], found: Contest) -> Section:
    blocks: tuple[Block, ...] = (Text(METHOD), Points(verdicts(rows, found)), differences_table(rows, found))
    if not found.pairs:
        how = (
            " What makes the missing results stands below the table of models." if missing(studies, rows, found) else ""
        )
        blocks = (Text(f"Fewer than two models can be compared on the test pictures.{how}"),)
    return Section("differences", SIGNIFICANT, blocks)


def _likeness(studies: Sequence[Studied]) -> Section | None:
    if len(studies) < 2:
        return None
    said = notes(studies)
    if said == (ALIKE,):
        return Section("likeness", "What is like for like", (Text(ALIKE),))
    return Section("likeness", NOT_ALIKE, (Points(said),))


def _curves(rows: Sequence[Row]) -> Section | None:
    chart = curves(rows)
    return Section("curves", "Learning curves", (chart,)) if chart else None


def _drawn(data: JointData) -> go.Figure:
    figure = charts.bare(joint.draw_page(data))
    figure.update_yaxes(title=VAL_ACCURACY.brief)
    return figure.update_xaxes(title={"text": data.x.brief, "standoff": 8})


def _front(studies: Sequence[Studied]) -> Section | None:
    if not comparison.joint_front(studies):
        return None
    blocks: list[Block] = [
        Text(
            "On the joint front is what no trial of any of the studies beats in accuracy, latency and FLOPs at once; "
            "rings mark it in both figures, and a line joins those that are not beaten in the two objectives shown."
        )
    ]
    for x in COSTS:
        data = joint.joint_data(studies, x)
        names = listed([group.label for group in data.groups])
        caption = (
            f"Accuracy against {x.noun} of {names}; hollow markers: trained from scratch"
            f"{f'; horizontal lines {UNSURE}' if x is LATENCY else ''}. "
            f"{data.subtitle[0].upper()}{data.subtitle[1:]}."
        )
        alt = (
            f"Accuracy against {x.noun} of the complete trials of {names}; the joint front of "
            f"{counted(len(data.members), 'trial')} rises to {percent(max(point.accuracy for point in data.members))}."
        )
        blocks.append(Chart(f"joint_{x.stem}", caption, alt, _drawn(data)))
    return Section("front", "Joint Pareto front", tuple(blocks))
