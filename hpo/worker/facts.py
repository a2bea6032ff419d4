"""What a worker finds out before the first trial: the data, the weights, the machine."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from datasets.dataset import Dataset
from datasets.registry import inspect
from datasets.splits import Split
from hpo.config import StudyConfig
from hpo.errors import BadField
from models.backbones import get_backbone, patch_of, sides_of
from models.own.registry import hyper_of, own_of, pin

if TYPE_CHECKING:
    from models.build import Task

# Sides that networks are published for or that divide well; the default search picks from them.
USUAL_RESOLUTIONS = (8, 16, 24, 32, 48, 64, 96, 128, 160, 192, 224, 240, 260, 299, 331, 380, 456, 528, 600)
MOST_ENDS = 24  # of one network that are probed
MAX_ENLARGEMENT = 4  # pictures are not blown up to more than four times their own side


class Changed(RuntimeError):
    """The data, the weights or the machine are not what the study began with; the message names what differs."""


@dataclass(frozen=True)
class Facts:
    """What the worker finds out before the first trial: the data, the weights, the machine."""

    dataset: str
    dataset_digest: str
    class_names: tuple[str, ...]
    shape: tuple[int, int, int]  # height, width, channels of a picture; the largest, if each network has its own
    n_train: int
    n_val: int
    split_digest: str
    test_split: str
    skipped: int
    resolutions: tuple[int, ...]
    stages: tuple[int, ...]  # that the network has behind its first block, its second, ..., all
    channels: tuple[int, ...]  # of what comes out there
    ends: str | None  # the rule of where it ends, see `models.blocks.rule_of`
    weights_digest: str
    machine: dict[str, Any]
    class_token: bool = False  # whether the network has one, wherever it ends
    source: str | None = None  # which code of the user's builds it, see `models.own.reference.Own`

    @property
    def measured_with(self) -> dict[str, Any]:
        """What costs of an architecture depend on beside it: the machine, where networks end, code of the user's."""
        network = {"ends": self.ends, "source": self.source}
        return self.machine | {name: value for name, value in network.items() if value}

    @property
    def frozen(self) -> str:
        """What frozen features depend on, beside where they come out: SHA-256 of weights, and of code of the user's."""
        if self.source is None:
            return self.weights_digest
        return hashlib.sha256(f"{self.source} {self.weights_digest}".encode()).hexdigest()

    @property
    def mapped_blocks(self) -> tuple[int, ...]:
        """Numbers of kept blocks at which a map probes the network."""
        return places(len(self.stages))


def places(n_blocks: int) -> tuple[int, ...]:
    """Of so many blocks those behind which a map probes a network: all, or as many as it may have, evenly."""
    most = min(n_blocks, MOST_ENDS)
    return tuple(round(1 + place * (n_blocks - 1) / max(1, most - 1)) for place in range(most))


def machine_of(config: StudyConfig) -> dict[str, Any]:
    """What a latency depends on here beside the model.

    Raises:
        BadInput: the GPU that is asked for is not there.
        ModelError: the runtime that latency is to be measured in is not installed.
    """
    from models.device import cpu_name, sees_gpu
    from models.latency import deployed
    from models.latency.call import machine_facts
    from models.latency.runtimes import KERAS, RUNTIMES, resolve

    machine = machine_facts()
    if config.device.startswith("gpu") and not sees_gpu():
        raise BadField(
            "device",
            f"must be auto or cpu: the {machine['backend']} backend sees no such GPU here. Received: {config.device}",
        )
    runtime = resolve(config.latency_runtime, sees_gpu())
    if runtime == KERAS:
        return machine
    row = RUNTIMES[runtime]
    return {
        **machine,
        "versions": {**machine["versions"], row.distribution: row.version},
        "latency_protocol": deployed.PROTOCOL,
        "latency_runtime": runtime,
        "latency_threads": config.latency_threads,
        "latency_device": cpu_name(),
    }


def task_of(config: StudyConfig, data: Dataset) -> "Task":
    """What the study fixes for all of its networks."""
    from models.build import Task

    height, width, channels = data.images.shape[1:]
    return Task(height, width, channels, len(data.facts.class_names), config.weights, config.decodes_each)


def find_out(
    config: StudyConfig, machine: dict[str, Any], resolutions: tuple[int, ...], data: Dataset, parts: Split
) -> Facts:
    """All of it, of data that is open; the network is built once for its weights.

    Args:
        config: of the study.
        machine: from `machine_of`.
        resolutions: sides in pixels, ascending.
        data: the development part.
        parts: its split into training and validation pictures.

    Raises:
        ModelError: the weights cannot be used.
    """
    network = _of_hypermodel(config) if config.is_hypermodel else _of_network(config, resolutions, data)
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
        machine=machine,
        **network,
    )


def _of_network(config: StudyConfig, resolutions: tuple[int, ...], data: Dataset) -> dict[str, Any]:
    """What is found out of a backbone."""
    from models import blocks
    from models.build import build_base
    from models.own.contract import check_usable
    from models.tokens import class_token
    from models.weights.values import weights_digest

    source = None
    if get_backbone(config.backbone).is_own:
        own = own_of(config.backbone)
        check_usable(own, resolutions, config.weights == "pretrained")
        source = own.source
        pin(config.backbone, source)  # for processes that are started later
    base = build_base(task_of(config, data), config.backbone, resolutions[0])
    return {
        "stages": blocks.stages_kept(base),
        "channels": tuple(int(end.tensor.shape[-1]) for end in blocks.ends(base)),
        "ends": blocks.rule_of(base),
        "class_token": all(class_token(end.tensor) is not None for end in blocks.ends(base)),
        "source": source,
        "weights_digest": "none" if config.weights == "none" else weights_digest(base),
    }


def _of_hypermodel(config: StudyConfig) -> dict[str, Any]:
    """What is found out of a HyperModel: its code, which decides the weights, too."""
    source = hyper_of(config.backbone).source
    pin(config.backbone, source)
    digest = hashlib.sha256(source.encode()).hexdigest()
    return {"stages": (1,), "channels": (1,), "ends": None, "source": source, "weights_digest": digest}


def searched_resolutions(config: StudyConfig) -> tuple[int, ...]:
    """Sides in pixels, ascending; the digest of a folder's pictures is taken at the largest.

    Raises:
        DataError: there is no such data, or it cannot be used.
    """
    look = inspect(config.dataset, config.data_dir, config.skip_unreadable, config.follow_links)
    if config.is_hypermodel:
        return config.resolutions or (max(look.height, look.width),)
    backbone = get_backbone(config.backbone)
    least, native = sides_of(backbone)
    return config.resolutions or default_resolutions(least, native, min(look.height, look.width), patch_of(backbone))


def default_resolutions(least: int, native: int, own: int, patch: int = 1) -> tuple[int, ...]:
    """Sides that make sense for a backbone (smallest and native side) and pictures of side `own`, in pixels.

    The usual sides from the backbone's smallest, and its native one (without usual ones up to 3 % below it), as far
    as they do not enlarge the pictures more than four times. If even the smallest does, that one alone is searched. Of
    a transformer they are the multiples of its patch that come next below.
    """
    whole = (side // patch * patch for side in USUAL_RESOLUTIONS)
    sides = {side for side in whole if least <= side < 0.97 * native} | {native}
    return tuple(sorted(side for side in sides if side <= MAX_ENLARGEMENT * own)) or (least,)


def unlike(machine: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """What keeps two machines from training for one study, in words.

    On which device, and how latencies are measured there, is none of that.
    """
    mine, theirs = machine["versions"], other["versions"]
    different = [name for name in ("backend", "dtype") if machine[name] != other[name]]
    return different + [f"{name} ({mine[name]})" for name in mine if theirs.get(name, mine[name]) != mine[name]]


def check_unchanged(facts: Facts, expected: Facts) -> None:
    """Each worker looks once for itself: a folder or a weights file may have changed since the study began.

    Raises:
        Changed: `facts`, just found out, are not those that are expected.
    """
    changed = [field.name for field in fields(Facts) if getattr(facts, field.name) != getattr(expected, field.name)]
    if changed:
        raise Changed(f"changed since the study was opened: {', '.join(changed)}; end this run and start it again")
