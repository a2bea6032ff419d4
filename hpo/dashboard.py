"""`python -m hpo.dashboard`: optuna-dashboard on the studies' database, for this machine only."""

from pathlib import Path

import click

from hpo.terminal.command import StudyCommand, out_option, storage_option


@click.command(cls=StudyCommand)
@storage_option
@out_option
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="TCP port on 127.0.0.1")
@click.option("--live", is_flag=True, help="show the database itself, new trials and all, instead of a copy")
def main(storage: str, out: Path, port: int, live: bool) -> None:
    """Open optuna-dashboard on the database of all studies, at http://127.0.0.1:PORT (this machine only).

    It shows a copy, made at the start: the dashboard has no login and can change and delete studies. With
    --live it shows the database itself, and what is deleted there is gone. A running study is not disturbed.
    """
    from hpo.study import serve_dashboard

    serve_dashboard(storage, out, port, live, click.echo)


if __name__ == "__main__":
    main()
