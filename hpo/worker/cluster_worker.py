"""The worker's side of a cluster: a Ray actor that does one task after another, and says meanwhile how it goes.

It writes into a folder of its own. What its tasks leave there goes back with their results, and only the search writes
into the study's folder: the worker of a search that was killed can spoil nothing.
"""

import contextlib
import fcntl
import logging
import os
import platform
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from datasets import given
from hpo.config import StudyConfig
from hpo.errors import MISTAKES, TaskFailed, WorkerLost
from hpo.worker.boundary import shielded
from hpo.worker.job import Job
from hpo.worker.shipping import has_data
from models.weights.loading import keras_models_folder
from studies.paths import write_bytes

PROGRESS = ".progress"
MOST_LOG = 65_536  # bytes of the log in one answer
YOUNG_SECONDS = 60
_PREFIX = "keras-hpo-worker-"
TOLD: tuple[type[Exception], ...] = (*MISTAKES, TaskFailed, WorkerLost)  # as they are, to the search


@dataclass(frozen=True)
class Place:
    """Where a worker runs.

    Attributes:
        node: Ray's id of the node.
        host: the node's name.
        address: its IP address.
        process: the worker's.
        versions: of what a worker and its search must have in common.
        has_data: whether the study's pictures are there, under the same path.
    """

    node: str
    host: str
    address: str
    process: int
    versions: Mapping[str, str]
    has_data: bool

    def __str__(self) -> str:
        return f"{self.host} ({self.address})"


@dataclass(frozen=True)
class Done:
    """What came of a task: what it returned or raised, and the files that it left, by their paths below `out`."""

    value: Any
    error: Exception | None
    files: Sequence[tuple[str, bytes]]


@dataclass(frozen=True)
class Signs:
    """What a worker says of itself: its newest sign of life with the time of its file in ns, and what it logged."""

    time: int
    progress: bytes
    log: bytes


def versions() -> dict[str, str]:
    """Of this package and of Python: what is pickled by one is read by the other."""
    return {"keras-hpo": metadata.version("keras-hpo"), "python": ".".join(platform.python_version_tuple()[:2])}


class ClusterWorker:
    """What becomes a Ray actor, see `hpo.worker.cluster`. `sign` is answered while `run` works.

    Args:
        variables: stand in its environment before a backend is imported.
        folder: the search's own, from which relative paths go.
    """

    def __init__(self, variables: Mapping[str, str], folder: str):
        os.environ.update(variables)
        with contextlib.suppress(OSError):  # relative paths mean the same, where there is such a folder
            os.chdir(folder)
        _sweep()
        self._root = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock = (self._root / "lock").open("w")  # held while this process lives
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._out, self._weights = self._root / "runs", dict[Path, Path]()
        self._log = self._root / "worker.log"
        with self._log.open("ab", buffering=0) as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        logging.basicConfig(format="%(asctime)s %(message)s", force=True)
        for name in ("hpo", "datasets"):  # why a trial starts from where it does, how far decoding is
            logging.getLogger(name).setLevel(logging.INFO)

    def place(self, config: StudyConfig) -> Place:
        """Where it is, and whether the study's pictures are there."""
        import ray

        context = ray.get_runtime_context()
        address = ray.util.get_node_ip_address()
        return Place(context.get_node_id(), socket.gethostname(), address, os.getpid(), versions(), has_data(config))

    def leave(self) -> None:
        """Remove what this worker has written."""
        shutil.rmtree(self._root, ignore_errors=True)

    def keep_weights(self, missing: Path, content: bytes) -> None:
        """Keep a file of weights that a task did not find: where Keras looks for its own, or a user's beside others."""
        folder = keras_models_folder()
        if missing.parent == folder:
            folder.mkdir(parents=True, exist_ok=True)
            write_bytes(missing, content)
        else:
            own = self._root / "weights" / missing.name
            write_bytes(own, content)
            self._weights[missing] = own

    def run(
        self, function: Callable[..., Any], args: Sequence[Any], files: Sequence[tuple[str, bytes]], *data: given.Given
    ) -> Done:
        """Do a task.

        Args:
            function: what is called.
            args: with these; folders of results in them become this worker's own.
            files: what is to lie there, checkpoints of rungs before.
            data: pictures from the object store, where this machine has none of its own.
        """
        for name, content in files:
            path = self._out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        for each in data:
            given.give(each)
        try:
            return Done(shielded(function, *self._relocated(args)), None, self._left())
        except TOLD as error:
            return Done(None, error, self._left())

    def sign(self, said: int) -> Signs:
        """How it goes, and what was logged behind so many bytes."""
        newest, progress = 0, b""
        for path in self._out.rglob(f"*{PROGRESS}"):
            try:
                at, content = path.stat().st_mtime_ns, path.read_bytes()
            except OSError:  # it ended just now
                continue
            if at > newest:
                newest, progress = at, content
        with self._log.open("rb") as file:
            file.seek(said)
            log = file.read(MOST_LOG)
        return Signs(newest, progress, log)

    def _left(self) -> list[tuple[str, bytes]]:
        """The files of the task that has ended, which are removed here."""
        files = []
        for path in sorted(path for path in self._out.rglob("*") if path.is_file()):
            if PROGRESS not in path.name:  # nor one that is being written
                files.append((path.relative_to(self._out).as_posix(), path.read_bytes()))
            path.unlink()
        return files

    def _relocated(self, value: Any) -> Any:
        """Arguments of a task with this worker's folder of results, and its place of weights that were sent."""
        if isinstance(value, StudyConfig):
            own = self._weights.get(Path(value.weights).expanduser())
            return value.model_copy(update={"out": self._out} | ({"weights": str(own)} if own else {}))
        if isinstance(value, Job):
            folder = self._out / value.folder.relative_to(value.config.out)
            return replace(value, config=self._relocated(value.config), folder=folder)
        return [self._relocated(each) for each in value] if isinstance(value, (list, tuple)) else value


def _sweep() -> None:
    """Remove the folders of workers that are no more; one that was made just now may not be locked yet."""
    for root in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), (root / "lock").open() as lock:
            if time.time() - root.stat().st_mtime < YOUNG_SECONDS:
                continue
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(root, ignore_errors=True)
