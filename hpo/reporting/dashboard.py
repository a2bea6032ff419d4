"""optuna-dashboard on the studies' database, for this machine only."""

import functools
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from hpo.errors import BadField
from studies import paths

HOST = "127.0.0.1"


def serve(storage: str, out: Path, port: int, live: bool, on_ready: Callable[[str], None]) -> None:
    """Show the database at http://127.0.0.1:PORT until the process is interrupted.

    It shows a copy, made at the start: the dashboard has no login and can change and delete studies.

    Args:
        storage: the database, `sqlite:///FILE`.
        out: folder of results, with the files that belong to studies.
        port: to listen on, of this machine alone.
        live: the database itself instead; what is deleted there is gone.
        on_ready: told in one line where it is.

    Raises:
        BadInput: the port is taken.
        StudyRefused, StorageError: there is no database, or it is damaged.
    """
    import optuna_dashboard

    from studies.artifacts import open_store
    from studies.storage import open_storage, snapshot

    with tempfile.TemporaryDirectory(prefix="keras-hpo-") as folder:
        opened = open_storage(storage if live else snapshot(storage, Path(folder)), write=False)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as error:
                raise BadField("port", f"must be a free port. Received: {port} ({error.strerror})") from error
        how = "live: what is deleted there is gone" if live else "a copy; start again to see newer trials"
        on_ready(f"dashboard of {storage} ({how}) at http://{HOST}:{port} (stop with Ctrl-C)")
        if not live and paths.artifacts(out).is_dir():  # deleting a study deletes its files too
            shutil.copytree(paths.artifacts(out), paths.artifacts(Path(folder)))
            out = Path(folder)
        store = open_store(out) if paths.artifacts(out).is_dir() else None
        # In a thread: an interruption while it answers a request would be taken for that request's failure.
        run = functools.partial(optuna_dashboard.run_server, opened, HOST, port, store)
        server = threading.Thread(target=run, daemon=True)
        server.start()
        server.join()
