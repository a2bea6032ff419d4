"""`python -m hpo.predict STUDY PICTURE...`: classify pictures with a final model of a study."""

from pathlib import Path
from typing import Any

import click

from datasets.wording import printable
from hpo.config import check_field
from hpo.errors import BadField
from hpo.terminal.command import DONE, StudyCommand, code_option, field_option


@click.command(cls=StudyCommand)
@click.argument("study")
@click.argument("pictures", nargs=-1, required=True, metavar="PICTURE...", type=click.Path(path_type=Path))
@click.option(
    "--model", metavar="NAME", help="trial-N or baseline  [default: the one most accurate on the test pictures]"
)
@click.option("--csv", "csv_file", metavar="FILE", type=click.Path(path_type=Path), help="write a table too")
@code_option
@field_option("storage")
@field_option("out")
@field_option("device")
def main(
    study: str, pictures: tuple[Path, ...], model: str | None, csv_file: Path | None, device: str | None, **places: Any
) -> int:
    """Classify pictures with a final model of STUDY.

    Prints class and probability of each. Pictures are prepared as the data set's own were: the middle square, scaled to
    what the model takes, EXIF orientation respected, grey where it is grey. Models: see `python -m hpo.evaluate`.
    """
    from hpo.study import load_study
    from studies.paths import check_writable, is_special, write_where_told
    from studies.tables.predictions import to_csv

    device = check_field("device", device)
    with load_study(study, **places).models(device) as models:
        chosen = models.named(model)
        if csv_file is not None:
            if csv_file.is_dir():
                raise BadField("csv", f"must be a file. Received the folder {csv_file}")
            if not is_special(csv_file):
                check_writable(csv_file.resolve().parent)
        probabilities = chosen.probabilities(pictures)
    click.echo(f"{study}, {chosen.name}: {chosen.accuracy:.4f} of the test pictures correct")
    names = [printable(path) for path in pictures]
    classes = [printable(chosen.class_names[number]) for number in probabilities.argmax(1)]
    widths = max(map(len, names)), max(map(len, classes))
    for name, label, share in zip(names, classes, probabilities.max(1), strict=True):
        click.echo(f"{name:<{widths[0]}}  {label:<{widths[1]}}  {share:.4f}")
    if csv_file is not None:
        write_where_told(csv_file, to_csv(pictures, chosen.class_names, probabilities))
        click.echo(f"Table in {csv_file}")
    return DONE


if __name__ == "__main__":
    main()
