"""All that a worker keeps open from task to task: data, split, networks, traced training steps, features in memory.

A process has one session, `current()`. `Session.forget` lets go of everything.
"""

import contextlib
import ctypes
import functools
import gc
import json
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from datasets.catalogue import DATASETS
from datasets.dataset import Dataset
from datasets.registry import check_room, open_dataset, open_test
from datasets.splits import Split, split
from datasets.subset import base_name
from hpo.config import StudyConfig
from hpo.worker.facts import Changed, Facts, find_out, machine_of, searched_resolutions, task_of
from hpo.worker.job import Job
from hpo.worker.memory import Memory
from hpo.worker.survey import Survey
from models import lean
from models.candidate import AnyCandidate, Architecture, Candidate, HyperCandidate
from models.reuse.store import Store, picture_store

if TYPE_CHECKING:
    from models.build import Network, Task
    from models.training.trainer import Trainer

R = TypeVar("R")
OnStep = Callable[[float], None]
NETWORKS = 4  # built and traced networks that a worker keeps
SIDES = 12  # to which a folder's pictures are decoded: files that are mapped
FLOPS = 1024  # counts between two cuts
TIDY_EVERY = 10  # tasks


def _silent(share: float) -> None:
    pass


class Pictures(NamedTuple):
    """Which pictures, at which side in pixels: what does not change them, such as a seed, does not open them anew.

    Those of the catalogue keep their own side, None.
    """

    dataset: str
    data_dir: Path | None
    cache_dir: Path
    side: int | None
    skip_unreadable: bool
    follow_links: bool

    def arguments(self) -> tuple[str, Path | None, Store, int | None, bool, bool]:
        """For `datasets.registry.open_dataset` and `open_test`."""
        store = picture_store(self.cache_dir)
        return self.dataset, self.data_dir, store, self.side, self.skip_unreadable, self.follow_links


class Session:
    """What a worker has opened, built and traced; each thing once, the least recently used goes first."""

    def __init__(self) -> None:
        self._forgetful: list[Callable[[], None]] = []
        self._tasks = 0
        self._facts = self._keep(self._find_out, 1)
        self._array = self._keep(self._open, 1)
        self._folder = self._keep(self._open, SIDES)
        self._on_step: OnStep = _silent
        self._split = self._keep(self._cut, SIDES)
        self._base = self._keep(_build_frozen, NETWORKS)
        self._network = self._keep(self._attach, NETWORKS)
        self._trainer = self._keep(self._trace, NETWORKS)
        self._built = self._keep(_built_classifier, 1)
        self._flops = self._keep(self._count, FLOPS)
        self._survey = self._keep(_surveyed, NETWORKS)
        self._classifier = self._keep(_restored, NETWORKS)
        self.under_way: dict[Any, Any] = {}  # the model of a HyperModel's trial that goes on from its rung
        self.in_memory: dict[Any, Any] = {}  # pooled features that found no room on disk; the last ones

    def _keep(self, function: Callable[..., R], size: int) -> Callable[..., R]:
        cached = functools.lru_cache(maxsize=size)(function)
        self._forgetful.append(cached.cache_clear)
        return cached

    def forget(self) -> None:
        """Let go of everything: the next task opens, builds and traces anew."""
        for clear in self._forgetful:
            clear()
        self.in_memory.clear()
        self.under_way.clear()

    def tidy(self) -> None:
        """To be called after each task: every tenth time, memory of networks that are gone is given back.

        Networks that were traced lie in circles of references, and what C++ frees stays with its allocator. From the
        12th to the 72nd architecture of custom_cnn a process grew by 114 MiB, and by 86 with this
        (`benchmarks/growth.py`).
        """
        self._tasks += 1
        if self._tasks % TIDY_EVERY == 0:
            gc.collect()
            with contextlib.suppress(OSError, AttributeError):  # a C library that is not GNU's
                ctypes.CDLL("libc.so.6").malloc_trim(0)

    def facts(self, config: StudyConfig) -> Facts:
        """Data, weights and machine, looked at once.

        Raises:
            DataError, ModelError, BadInput: one of them cannot be used.
        """
        return self._facts(config)

    def data(self, config: StudyConfig, side: int, on_step: OnStep = _silent) -> Dataset:
        """The development part; a folder's pictures at `side` pixels. While they are decoded `on_step` hears the share.

        Raises:
            DataError: there is no such data, or it cannot be used.
        """
        self._on_step = on_step
        return self._data(_pictures(config, side))

    def _data(self, pictures: Pictures) -> Dataset:
        return self._array(pictures) if pictures.side is None else self._folder(pictures)

    def split(self, config: StudyConfig, side: int) -> Split:
        """The study's training and validation pictures.

        Raises:
            DataError: a size that the data does not allow.
        """
        return self._split(_pictures(config, side), config.train_size, config.val_size, config.seed)

    def test_data(self, config: StudyConfig, side: int, on_step: OnStep = _silent) -> "tuple[np.ndarray, np.ndarray]":
        """The test pictures (n, h, w, c) uint8 and their labels (n,) int64; not kept.

        Raises:
            DataError: there are none.
        """
        return open_test(*_pictures(config, side).arguments(), on_step)

    def task(self, job: Job) -> "Task":
        """What all networks of the job's study have in common."""
        return task_of(job.config, self.data(job.config, job.facts.resolutions[-1]))

    def network(self, job: Job) -> "Network":
        """The job's network as it was first built; shared by all jobs of one architecture, so never changed."""
        return self._network(*_network_key(job), self.task(job), job.seed, False)

    def classifier_of(self, job: Job) -> Any:
        """The job's network as a `keras.Model` from pictures to probabilities, as it was first built."""
        if isinstance(job.candidate, Candidate):
            return self.network(job).model
        return self._built(job.candidate, self.task(job), job.seed)

    def trainer(self, job: Job, start: str) -> "Trainer":
        """The traced training step of the job's network from the cut `start`; shared like the network."""
        return self._trainer(*_network_key(job), self.task(job), job.seed, start, job.of_backbone.optimizer)

    def flops(self, job: Job, start: str, end: str | None = None) -> int:
        """FLOPs of one picture from a cut of the job's network to a deeper one, or to the logits."""
        return self._flops(*_network_key(job), self.task(job), job.seed, start, end)

    def survey(self, job: Job) -> Survey:
        """Who measures the latencies of the job's study."""
        machine = tuple(sorted((key, json.dumps(value)) for key, value in job.facts.measured_with.items()))
        return self._survey(
            self.task(job),
            job.facts.channels,
            machine,
            job.facts.resolutions,
            job.config.searches_ends,
            job.config.cache_dir,
        )

    def classifier(
        self, candidate: AnyCandidate, shape: Sequence[int], n_classes: int, path: Path
    ) -> "Callable[[np.ndarray], np.ndarray]":
        """A final model's file as a function from pictures (n, h, w, c) uint8 to probabilities (n, classes).

        Args:
            candidate: whose network it is.
            shape: height, width and channels of the pictures.
            n_classes: number of classes.
            path: the file.

        Raises:
            ModelError: the file is not there, damaged, or of another network.
        """
        changed = path.stat().st_mtime_ns if path.is_file() else 0
        return self._classifier(path, changed, candidate, tuple(shape), n_classes)

    def _find_out(self, config: StudyConfig) -> Facts:
        machine, resolutions = machine_of(config), searched_resolutions(config)
        side = resolutions[-1]
        return find_out(config, machine, resolutions, self.data(config, side), self.split(config, side))

    def _open(self, pictures: Pictures) -> Dataset:
        return open_dataset(*pictures.arguments(), self._on_step)

    def _cut(self, pictures: Pictures, train_size: int | None, val_size: int | None, seed: int) -> Split:
        data = self._data(pictures)
        return split(data.labels, train_size=train_size, val_size=val_size, seed=seed, fixed_val=data.fixed_val)

    def _attach(self, architecture: Architecture, depth: int, task: "Task", seed: int, frozen: bool) -> "Network":
        """`frozen`: all below the cut frozen, to train from above it; else one base for all depths, to start at it."""
        from models.blocks import keep
        from models.build import attach_head

        if frozen:
            base = self._base(_headless(architecture), depth, task, seed)
        else:  # nothing of it is ever changed: one network for all of its ends
            whole = replace(_headless(architecture), keep_blocks=0)
            base = keep(self._base(whole, None, task, seed), architecture.keep_blocks)
        return attach_head(base, _plain(architecture, depth), task, seed)

    def _trace(
        self, architecture: Architecture, depth: int, task: "Task", seed: int, start: str, optimizer: str
    ) -> "Trainer":
        from models.reuse.features import PICTURES, RESIZED, cut_tensors
        from models.training.trainer import Trainer

        network = self._network(architecture, depth, task, seed, start in (PICTURES, RESIZED))
        return Trainer(network, cut_tensors(network)[start], optimizer)

    def _count(
        self, architecture: Architecture, depth: int, task: "Task", seed: int, start: str, end: str | None
    ) -> int:
        from models.reuse.features import flops_between

        return flops_between(self._network(architecture, depth, task, seed, False), start, end)


def split_of(job: Job, session: Session, on_step: OnStep = _silent) -> Split:
    """The training and validation pictures of a job's study, among those at the side that its network takes.

    Args:
        job: of the study.
        session: what this worker keeps open.
        on_step: called with the share that is done while pictures are decoded.

    Raises:
        hpo.worker.facts.Changed: a folder, which is read once more for each side, has other pictures than before.
    """
    largest, here = (session.data(job.config, side, on_step) for side in (job.facts.resolutions[-1], job.side))
    if here.files != largest.files or not np.array_equal(here.labels, largest.labels):  # one may be unreadable now
        raise Changed(
            f"the pictures in {job.config.dataset} changed since the study was opened; end this run and start it again"
        )
    return session.split(job.config, job.side)


def _network_key(job: Job) -> tuple[Architecture, int]:
    """What makes a network: candidates that differ otherwise share it."""
    return job.of_backbone.architecture, job.of_backbone.unfreeze_depth


def _plain(architecture: Architecture, depth: int) -> Candidate:
    """A candidate of an architecture, trained from this depth on: all that decides a network."""
    values = {field.name: getattr(architecture, field.name) for field in fields(Architecture)}
    return Candidate(**values, unfreeze_depth=depth, dropout=0.0, learning_rate=1e-3, lr_schedule="constant")


def _pictures(config: StudyConfig, side: int) -> Pictures:
    lenience = config.skip_unreadable, config.follow_links
    own = None if base_name(config.dataset) in DATASETS else side
    return Pictures(config.dataset, config.data_dir, config.cache_dir, own, *lenience)


def _headless(architecture: Architecture) -> Architecture:
    """What of it changes the backbone."""
    names = ("backbone", "resolution", "keep_blocks")
    return Architecture(**{name: getattr(architecture, name) for name in names}, head_width=0)


def _build_frozen(headless: Architecture, depth: int | None, task: "Task", seed: int) -> Any:
    from models.build import build_frozen

    return build_frozen(headless, depth, task, seed)


def _built_classifier(candidate: HyperCandidate, task: "Task", seed: int) -> Any:
    from models.build import build_classifier

    return build_classifier(candidate, task, seed)


def _restored(
    path: Path, _changed: int, candidate: AnyCandidate, shape: tuple[int, ...], n_classes: int
) -> "Callable[[np.ndarray], np.ndarray]":
    from models.export.keras_file import restore
    from models.training.backend import forward

    return forward(restore(candidate, shape, n_classes, path))


def _surveyed(
    task: "Task",
    channels: tuple[int, ...],
    machine: tuple[tuple[str, str], ...],
    sides: tuple[int, ...],
    many_ends: bool,
    cache_dir: Path,
) -> Survey:
    facts = {key: json.loads(value) for key, value in machine}
    memory = Memory(cache_dir, facts)
    runtime, threads = facts["latency_runtime"], facts["latency_threads"]
    return Survey(task, channels, runtime, threads, sides, many_ends, memory, cache_dir)


_session = Session()


def current() -> Session:
    """The session of this process, with which each task of a worker begins."""
    lean.import_keras()
    return _session


def prepare(config: StudyConfig) -> Facts:
    """A worker's first task: what data, weights and machine are.

    Raises:
        DataError, ModelError, BadInput: one of them cannot be used.
    """
    from models.device import has_driver, keep_to_share, sees_gpu
    from models.latency import conversion
    from models.latency.runtimes import KERAS, resolve

    if not has_driver() and resolve(config.latency_runtime, on_gpu=False) != KERAS:
        conversion.start_early()  # it takes as long as the first look at data and weights, and Keras
    lean.import_keras()
    keep_to_share()
    if resolve(config.latency_runtime, sees_gpu()) != KERAS:
        conversion.start_early()
    if config.decodes_each:
        lenience = config.skip_unreadable, config.follow_links
        check_room(config.dataset, picture_store(config.cache_dir), searched_resolutions(config), *lenience)
    return current().facts(config)
