"""`python -m hpo.compare STUDY [STUDY ...]`: studies of several backbones on the same pictures, side by side."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from hpo.errors import BadInput
from hpo.terminal.command import StudyCommand, check_writable, out_option, quiet_libraries, storage_option
from hpo.worker.costs import write_atomically


def compare(storage: str, names: Sequence[str], out: Path) -> None:
    """Print the table and write table and pictures. Errors: BadInput if the studies are not comparable."""
    from hpo.terminal.display import make_console
    from studies import comparison
    from studies.fingerprint import fingerprint_of
    from studies.records import read_study
    from studies.storage import load_study, storage_trouble

    with storage_trouble(storage):
        found = [load_study(storage, name) for name in dict.fromkeys(names)]
        studies = [comparison.Studied(study.study_name, fingerprint_of(study), read_study(study)) for study in found]
    try:
        comparison.check_comparable(studies)
    except comparison.NotComparable as error:
        raise BadInput(str(error)) from error
    if not comparison.joint_front(studies):
        raise BadInput(f"no trial of {', '.join(names)} is complete: there is nothing to compare")
    table = comparison.rows(studies)
    folder = out / f"comparison-{studies[0].fingerprint.dataset}"
    files = _write(studies, table, folder)
    _print(make_console(), studies, table)
    click.echo(f"\nFiles in {folder}:")
    for path in files:
        click.echo(f"  {path.name}")


def _write(studies, table, folder: Path) -> list[Path]:
    from studies import comparison
    from studies.objectives import COSTS
    from studies.plots import joint, page, paper

    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "csv": comparison.to_csv(table),
        "json": json.dumps([comparison.values(row) for row in table], indent=1),
        "md": comparison.to_markdown(table),
    }
    written = []
    for suffix, text in texts.items():
        written.append(folder / f"comparison.{suffix}")
        write_atomically(written[-1], text)
    for cost in COSTS:
        stem, data = f"joint_{cost.stem}", joint.joint_data(studies, cost)
        page.write_html(joint.draw_page(data), folder / f"{stem}.html")
        written += [folder / f"{stem}.html", *paper.write(joint.draw_paper(data), folder / stem)]
    return written


def _print(console, studies, table) -> None:
    from rich import box
    from rich.table import Table

    from studies.comparison import HEADS, cells

    title = f"{studies[0].fingerprint.dataset}; * is on the joint front of all studies"
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left")
    for head in HEADS:
        left = head in ("backbone", "kind", "parameters")
        shown.add_column(head, justify="left" if left else "right", overflow="fold")
    for row in table:
        shown.add_row(*cells(row), end_section=row is table[-1] or row.kind == "from scratch")
    console.print(shown)


@click.command(cls=StudyCommand)
@click.argument("studies", nargs=-1, required=True, metavar="STUDY [STUDY ...]")
@storage_option
@out_option
def main(studies: tuple[str, ...], storage: str, out: Path) -> None:
    """Put studies of several backbones on the same data side by side.

    For each backbone the frozen pretrained baseline, the best customised candidate and the best one trained from
    scratch, as a table (CSV, JSON, Markdown), and the Pareto front of all studies together, as pages and pictures.
    """
    quiet_libraries()
    check_writable(out)
    compare(storage, studies, out)


if __name__ == "__main__":
    main()
