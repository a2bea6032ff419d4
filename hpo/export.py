"""`python -m hpo.export STUDY`: the tables and plots of a study, as files."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from hpo.cli import StudyCommand, check_writable, out_option, storage_option
from hpo.measurements import write_atomically
from studies.records import TrialRecord

PLOTS = (("accuracy_latency", "latency"), ("accuracy_flops", "mflops"))


def export_study(name: str, records: Sequence[TrialRecord], folder: Path) -> list[Path]:
    """Write trials and front as CSV and JSON, and three Pareto plots as HTML, PNG, SVG and PDF; returns the paths.

    Only reads the records; what stood in `folder` under the same names is replaced.
    """
    from studies import figures, plots
    from studies.pareto import front
    from studies.tables import row, to_csv

    folder.mkdir(parents=True, exist_ok=True)
    chosen = front(records)
    numbers = {record.number for record in chosen}
    written = []
    for stem, shown in (("trials", records), ("front", chosen)):
        rows = [row(record, record.number in numbers) for record in shown]
        for suffix, text in (("csv", to_csv(rows)), ("json", json.dumps(rows, indent=1))):
            written.append(folder / f"{stem}.{suffix}")
            write_atomically(written[-1], text)
    drawings = [
        (stem, plots.draw_pareto(data), figures.draw_pareto(data))
        for stem, x in PLOTS
        for data in (plots.pareto_data(name, records, x),)
    ]
    drawings.append(("accuracy_latency_flops", plots.draw_three(name, records), figures.draw_three(name, records)))
    for stem, page, figure in drawings:
        plots.write_html(page, folder / f"{stem}.html")
        written += [folder / f"{stem}.html", *figures.write(figure, folder / stem)]
    return written


@click.command(cls=StudyCommand)
@click.argument("study")
@storage_option
@out_option
def main(study: str, storage: str, out: Path) -> None:
    """Write the front of STUDY: trials and front as CSV and JSON, Pareto plots as HTML, PNG, SVG and PDF."""
    from studies.records import read_study
    from studies.storage import load_study, storage_trouble

    with storage_trouble(storage):
        records = read_study(load_study(storage, study))
    check_writable(out)
    for path in export_study(study, records, out / study):
        click.echo(path)


if __name__ == "__main__":
    main()
