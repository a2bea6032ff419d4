"""The tables and plots of a study, and of several side by side, as files."""

import json
from collections.abc import Sequence
from pathlib import Path

from studies import comparison
from studies.comparison import Row, Studied
from studies.objectives import COSTS
from studies.pareto import front
from studies.paths import write_text
from studies.plots import joint, page, paper
from studies.plots.data import pareto_data, three_data
from studies.records import TrialRecord
from studies.tables.trials import row, to_csv


def write_study(name: str, records: Sequence[TrialRecord], folder: Path) -> list[Path]:
    """Write trials and front as CSV and JSON, and three Pareto plots as HTML, PNG, SVG and PDF; returns the paths.

    Only reads the records; what stood in `folder` under the same names is replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chosen = front(records)
    numbers = {record.number for record in chosen}
    written = []
    for stem, shown in (("trials", records), ("front", chosen)):
        rows = [row(record, record.number in numbers) for record in shown]
        for suffix, text in (("csv", to_csv(rows)), ("json", json.dumps(rows, indent=1))):
            written.append(folder / f"{stem}.{suffix}")
            write_text(written[-1], text)
    drawings = [
        (f"accuracy_{cost.stem}", page.draw_pareto(data), paper.draw_pareto(data))
        for cost in COSTS
        for data in (pareto_data(name, records, cost),)
    ]
    three = three_data(name, records)
    drawings.append(("accuracy_latency_flops", page.draw_three(three), paper.draw_three(three)))
    for stem, drawn, figure in drawings:
        page.write_html(drawn, folder / f"{stem}.html")
        written += [folder / f"{stem}.html", *paper.write(figure, folder / stem)]
    return written


def write_comparison(studies: Sequence[Studied], table: Sequence[Row], folder: Path) -> list[Path]:
    """Table and joint fronts; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "csv": comparison.to_csv(table),
        "json": json.dumps([comparison.values(row) for row in table], indent=1),
        "md": comparison.to_table(table).to_markdown_rows(),
    }
    written = []
    for suffix, text in texts.items():
        written.append(folder / f"comparison.{suffix}")
        write_text(written[-1], text)
    for cost in COSTS:
        stem, data = f"joint_{cost.stem}", joint.joint_data(studies, cost)
        page.write_html(joint.draw_page(data), folder / f"{stem}.html")
        written += [folder / f"{stem}.html", *paper.write(joint.draw_paper(data), folder / stem)]
    return written
