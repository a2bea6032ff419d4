"""`python -m hpo.dashboard`: optuna-dashboard on the studies' database, for this machine only."""

import functools
import shutil
import socket
import tempfile
import threading
from pathlib import Path

import click

from hpo.errors import BadInput
from hpo.terminal.command import StudyCommand, out_option, quiet_libraries, storage_option

HOST = "127.0.0.1"


@click.command(cls=StudyCommand)
@storage_option
@out_option
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="TCP port on 127.0.0.1")
@click.option("--live", is_flag=True, help="show the database itself, new trials and all, instead of a copy")
def main(storage: str, out: Path, port: int, live: bool) -> None:
    """Open optuna-dashboard on the database of all studies, at http://127.0.0.1:PORT (this machine only).

    It shows a copy, made at the start: the dashboard asks nobody who they are and can change and delete studies. With
    --live it shows the database itself, and what is deleted there is gone. A study that runs is not disturbed.
    """
    import optuna_dashboard

    from studies.artifacts import FOLDER, open_store
    from studies.storage import open_storage, snapshot

    quiet_libraries()
    with tempfile.TemporaryDirectory(prefix="keras-hpo-") as folder:
        opened = open_storage(storage if live else snapshot(storage, Path(folder)), write=False)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as error:
                raise BadInput(f"--port must be a free port. Received: {port} ({error.strerror})") from error
        how = "live: what is deleted there is gone" if live else "a copy; start again to see newer trials"
        click.echo(f"dashboard of {storage} ({how}) at http://{HOST}:{port} (stop with Ctrl-C)")
        if not live and (out / FOLDER).is_dir():  # deleting a study deletes its files too
            out = Path(shutil.copytree(out / FOLDER, Path(folder) / FOLDER)).parent
        store = open_store(out) if (out / FOLDER).is_dir() else None
        # In a thread: an interruption while it answers a request would be taken for that request's failure.
        serve = functools.partial(optuna_dashboard.run_server, opened, HOST, port, store)
        server = threading.Thread(target=serve, daemon=True)
        server.start()
        server.join()


if __name__ == "__main__":
    main()
