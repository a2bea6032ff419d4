"""Where a candidate becomes numbers: build, measure, check the budget, train. Runs in a worker process."""

import functools
import hashlib
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datasets.registry import Dataset, inspect, open_dataset
from datasets.splits import Split, split
from hpo import BadInput
from hpo.config import StudyConfig
from hpo.measurements import Gate, Memory, write_atomically
from hpo.progress import Progress, peak_memory_mib, reset_peak_memory, timed
from hpo.space import default_resolutions
from models.backbones import get_backbone
from models.candidate import Candidate
from studies.records import Measurement, Outcome

# Features behind a frozen prefix are kept in memory up to this size; above it the whole network runs each epoch.
FEATURES_LIMIT = 1 << 30  # bytes


@dataclass(frozen=True)
class Facts:
    """What the worker finds out before the first trial: the data, the weights, the machine."""

    dataset: str
    dataset_digest: str
    class_names: tuple[str, ...]
    shape: tuple[int, int, int]  # height, width, channels of a picture
    n_train: int
    n_val: int
    split_digest: str
    test_split: str
    skipped: int
    source: str
    resolutions: tuple[int, ...]
    blocks: int
    weights_digest: str
    machine: dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One trial for a worker. `folder` receives the outcome and signs of life."""

    config: StudyConfig
    study_id: str
    number: int
    candidate: Candidate
    resolutions: tuple[int, ...]
    folder: Path

    @property
    def outcome_path(self) -> Path:
        return self.folder / f"{self.number:05d}.json"

    @property
    def progress_path(self) -> Path:
        return self.folder / f"{self.number:05d}.progress"

    @property
    def seed(self) -> int:
        """31 bits from the study's seed and the trial's number."""
        return int(np.random.SeedSequence([self.config.seed, self.number]).generate_state(1)[0] >> 1)


def prepare(config: StudyConfig) -> Facts:
    """Look at data, weights and machine once; only caches are written. Errors: DataError, ModelError, BadInput."""
    from models.build import build_base
    from models.latency import device_facts, sees_gpu
    from models.weights import weights_digest

    machine = device_facts()
    if config.device.startswith("gpu") and not sees_gpu():
        raise BadInput(
            f"--device must be auto or cpu: the {machine['backend']} backend sees no such GPU here. "
            f"Received: {config.device}"
        )
    backbone = get_backbone(config.backbone)
    look = inspect(config.dataset, config.data_dir, config.skip_unreadable)
    resolutions = config.resolutions or default_resolutions(
        backbone.min_resolution, backbone.native_resolution, min(look.height, look.width)
    )
    data = _open(config, resolutions[-1])
    parts = _split(config, resolutions[-1])
    base = build_base(_task(config, data), config.backbone, resolutions[0])
    digest = "none" if config.weights == "none" else weights_digest(base)
    facts = data.facts
    return Facts(
        dataset=facts.name,
        dataset_digest=data.digest,
        class_names=facts.class_names,
        shape=data.images.shape[1:],
        n_train=len(parts.train),
        n_val=len(parts.val),
        split_digest=hashlib.sha256(parts.train.tobytes() + parts.val.tobytes()).hexdigest(),
        test_split=facts.test_split,
        skipped=facts.skipped,
        source=facts.source,
        resolutions=resolutions,
        blocks=backbone.blocks,
        weights_digest=digest,
        machine=machine,
    )


def evaluate(job: Job) -> Outcome:
    """All numbers of one candidate, on disk under `job.outcome_path` before this returns.

    Errors: models.training.NonFiniteLoss; MemoryError and whatever the backend raises when memory runs out.
    """
    from models.build import build_network
    from models.latency import device_facts

    config, candidate = job.config, job.candidate
    alive = Progress(job.progress_path)
    data = _open(config, job.resolutions[-1])
    task, machine = _task(config, data), device_facts()
    seconds: dict[str, float] = {}
    reset_peak_memory()

    with timed(seconds, "build"):
        alive("build")
        network = build_network(candidate, task, job.seed)
    with timed(seconds, "measure"):
        alive("measure")
        measurement = _measure(network.model, candidate, task, config.cache_dir, machine)
    constraints = over_budget(config, measurement)
    curve: list[dict[str, float]] = []
    with timed(seconds, "train"):
        if all(value <= 0 for value in constraints.values()):
            curve = [asdict(epoch) for epoch in _train(job, network, data, alive)]

    best = max(curve, key=lambda point: point["val_accuracy"]) if curve else None  # the first of equals
    outcome = Outcome(
        study_id=job.study_id,
        number=job.number,
        candidate=candidate,
        measurement=measurement,
        trainable_parameters=_trainable_parameters(network.model),
        val_accuracy=best["val_accuracy"] if best else None,
        best_epoch=int(best["epoch"]) if best else None,
        constraints=constraints,
        curve=curve,
        seconds=seconds,
        peak_memory_mib=peak_memory_mib(),
        seed=job.seed,
        machine=machine,
    )
    write_atomically(job.outcome_path, outcome.to_json())
    alive.end()
    return outcome


def over_budget(config: StudyConfig, measurement: Measurement) -> dict[str, float]:
    """For each budget that is set, value minus limit: above 0 means over it."""
    constraints = {}
    if config.max_latency_ms is not None:
        constraints["max_latency_ms"] = measurement.latency_ms - config.max_latency_ms
    if config.max_gflops is not None:
        constraints["max_gflops"] = measurement.flops / 1e9 - config.max_gflops
    return constraints


def _measure(model, candidate: Candidate, task, cache_dir: Path, machine: dict[str, Any]) -> Measurement:
    from models import flops, latency

    memory = Memory(cache_dir, machine)
    # Beside the candidate's own fields the size of the pictures and of the last layer changes inference.
    key = f"{candidate.architecture_key()}/{task.height}x{task.width}x{task.channels}/{task.n_classes}"
    known = memory.recall(key)
    if known is not None:
        return known
    cost = flops.count(model)
    with Gate(cache_dir) as gate, gate.measuring():
        timed = latency.measure(model)
    measurement = Measurement(
        latency_ms=timed.median_ms,
        latency=asdict(timed),
        macs=cost.macs,
        flops=cost.flops,
        other_flops=cost.other_flops,
        parameters=model.count_params(),
    )
    memory.remember(key, measurement)
    return measurement


def _train(job: Job, network, data: Dataset, alive: Progress):
    """Train the tail on features extracted once where they fit in memory, else the whole network.

    Both give the same result: nothing below the cut changes or is random (see `models.cuts.freeze`).
    """
    from models.training import Examples, Recipe, extract, train

    config, candidate = job.config, job.candidate
    parts = _split(config, job.resolutions[-1])
    train_set, val_set = (Examples(data.images, data.labels, rows) for rows in (parts.train, parts.val))
    recipe = Recipe(candidate.learning_rate, candidate.lr_schedule, config.epochs, config.batch_size, job.seed)

    def step(phase: str) -> Callable[..., None]:
        def on_step(*where: float) -> None:
            gate.give_way()
            alive(phase, *where)

        return on_step

    with Gate(config.cache_dir) as gate, gate.training():
        model = network.logits
        if network.cut is not None:
            size = 4 * math.prod(network.cut.shape[1:]) * (len(train_set) + len(val_set))
            if size <= FEATURES_LIMIT:
                prefix, model = network.prefix(), network.tail()
                train_set = extract(prefix, train_set, step("extract"))
                val_set = extract(prefix, val_set, step("extract"))
        return train(model, train_set, val_set, recipe, on_step=step("train"))


def _task(config: StudyConfig, data: Dataset):
    from models.build import Task

    height, width, channels = data.images.shape[1:]
    return Task(height, width, channels, len(data.facts.class_names), config.weights)


@functools.lru_cache(maxsize=1)
def _open(config: StudyConfig, side: int) -> Dataset:
    return open_dataset(config.dataset, config.data_dir, config.cache_dir, side, config.skip_unreadable)


@functools.lru_cache(maxsize=1)
def _split(config: StudyConfig, side: int) -> Split:
    data = _open(config, side)
    return split(
        data.labels, train_size=config.train_size, val_size=config.val_size, seed=config.seed, fixed_val=data.fixed_val
    )


def _trainable_parameters(model) -> int:
    return int(sum(math.prod(variable.shape) for variable in model.trainable_variables))
