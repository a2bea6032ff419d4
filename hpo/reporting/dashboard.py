"""optuna-dashboard on the studies' database, for this machine only."""

import contextlib
import secrets
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from hpo.errors import BadField
from hpo.reporting.guard import App, guarded
from studies import paths
from studies.attributes import LEARNING_CURVE, VAL_RIGHT

HOST = "127.0.0.1"
STYLE = b"""<style>
main, main * { overflow-wrap: anywhere }
main pre, main code, main p { white-space: pre-wrap }
main table, main table * { overflow-wrap: normal }
main table { display: block; overflow-x: auto; max-width: 100% } main table th, main table td { padding: 4px 8px }
</style>"""


def serve(storage: str, out: Path, port: int, live: bool, allow_changes: bool, on_ready: Callable[[str], None]) -> None:
    """Show the database at http://127.0.0.1:PORT until the process is interrupted.

    It shows a copy, made at the start: the dashboard can change and delete studies. Who may use it: see
    `hpo.reporting.guard`.

    Args:
        storage: the database.
        out: folder of results, with the files that belong to studies.
        port: to listen on, of this machine alone.
        live: the database itself instead, for reading.
        allow_changes: then for changes too; what is deleted there is gone.
        on_ready: told in one line where it is.

    Raises:
        BadInput: the port is taken, or changes are allowed in a copy.
        StudyRefused, StorageError: there is no database, or it is damaged.
    """
    if allow_changes and not live:
        raise BadField("allow_changes", "goes with --live alone: a copy can be changed as it is")
    import optuna_dashboard

    from studies.artifacts import open_store
    from studies.storage import open_storage, snapshot

    with tempfile.TemporaryDirectory(prefix="keras-hpo-") as folder:
        opened = open_storage(storage if live else _for_people(snapshot(storage, Path(folder))), write=False)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as error:
                raise BadField("port", f"must be a free port. Received: {port} ({error.strerror})") from error
        how = "a copy; start again to see newer trials"
        if live:
            how = "live: what is deleted there is gone" if allow_changes else "live, for reading"
        token = secrets.token_urlsafe(16)
        on_ready(f"dashboard of {storage} ({how}) at http://{HOST}:{port}/?token={token} (stop with Ctrl-C)")
        if not live and paths.artifacts(out).is_dir():  # deleting a study deletes its files too
            shutil.copytree(paths.artifacts(out), paths.artifacts(Path(folder)))
            out = Path(folder)
        store = open_store(out) if paths.artifacts(out).is_dir() else None
        app = fitted(optuna_dashboard.wsgi(opened, artifact_store=store))
        app = guarded(app, port, token, changes=allow_changes or not live)
        with make_server(HOST, port, app, handler_class=_Quiet) as server:
            # In a thread: an interruption while it answers a request would be taken for that request's failure.
            answering = threading.Thread(target=server.serve_forever, daemon=True)
            answering.start()
            answering.join()


def _for_people(copy: str) -> str:
    """Says on each trial's page what it is; its curve is a table there, not a line of numbers. Returns the address."""
    import optuna

    from studies.artifacts import annotate_trials
    from studies.errors import StudyRefused
    from studies.sqlite import forget
    from studies.storage import open_storage

    opened = open_storage(copy, write=False)
    for name in optuna.get_all_study_names(opened):
        with contextlib.suppress(StudyRefused):  # of another program
            annotate_trials(optuna.load_study(study_name=name, storage=opened))
    forget(copy, (LEARNING_CURVE, VAL_RIGHT))
    return copy


def fitted(app: App) -> App:
    """The dashboard, whose pages then keep to the width of their window: long attributes break, tables are scrolled."""

    def answer(environ: Any, start: Any) -> Iterable[bytes]:
        told: list[Any] = []

        def keep(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
            told[:] = [status, headers]

        body = app(environ, keep)
        status, headers = told
        if not dict(headers).get("Content-Type", "").startswith("text/html"):
            start(status, headers)
            return body
        page = b"".join(body).replace(b"</head>", STYLE + b"</head>")
        kept = [(name, value) for name, value in headers if name.lower() not in ("content-length", "last-modified")]
        start(status, [*kept, ("Content-Length", str(len(page)))])
        return [page]

    return answer


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Requests are of no interest to who started it."""
