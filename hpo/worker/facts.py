"""What a worker finds out before the first trial, and the data that it keeps open."""

import functools
import hashlib
from dataclasses import dataclass, fields
from typing import Any

from datasets.registry import Dataset, inspect, open_dataset
from datasets.splits import Split, split
from hpo.config import StudyConfig
from hpo.errors import BadInput
from hpo.search.space import default_resolutions
from models.backbones import get_backbone


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


@functools.lru_cache(maxsize=1)
def prepare(config: StudyConfig) -> Facts:
    """Look at data, weights and machine once; only caches are written. Errors: DataError, ModelError, BadInput."""
    from models.build import build_base
    from models.latency import device_facts, sees_gpu
    from models.weights.loading import weights_digest

    machine = device_facts()
    if config.device.startswith("gpu") and not sees_gpu():
        raise BadInput(
            f"--device must be auto or cpu: the {machine['backend']} backend sees no such GPU here. "
            f"Received: {config.device}"
        )
    backbone = get_backbone(config.backbone)
    resolutions = searched_resolutions(config)
    data = opened(config, resolutions[-1])
    parts = split_of(config, resolutions[-1])
    base = build_base(task_of(config, data), config.backbone, resolutions[0])
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


def searched_resolutions(config: StudyConfig) -> tuple[int, ...]:
    """Sides in pixels, ascending; the pictures of a folder are decoded to the largest. Errors: DataError."""
    backbone = get_backbone(config.backbone)
    look = inspect(config.dataset, config.data_dir, config.skip_unreadable)
    return config.resolutions or default_resolutions(
        backbone.min_resolution, backbone.native_resolution, min(look.height, look.width)
    )


def check_unchanged(config: StudyConfig, expected: Facts) -> None:
    """Each worker looks once for itself: a folder or a weights file may have changed since the study began."""
    facts = prepare(config)
    changed = [field.name for field in fields(Facts) if getattr(facts, field.name) != getattr(expected, field.name)]
    if changed:
        raise Changed(f"changed since the study was opened: {', '.join(changed)}; end this run and start it again")


def task_of(config: StudyConfig, data: Dataset):
    from models.build import Task

    height, width, channels = data.images.shape[1:]
    return Task(height, width, channels, len(data.facts.class_names), config.weights)


@functools.lru_cache(maxsize=1)
def opened(config: StudyConfig, side: int) -> Dataset:
    return open_dataset(config.dataset, config.data_dir, config.cache_dir, side, config.skip_unreadable)


@functools.lru_cache(maxsize=1)
def split_of(config: StudyConfig, side: int) -> Split:
    data = opened(config, side)
    return split(
        data.labels,
        train_size=config.train_size,
        val_size=config.val_size,
        seed=config.seed,
        fixed_val=data.fixed_val,
    )
