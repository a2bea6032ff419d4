"""The tables and plots of a study, and of several side by side, as files."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from hpo.reporting.mapped import write_maps
from studies.comparison import Row, Studied
from studies.contest import METHOD, Contest
from studies.objectives import COSTS
from studies.pareto import front
from studies.paths import write_text
from studies.plots import joint, page, paper
from studies.plots.data import pareto_data, three_data
from studies.probes import Map
from studies.records import TrialRecord
from studies.report.comparing_tables import models_table, settings_table
from studies.tables import comparison
from studies.tables.table import markdown
from studies.tables.trials import columns_of, row, to_csv
from studies.wording import printable


def write_study(name: str, records: Sequence[TrialRecord], folder: Path, found: Map | None = None) -> list[Path]:
    """Write trials and front as CSV and JSON, and three Pareto plots as HTML, PNG, SVG and PDF; returns the paths.

    If the study has `found` a map, that is written too.

    Only reads the records; what stood in `folder` under the same names is replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chosen = front(records)
    numbers = {record.number for record in chosen}
    columns, written = columns_of(records), []
    for stem, shown in (("trials", records), ("front", chosen)):
        rows = [row(record, record.number in numbers, columns) for record in shown]
        for suffix, text in (("csv", to_csv(rows, columns)), ("json", json.dumps(rows, indent=1))):
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
    return written + (write_maps([found], folder) if found else [])


def write_comparison(
    studies: Sequence[Studied], rows: Sequence[Row], found: Contest, said: Mapping[str, Sequence[str]], folder: Path
) -> list[Path]:
    """Models, differences and joint fronts; returns the paths.

    Args:
        studies: as they are compared.
        rows: the models that stand for them.
        found: what their predictions say.
        said: sentences by the heading that they have in comparison.md.
        folder: where all of it goes; made if it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    models = models_table(rows, found, studies[0].fingerprint.dataset)
    numbers = [comparison.values(row, place, found) for place, row in enumerate(rows)]
    lists = [
        f"## {heading}\n\n" + "".join(f"- {markdown(printable(sentence))}\n" for sentence in sentences)
        for heading, sentences in said.items()
    ]
    texts = {
        "comparison.csv": comparison.to_csv(rows, found),
        "comparison.json": json.dumps(numbers, indent=1),
        "comparison.md": f"{models.to_markdown()}\n{settings_table(rows).to_markdown()}\n" + "\n".join(lists),
        "comparison.tex": models.to_latex("comparison"),
    }
    differences = comparison.differences_table(rows, found)
    pairs = [comparison.pair_values(rows, pair) for pair in found.pairs]
    files = {
        "differences.csv": differences.to_csv(),
        "differences.json": json.dumps(pairs, indent=1),
        "differences.md": f"{differences.to_markdown()}\n{markdown(METHOD)}\n",
        "differences.tex": differences.to_latex(),
    }
    for name in files:
        (folder / name).unlink(missing_ok=True)  # those of an earlier comparison
    written = []
    for name, text in (texts | files if pairs else texts).items():
        written.append(folder / name)
        write_text(written[-1], text)
    for cost in COSTS:
        stem, data = f"joint_{cost.stem}", joint.joint_data(studies, cost)
        page.write_html(joint.draw_page(data), folder / f"{stem}.html")
        written += [folder / f"{stem}.html", *paper.write(joint.draw_paper(data), folder / stem)]
    return written
