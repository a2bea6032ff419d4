"""`python -m hpo.report STUDY [STUDY ...]`: a page to hand in, and its parts as files."""

from typing import Any

import click

from hpo.config import check_field
from hpo.terminal.command import StudyCommand, code_option, field_option
from studies.rules import RULES


@click.command(cls=StudyCommand)
@click.argument("studies", nargs=-1, required=True, metavar="STUDY [STUDY ...]")
@click.option("--pdf", is_flag=True, help="also print the whole page as report.pdf; needs Chromium or Chrome")
@click.option("--no-figures", is_flag=True, help="only page and tables, no figures as files: faster")
@click.option("--no-pictures", is_flag=True, help="leave out pictures of the data, Grad-CAM and saliency")
@click.option("--recommend", type=click.Choice(list(RULES)),
              help="rule that recommends a trial: best (the most accurate, or a cheaper one that cannot be told apart "
              "from it), one-se (the cheapest within a standard error of the most accurate), knee; default best with a "
              "budget, else one-se")  # fmt: skip
@code_option
@field_option("storage")
@field_option("out")
@field_option("cache_dir")
@field_option("data_dir")
@field_option("follow_links")
def main(
    studies: tuple[str, ...], pdf: bool, no_figures: bool, no_pictures: bool, recommend: str | None, **places: Any
) -> None:
    """Write a report of STUDY: one HTML file that needs no network, tables and figures as files.

    For several studies on the same pictures, first their comparison, then a chapter for each. The results of
    `hpo.evaluate` are in it, or it says that there are none. Its figures are also put into the studies, for the
    dashboard.
    """
    from hpo.study import load_study, report_studies
    from hpo.terminal.hints import show_report

    places["out"] = check_field("out", places["out"])
    loaded = [load_study(name, **places) for name in dict.fromkeys(studies)]
    made = report_studies(
        loaded, pdf, figures=not no_figures, pictures=not no_pictures, progress=True, recommend=recommend
    )
    show_report(made)


if __name__ == "__main__":
    main()
