"""`python -m hpo.dashboard`: optuna-dashboard on the studies' database, for this machine only."""

import socket

import click

from hpo import BadInput
from hpo.cli import StudyCommand, quiet_libraries, storage_option

HOST = "127.0.0.1"


@click.command(cls=StudyCommand)
@storage_option
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="TCP port on 127.0.0.1")
def main(storage: str, port: int) -> None:
    """Open optuna-dashboard on the database of all studies, at http://127.0.0.1:PORT (this machine only).

    The dashboard can also change and delete studies. A study that runs meanwhile is not disturbed.
    """
    import optuna_dashboard

    from studies.storage import open_storage

    quiet_libraries()
    opened = open_storage(storage, write=False)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise BadInput(f"--port must be a free port. Received: {port} ({error.strerror})") from error
    click.echo(f"dashboard of {storage} at http://{HOST}:{port} (stop with Ctrl-C)")
    optuna_dashboard.run_server(opened, host=HOST, port=port)


if __name__ == "__main__":
    main()
