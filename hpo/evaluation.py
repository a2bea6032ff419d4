"""Where a candidate becomes numbers: build, measure, check the budget, train. Runs in a worker process."""

import functools
import hashlib
import math
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from datasets.registry import Dataset, inspect, open_dataset
from datasets.splits import Split, split
from hpo import BadInput
from hpo.config import StudyConfig
from hpo.measurements import Gate, Memory, write_atomically
from hpo.progress import Progress, peak_memory_mib, reset_peak_memory, timed
from hpo.space import default_resolutions
from models.backbones import get_backbone
from models.candidate import Candidate
from studies.records import Failure, Measurement, Outcome

# Features behind a frozen prefix are kept in memory up to this size; above it the whole network runs each epoch.
FEATURES_LIMIT = 1 << 30  # bytes


class Changed(RuntimeError):
    """The data, the weights or the machine are not what the study began with; the message names what differs."""


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
    facts: Facts
    folder: Path

    @property
    def outcome_path(self) -> Path:
        return self.folder / f"{self.number:05d}.json"

    @property
    def progress_path(self) -> Path:
        return self.folder / f"{self.number:05d}.progress"

    @property
    def seed(self) -> int:
        """31 bits from the study's seed and the candidate: tried again, it gives the same numbers."""
        text = f"{self.config.seed} {self.candidate.to_json()}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) >> 1


@functools.lru_cache(maxsize=1)
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
    facts = data.facts
    height, width, channels = data.images.shape[1:]
    return Facts(
        dataset=facts.name,
        dataset_digest=data.digest,
        class_names=facts.class_names,
        shape=(height, width, channels),
        n_train=len(parts.train),
        n_val=len(parts.val),
        split_digest=hashlib.sha256(parts.train.tobytes() + parts.val.tobytes()).hexdigest(),
        test_split=facts.test_split,
        skipped=facts.skipped,
        resolutions=resolutions,
        blocks=backbone.blocks,
        weights_digest="none" if config.weights == "none" else weights_digest(base),
        machine=machine,
    )


def attempt(job: Job) -> Outcome | Failure:
    """`evaluate`, with whatever goes wrong as a record: an exception of a backend must not reach the parent.

    Unpickled there, it would import Keras. MemoryError and failures of the backend's allocator are one kind.
    """
    progress = Progress(job.progress_path)
    seconds: dict[str, float] = {}
    try:
        return evaluate(job, progress, seconds)
    except Exception as error:
        kind, reason = explain(error)
        return Failure(
            kind=kind,
            reason=reason,
            traceback=traceback.format_exc(),
            seed=job.seed,
            seconds=seconds,
            peak_memory_mib=peak_memory_mib(),
            curve=[asdict(epoch) for epoch in getattr(error, "curve", ())],
            machine=job.facts.machine,
        )
    finally:
        progress.end()


def evaluate(job: Job, alive: Progress, seconds: dict[str, float]) -> Outcome:
    """All numbers of one candidate, on disk under `job.outcome_path` before this returns.

    `seconds` is filled phase by phase, so that a failed trial has them too.

    Errors: models.training.NonFiniteLoss; Changed; whatever the backend raises when memory runs out.
    """
    config, candidate = job.config, job.candidate
    reset_peak_memory()
    with Gate(config.cache_dir) as gate:
        with timed(seconds, "build"), gate.training():  # building and importing disturb a measurement too
            alive("build")
            _check_unchanged(job)
            from models.build import build_network

            data = _open(config, job.facts.resolutions[-1])
            network = build_network(candidate, _task(config, data), job.seed)
        with timed(seconds, "measure"):
            alive("measure")
            measurement = _measure(network.model, job, gate)
        constraints = over_budget(config, measurement)
        curve: list[dict[str, float]] = []
        with timed(seconds, "train"), gate.training():
            if all(value <= 0 for value in constraints.values()):
                curve = [asdict(epoch) for epoch in _train(job, network, data, alive, gate)]

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
        machine=job.facts.machine,
    )
    write_atomically(job.outcome_path, outcome.to_json())
    return outcome


def over_budget(config: StudyConfig, measurement: Measurement) -> dict[str, float]:
    """For each budget that is set, value minus limit: above 0 means over it."""
    constraints = {}
    if config.max_latency_ms is not None:
        constraints["max_latency_ms"] = measurement.latency_ms - config.max_latency_ms
    if config.max_gflops is not None:
        constraints["max_gflops"] = measurement.flops / 1e9 - config.max_gflops
    return constraints


def explain(error: BaseException) -> tuple[str, str]:
    """(kind, reason in one line) of a failed trial. Failures of the same kind in a row stop the study."""
    text = (str(error).strip().splitlines() or [""])[0][:300]
    name = type(error).__name__
    if isinstance(error, MemoryError) or name == "ResourceExhaustedError" or "RESOURCE_EXHAUSTED" in text:
        return "out of memory", f"out of memory: {text or name}"
    if name == "NonFiniteLoss":
        return "non-finite loss", text
    return name, f"{name}: {text}"


def _check_unchanged(job: Job) -> None:
    """Each worker looks once for itself: a folder or a weights file may have changed since the study began."""
    facts = prepare(job.config)
    changed = [field.name for field in fields(Facts) if getattr(facts, field.name) != getattr(job.facts, field.name)]
    if changed:
        raise Changed(f"changed since the study was opened: {', '.join(changed)}; end this run and start it again")


def _measure(model, job: Job, gate: Gate) -> Measurement:
    """FLOPs anew each time; latency once for each architecture on a device."""
    from models import flops, latency

    facts = job.facts
    memory = Memory(job.config.cache_dir, facts.machine)
    # Beside the candidate's own fields the size of the pictures and of the last layer changes inference.
    size = "x".join(map(str, facts.shape))
    key = f"{job.candidate.architecture_key()}/{size}/{len(facts.class_names)}"
    timed_ms = memory.recall(key)
    if timed_ms is None:
        with gate.measuring():
            timed_ms = memory.recall(key)  # another worker may have measured it while this one waited
            if timed_ms is None:
                timed_ms = asdict(latency.measure(model))
                memory.remember(key, timed_ms)
    cost = flops.count(model)
    return Measurement(
        latency_ms=timed_ms["median_ms"],
        latency=timed_ms,
        macs=cost.macs,
        flops=cost.flops,
        other_flops=cost.other_flops,
        parameters=model.count_params(),
    )


def _train(job: Job, network, data: Dataset, alive: Progress, gate: Gate):
    """Train the tail on features extracted once where they fit in memory, else the whole network.

    Both give the same result: nothing below the cut changes or is random (see `models.cuts.freeze`).
    """
    from models.training import Examples, Recipe, extract, train

    config, candidate = job.config, job.candidate
    parts = _split(config, job.facts.resolutions[-1])
    train_set, val_set = (Examples(data.images, data.labels, rows) for rows in (parts.train, parts.val))
    recipe = Recipe(candidate.learning_rate, candidate.lr_schedule, config.epochs, config.batch_size, job.seed)

    def step(phase: str) -> Callable[..., None]:
        def on_step(*where: float) -> None:
            gate.give_way()
            alive(phase, *where)

        return on_step

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
        data.labels,
        train_size=config.train_size,
        val_size=config.val_size,
        seed=config.seed,
        fixed_val=data.fixed_val,
    )


def _trainable_parameters(model) -> int:
    return int(sum(math.prod(variable.shape) for variable in model.trainable_variables))
