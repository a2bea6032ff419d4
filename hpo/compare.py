"""`python -m hpo.compare STUDY [STUDY ...]`: studies of several backbones on the same pictures, side by side."""

from pathlib import Path

import click

from hpo.terminal.command import StudyCommand, out_option, storage_option


@click.command(cls=StudyCommand)
@click.argument("studies", nargs=-1, required=True, metavar="STUDY [STUDY ...]")
@storage_option
@out_option
def main(studies: tuple[str, ...], storage: str, out: Path) -> None:
    """Put studies of several backbones on the same data side by side.

    Of each study the frozen baseline, the best customised candidate or the best one trained from scratch, and which of
    them differ on the test pictures where they were evaluated, as tables (CSV, JSON, Markdown, LaTeX); what is not like
    for like; and the Pareto front of all studies together, as pages and pictures.
    """
    from hpo.study import compare_studies
    from hpo.terminal.tables import show_comparison

    show_comparison(compare_studies(studies, storage=storage, out=out))


if __name__ == "__main__":
    main()
