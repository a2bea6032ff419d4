"""`python -m hpo.export STUDY`: the tables and plots of a study as files, or a final model for another runtime."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from hpo.config import check_field
from hpo.errors import BadInput
from hpo.terminal.command import DONE, NO_SUCCESS, StudyCommand, check_writable, field_option, quiet_libraries
from hpo.worker.costs import write_atomically
from models.export.formats import FORMATS
from studies.attributes import OPTIONS
from studies.records import TrialRecord


def export_study(name: str, records: Sequence[TrialRecord], folder: Path) -> list[Path]:
    """Write trials and front as CSV and JSON, and three Pareto plots as HTML, PNG, SVG and PDF; returns the paths.

    Only reads the records; what stood in `folder` under the same names is replaced.
    """
    from studies.objectives import COSTS
    from studies.pareto import front
    from studies.plots import page, paper
    from studies.tables.trials import row, to_csv

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
        (f"accuracy_{cost.stem}", page.draw_pareto(data), paper.draw_pareto(data))
        for cost in COSTS
        for data in (page.pareto_data(name, records, cost),)
    ]
    drawings.append(("accuracy_latency_flops", page.draw_three(name, records), paper.draw_three(name, records)))
    for stem, drawn, figure in drawings:
        page.write_html(drawn, folder / f"{stem}.html")
        written += [folder / f"{stem}.html", *paper.write(figure, folder / stem)]
    return written


@click.command(cls=StudyCommand)
@click.argument("study")
@click.option("--format", "names", multiple=True, metavar="FORMAT", type=click.Choice(list(FORMATS)),
              help=f"export a final model instead, to {', '.join(FORMATS)}; can be given several times")  # fmt: skip
@click.option("--trial", metavar="N", help="which final model: a trial's number, or baseline")
@field_option("storage")
@field_option("out")
@field_option("cache_dir")
@field_option("data_dir")
@field_option("device")
def main(study: str, names: tuple[str, ...], trial: str | None, **places: Any) -> int:
    """Write the front of STUDY: trials and front as CSV and JSON, Pareto plots as HTML, PNG, SVG and PDF.

    With --format a final model (see `python -m hpo.evaluate`) is exported for another runtime, loaded again by that,
    and measured on the same test pictures beside the original. litert-int8: quantised after training, with training
    pictures for its ranges.
    """
    from studies.records import read_study
    from studies.storage import load_study, storage_trouble

    if bool(names) != bool(trial):
        raise BadInput("--format and --trial belong together: which model, and to what")
    places["storage"] = check_field("storage", places["storage"])
    with storage_trouble(places["storage"]):
        loaded = load_study(places["storage"], study)
        if trial:
            return _convert(loaded, trial, list(dict.fromkeys(names)), places)
        records = read_study(loaded)
    out = check_field("out", places["out"])
    check_writable(out)
    for path in export_study(study, records, out / study):
        click.echo(path)
    return DONE


def _convert(study: Any, trial: str, names: Sequence[str], places: Mapping[str, Any]) -> int:
    from rich import box
    from rich.table import Table

    from hpo.config import restore_config
    from hpo.evaluate import NoAnswer
    from hpo.final.exporting import HEADS, cells, convert_all
    from hpo.terminal.display import make_console

    quiet_libraries()
    config = restore_config(study.user_attrs.get(OPTIONS), study.study_name, places)
    check_writable(config.out, config.cache_dir)
    label = trial.removeprefix("trial-")
    try:
        found, folder = convert_all(study, config, label, names)
    except NoAnswer as error:
        click.echo(f"error: {error}", err=True)
        return NO_SUCCESS
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in HEADS:
        table.add_column(head, justify="left" if head in ("format", "runtime") else "right")
    for one in found:
        table.add_row(*cells(one))
    make_console().print(table)
    click.echo(
        f"Files in {folder}: {', '.join(FORMATS[name].file for name in names)}, class_names.json, exports.csv, .json"
    )
    return DONE


if __name__ == "__main__":
    main()
