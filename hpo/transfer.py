"""`python -m hpo.transfer --from URL --to URL [STUDY ...]`: studies from one database to another."""

import click

from hpo.config import check_field
from hpo.errors import BadField
from hpo.terminal.command import StudyCommand


def _database(_context: click.Context, parameter: click.Parameter, value: str) -> str:
    try:
        address: str = check_field("storage", value)
    except BadField as error:
        raise BadField(parameter.opts[0].lstrip("-"), error.text) from error
    return address


@click.command(cls=StudyCommand)
@click.argument("studies", nargs=-1, metavar="[STUDY ...]")
@click.option("--from", "source", required=True, metavar="URL", callback=_database, help="database that they are in")
@click.option(
    "--to", "target", required=True, metavar="URL", callback=_database, help="database that they are copied to"
)
def main(studies: tuple[str, ...], source: str, target: str) -> None:
    """Copy studies, or all that there are, with everything that hangs on them.

    Databases are sqlite:///FILE or postgresql://USER@HOST/DATABASE. A study that is there already is never replaced;
    one whose copying was interrupted is copied anew. Files in the folder of results stay where they are, and belong to
    the studies in either database.
    """
    from hpo.study import transfer_studies
    from studies.report.wording import counted

    for name, trials in transfer_studies(source, target, studies):
        click.echo(f"{name}: {counted(trials, 'trial')}")


if __name__ == "__main__":
    main()
