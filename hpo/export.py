"""`python -m hpo.export STUDY`: the tables and plots of a study as files, or a final model for another runtime."""

from typing import Any

import click

from hpo.config import check_field
from hpo.errors import BadInput
from hpo.terminal.command import DONE, StudyCommand, code_option, field_option
from models.export.formats import FORMATS


@click.command(cls=StudyCommand)
@click.argument("study")
@click.option("--format", "names", multiple=True, metavar="FORMAT", type=click.Choice(list(FORMATS)),
              help=f"export a final model instead, to {', '.join(FORMATS)}; can be given several times")  # fmt: skip
@click.option("--trial", metavar="N", help="which final model: a trial's number, or baseline")
@code_option
@field_option("storage")
@field_option("out")
@field_option("cache_dir")
@field_option("data_dir")
@field_option("follow_links")
@field_option("device")
def main(study: str, names: tuple[str, ...], trial: str | None, **places: Any) -> int:
    """Write the front of STUDY: trials and front as CSV and JSON, Pareto plots as HTML, PNG, SVG and PDF.

    With --format a final model (see `python -m hpo.evaluate`) is exported for another runtime, loaded again by it,
    and measured on the same test pictures beside the original. litert-int8: quantised after training, with training
    pictures for its ranges.
    """
    from hpo.study import load_study

    if bool(names) != bool(trial):
        raise BadInput("--format and --trial belong together: which model, and which format")
    if not trial:
        for path in load_study(study, storage=places["storage"], out=check_field("out", places["out"])).export():
            click.echo(path)
        return DONE
    from hpo.terminal.tables import show_exports

    loaded, formats = load_study(study, **places), list(dict.fromkeys(names))
    converted, folder = loaded.convert(trial.removeprefix("trial-"), formats, progress=True)
    show_exports(converted)
    files = ", ".join(FORMATS[name].file for name in formats)
    click.echo(f"Files in {folder}: {files}, class_names.json, exports.csv, .json")
    return DONE


if __name__ == "__main__":
    main()
