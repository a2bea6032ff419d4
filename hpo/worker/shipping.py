"""What a task on another machine needs from this one's disk, and what it leaves: checkpoints, pictures, weights."""

import concurrent.futures
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from datasets import given
from datasets.catalogue import DATASETS
from datasets.registry import inspect, open_dataset
from datasets.subset import base_name
from hpo.config import StudyConfig
from hpo.worker.facts import Facts, searched_resolutions
from hpo.worker.job import Job
from models import ModelError
from models.reuse.store import picture_store
from models.weights.loading import keras_models_folder
from studies.paths import write_bytes


def has_data(config: StudyConfig) -> bool:
    """Whether this machine has the study's pictures under the same path, or Keras has downloaded them to it before."""
    base = base_name(config.dataset)
    if base not in DATASETS:
        return Path(base).is_dir()
    download = DATASETS[base].download
    if download is None:
        return True
    if config.data_dir is not None:
        return (config.data_dir / f"{base}.npz").is_file()
    file = download[1].partition(" (")[0]  # the first of several
    return (keras_models_folder().parent / "datasets" / file).exists()


def jobs_of(args: Iterable[Any]) -> list[Job]:
    """The jobs among the arguments of a task."""
    lists = [each if isinstance(each, (list, tuple)) else [each] for each in args]
    return [each for some in lists for each in some if isinstance(each, Job)]


def files_of(args: Iterable[Any]) -> list[tuple[str, bytes]]:
    """What of the study's folder a task goes on from: the checkpoints of its jobs, by their paths below `out`."""
    files = []
    for job in jobs_of(args):
        try:
            content = job.checkpoint_path.read_bytes()
        except FileNotFoundError:
            continue
        files.append((job.checkpoint_path.relative_to(job.config.out).as_posix(), content))
    return files


def keep(out: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write what a task left, each file in one step.

    Raises:
        ValueError: one would lie outside of `out`.
    """
    for name, content in files:
        path = out / name
        if not path.resolve().is_relative_to(out.resolve()):
            raise ValueError(f"a worker's file must lie in the folder of results. Received: {name}")
        write_bytes(path, content)


def sides_of(args: Sequence[Any]) -> set[int]:
    """The sides at which a task wants pictures."""
    sides = set()
    for job in jobs_of(args):
        sides |= {job.side, job.facts.resolutions[-1]}
    facts = next((each for each in args if isinstance(each, Facts)), None)
    if facts is not None:  # the map at one of them
        sides |= {facts.resolutions[-1], *(each for each in args if isinstance(each, int))}
    return sides


class Shipping:
    """Pictures on their way into the object store: each once, from where they are read without a copy.

    Args:
        config: of the study.
        say: is told what was sent, in words.
    """

    def __init__(self, config: StudyConfig, say: Callable[[str], None]):
        self._config, self._say = config, say
        self._one_by_one = threading.Lock()
        self._sides: dict[int | None, concurrent.futures.Future[Any]] = {}
        self._weights: dict[Path, Any] = {}

    def data_for(self, args: Sequence[Any]) -> list[Any] | None:
        """References of the pictures that a task needs; None: they are not in the object store yet.

        Raises:
            DataError: they cannot be read here either.
        """
        if base_name(self._config.dataset) in DATASETS:
            sides: set[int | None] = {None}
        elif self._config.decodes_each:
            sides = set(sides_of(args)) or {searched_resolutions(self._config)[-1]}
        else:
            sides = {searched_resolutions(self._config)[-1]}
        for side in sides - self._sides.keys():
            self._sides[side] = concurrent.futures.Future()
            # A thread that does not keep a program that is interrupted from ending.
            threading.Thread(target=self._fulfil, args=(self._sides[side], side), daemon=True).start()
        futures = [self._sides[side] for side in sides]
        return [future.result() for future in futures] if all(future.done() for future in futures) else None

    def weights(self, path: Path) -> Any:
        """The reference of a file's content."""
        import ray

        if path not in self._weights:
            self._weights[path] = ray.put(path.read_bytes())
        return self._weights[path]

    def _fulfil(self, future: "concurrent.futures.Future[Any]", side: int | None) -> None:
        try:
            with self._one_by_one:
                future.set_result(self._put(side))
        except Exception as error:  # told to whoever needs it
            future.set_exception(error)

    def _put(self, side: int | None) -> Any:
        import ray

        config = self._config
        lenience = config.skip_unreadable, config.follow_links
        look = inspect(config.dataset, config.data_dir, *lenience)
        data = open_dataset(config.dataset, config.data_dir, picture_store(config.cache_dir), side, *lenience)
        data = replace(data, images=np.asarray(data.images))  # of a memmap, pickle would make a copy in its stream
        at = "" if side is None else f" at {side} px"
        size = f"{data.images.nbytes / 1e6:.0f} MB"
        self._say(f"{len(data.images)} pictures{at} go through the object store ({size})")
        return ray.put(given.Given(config.dataset, look, side, data))


def weights_here(error: ModelError) -> Path | None:
    """The file that another machine missed, if it is on this one: under the same path, or in Keras' own folder."""
    if error.missing is None:
        return None
    places = [error.missing]
    if error.missing.parent.name == keras_models_folder().name:  # of another home
        places.append(keras_models_folder() / error.missing.name)
    return next((path for path in places if path.is_file()), None)
