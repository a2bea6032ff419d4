"""`python -m hpo.dashboard`: optuna-dashboard on the studies' database, for this machine only."""

from pathlib import Path

import click

from hpo.terminal.command import StudyCommand, out_option, storage_option


@click.command(cls=StudyCommand)
@storage_option
@out_option
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="TCP port on 127.0.0.1")
@click.option("--live", is_flag=True, help="show the database itself, new trials and all, instead of a copy")
@click.option("--allow-changes", is_flag=True, help="with --live: what is changed or deleted there is changed for good")
def main(storage: str, out: Path, port: int, live: bool, allow_changes: bool) -> None:
    """Open optuna-dashboard on the database of all studies, at http://127.0.0.1:PORT (this machine only).

    It shows a copy, made at the start, in which studies can be changed and deleted. With --live it shows the database
    itself, for reading. Only who has the address that is printed, with its token, can use it. A running study is not
    disturbed.
    """
    from hpo.study import serve_dashboard

    serve_dashboard(storage, out, port, live, allow_changes, click.echo)


if __name__ == "__main__":
    main()
