"""The configuration of a study: every option once, with its unit, default, check at the door, role and group.

The command line, its help, the presets and the table of options in the docs are all made from the fields of
`StudyConfig`.
"""

import importlib.util
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from datasets.catalogue import DATASETS
from datasets.registry import check_name, safe_name
from datasets.subset import base_name
from hpo.errors import BadField, BadInput, explain_field
from models.backbones import get_backbone
from models.candidate import DIMENSIONS
from models.catalogue import UNPUBLISHED
from models.dimension import Searched
from models.latency.runtimes import AUTO, MOST_THREADS, RUNTIMES
from models.own.backbone import Backbone, register_hypermodel
from models.own.registry import is_hypermodel
from studies.paths import ARTIFACTS, OF_SEVERAL
from studies.presets import read_preset
from studies.url import check_url

# Options as they were in studies that do not keep them.
BEFORE = {"latency_runtime": "keras", "keep": "full", "head_start": "random", "rates": "one", "decode": "largest"}
MOST_SEEDS = 100  # training runs of a final model
SAMPLERS = ("auto", "planner", "tpe", "nsga2", "nsga3", "random", "gp")
# What a HyperModel decides itself, or has no use for.
NOT_OF_HYPERMODELS = (
    "weights", "decode", "augment", "views", "strategy", "search", "keep", "head_start", "rates", "no_map", "map_size",
    "sampler", "heads",
)  # fmt: skip
OF_A_CLUSTER = ("address", "gpus_per_worker", "cpus_per_worker", "latency_node")
OPTIONAL = tuple(name for name, row in DIMENSIONS.items() if row.searched == Searched.ON_REQUEST)
if TYPE_CHECKING:
    Requested = str
    Augmentation = str
    Strategy = str
    LatencyRuntime = str
else:
    LatencyRuntime = Literal[(AUTO, *RUNTIMES)]
    Requested = Literal[OPTIONAL]
    Augmentation, Strategy = (Literal[DIMENSIONS[name].values] for name in ("augmentation", "strategy"))


class Role(StrEnum):
    """What a field is for."""

    IDENTITY = "identity"  # changes numbers: a study has one value of it
    EFFORT = "effort"  # how much is searched, and how fast
    PLACE = "place"  # where things lie, and what of this machine may be used, its time included


# Where a field stands in the help, in this order.
Group = StrEnum("Group", "WHAT SEARCH BUDGET STOPPING REUSE WHERE MACHINE")
IDENTITY, EFFORT, PLACE = Role
WHAT, SEARCH, BUDGET, STOPPING, REUSE, WHERE, MACHINE = Group


def option(default: Any, role: Role, group: Group, description: str, *, env: str = "", **limits: Any) -> Any:
    """A field. `env` is the environment variable that gives its value too; `limits` are pydantic's."""
    extra: dict[str, Any] = {"role": role, "group": group, "env": env}
    return Field(default, description=description, json_schema_extra=extra, **limits)


def meta(name: str, key: Literal["role", "group", "env"]) -> str:
    """What a field says of itself beside its type, default and description."""
    extra = StudyConfig.model_fields[name].json_schema_extra
    assert isinstance(extra, dict)
    return str(extra[key])


def fields_of(role: Role) -> tuple[str, ...]:
    """The names of all fields of a role, in their order."""
    return tuple(name for name in StudyConfig.model_fields if meta(name, "role") == role)


def _explained(name: str) -> list[str]:
    """The choices of a dimension, each with what it means."""
    dimension = DIMENSIONS[name]
    assert isinstance(dimension.values, tuple)
    return [
        f"{choice} ({dimension.meanings[choice]})" if choice in dimension.meanings else choice
        for choice in dimension.values
    ]


def _side_list(value: object) -> object:
    """`32,64,96` from the command line; a list from a preset."""
    if isinstance(value, str):
        parts = [part.strip() for part in value.split(",") if part.strip()]
        if not parts or not all(part.isdecimal() for part in parts):
            raise ValueError("must be sides in pixels separated by commas, such as 32,64,96")
        return tuple(int(part) for part in parts)
    if isinstance(value, (list, tuple)) and not (value and all(type(side) is int for side in value)):
        raise ValueError("must be a list of sides in pixels, such as [32, 64, 96]")
    return value


def _name_list(value: object) -> object:
    """`none,light` from the command line; a list from a preset."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, (list, tuple)) and all(isinstance(part, str) for part in value):
        return tuple(dict.fromkeys(value))
    return value


class StudyConfig(BaseModel, frozen=True, extra="forbid"):
    """What the user decides; by `make_config`, which tells the first wrong field in one line."""

    # fmt: off
    backbone: str = option("custom_cnn", IDENTITY, WHAT, "network to start from, see --list-backbones, or one of your "
        "own, such as path/file.py:build, or keras_hub:PRESET; for several, separated by commas, a study each and then "
        "their comparison")
    dataset: str = option("digits", IDENTITY, WHAT, "a name (see --list-datasets) or a folder of pictures, "
        "FOLDER/<class>/* or FOLDER/{train,val,test}/<class>/*; NAME:class,class takes some of its classes")
    data_dir: Path | None = option(None, PLACE, WHERE, "folder with <name>.npz files; without one, Keras "
        "downloads the data",
        env="HPO_DATA_DIR")
    skip_unreadable: bool = option(False, IDENTITY, WHAT, "leave unreadable pictures out, with a count, instead of "
        "refusing the folder")
    decode: Literal["auto", "network", "largest"] = option("auto", IDENTITY, WHAT, "size to which pictures of a folder "
        "are decoded: network (the side that the network sees, so that nothing is resized inside it) or largest (the "
        "largest side that is searched, from which other networks resize); auto: network, and as it was in a study "
        "that was begun before")
    follow_links: bool = option(False, PLACE, WHAT, "follow links that lead out of the folder of pictures, instead of "
        "refusing it")
    weights: str = option("pretrained", IDENTITY, WHAT, "pretrained, none (train the whole network from scratch), or a "
        ".h5 file of the backbone without its top")
    trials: int = option(20, EFFORT, BUDGET, "trials that the study has in the end, stopped ones included; run the "
        "same command again to continue", ge=1, le=100_000)
    timeout: float | None = option(None, PLACE, BUDGET, "seconds after which no new trial starts; default no limit",
        gt=0, allow_inf_nan=False)
    epochs: int = option(8, IDENTITY, BUDGET, "passes over the training pictures in each trial", ge=1, le=10_000)
    batch_size: int = option(DIMENSIONS["batch_size"].default, IDENTITY, SEARCH, "pictures in a training step",
        ge=1, le=65_536)
    train_size: int | None = option(None, IDENTITY, WHAT, "pictures to train on, a stratified subset; default all but "
        "the validation split", ge=1)
    val_size: int | None = option(None, IDENTITY, WHAT, "pictures to validate on; default a fifth of those that are "
        "not test pictures, at most 10000", ge=1)
    resolutions: Annotated[tuple[int, ...] | None, BeforeValidator(_side_list)] = option(
        None, IDENTITY, SEARCH, "sides in pixels to search, separated by commas; default those that make sense for "
        "backbone and data")
    max_latency_ms: float | None = option(None, IDENTITY, BUDGET, "budget: milliseconds for one picture; slower "
        "candidates are not trained; default no limit", gt=0, allow_inf_nan=False)
    max_gflops: float | None = option(None, IDENTITY, BUDGET, "budget: GFLOPs (2 per multiply-accumulate) for one "
        "picture; costlier candidates are not trained; default no limit", gt=0, allow_inf_nan=False)
    stopping: Literal["dominance", "moasha", "none"] = option("dominance", IDENTITY, STOPPING, "rule that ends "
        "hopeless trials early: dominance (compares a trial only with those no slower and no costlier), moasha "
        "(Schmucker et al. 2021), or none")
    reduction_factor: int = option(2, IDENTITY, STOPPING, "factor from one rung to the next, the first at epoch 2; "
        "at each rung about one trial in this many goes on", ge=2, le=100)
    heads: int = option(4, EFFORT, REUSE, "candidates proposed at once where only the head is trained; they are "
        "trained together", ge=1, le=64)
    augment: Annotated[tuple[Augmentation, ...], BeforeValidator(_name_list)] = option(
        (DIMENSIONS["augmentation"].default,), IDENTITY, SEARCH, "how training pictures are changed: "
        f"{', '.join(_explained('augmentation'))}; several separated by commas are searched; default "
        f"{DIMENSIONS['augmentation'].default}", min_length=1)
    views: int = option(4, IDENTITY, REUSE, "with augmentation: how many changed views of each picture are stored, "
        "where features are stored", ge=1, le=64)
    strategy: Annotated[tuple[Strategy, ...], BeforeValidator(_name_list)] = option(
        (DIMENSIONS["strategy"].default,), IDENTITY, SEARCH, f"{' or '.join(_explained('strategy'))}; both separated "
        f"by a comma are searched; default {DIMENSIONS['strategy'].default}", min_length=1)
    search: Annotated[tuple[Requested, ...], BeforeValidator(_name_list)] = option(
        (), IDENTITY, SEARCH, f"further dimensions to search, separated by commas: {', '.join(OPTIONAL)}; default none")
    keep: Literal["auto", "search", "full"] = option("auto", IDENTITY, SEARCH, "where the network ends: search (with "
        "any of its blocks) or full (all of them are kept); auto searches where weights are published for the backbone")
    head_start: Literal["auto", "probe", "random"] = option("auto", IDENTITY, SEARCH, "what a head without hidden "
        "layer begins with, unless all of the network is fine-tuned: probe (the closed-form classifier of its frozen "
        "features) or random weights; auto: probe")
    rates: Literal["auto", "parts", "one"] = option("auto", IDENTITY, SEARCH, "ranges of Adam's learning rates: parts "
        "(one for heads, one for fine-tuned stages, narrower the more of them are free) or one for both; auto: parts, "
        "and one where the whole network is trained from scratch")
    no_map: bool = option(False, EFFORT, SEARCH, "begin without the map: linear probes of every place where the "
        "network may end, at each side, from which the first trials come")
    map_size: int = option(5000, EFFORT, SEARCH, "most pictures to fit the probes of the map on, and most to measure "
        "them on", ge=10)
    sampler: Literal["auto", "planner", "tpe", "nsga2", "nsga3", "random", "gp"] = option("auto", EFFORT, SEARCH, "how "
        "candidates are proposed; planner (a model of accuracy that begins with the map, and exact costs) needs the "
        "map, gp needs torch; auto: planner where there is a map, else tpe")
    seed: int = option(0, IDENTITY, SEARCH, "seeds the split, the sampler, initial weights and the order of pictures",
        ge=0, le=2**32 - 1)
    study: str | None = option(None, PLACE, WHERE, "name of the study; default <backbone>-<dataset>, with -scratch at "
        "the end for --weights none")
    storage: str = option(
        "sqlite:///studies.db", PLACE, WHERE, "database of all studies, a file or a server: sqlite:///FILE or "
        "postgresql://USER@HOST/DATABASE", env="HPO_STORAGE"
    )
    out: Path = option(Path("runs"), PLACE, WHERE, "folder for results; each study has its own inside")
    cache_dir: Path = option(Path("~/.cache/keras-hpo"), PLACE, WHERE, "folder for stored features, decoded pictures "
        "and measured latencies, shared by all studies", env="HPO_CACHE_DIR", validate_default=True)
    cache_gib: float = option(10, EFFORT, REUSE, "GiB for stored features; the least recently used are deleted first; "
        "0 stores none", ge=0, le=1e6, allow_inf_nan=False)
    cache_dtype: Literal["float16", "float32"] = option("float16", IDENTITY, REUSE, "number format in which "
        "features are stored")
    executor: Literal["local", "ray"] = option("local", PLACE, MACHINE, "where workers run: local (processes of this "
        "machine) or ray (a cluster; see docs/cluster.md)")
    address: str | None = option(None, PLACE, MACHINE, "of the Ray cluster, HOST:PORT or auto; default: Ray is started "
        "here, and stopped at the end", env="HPO_RAY_ADDRESS")
    workers: int = option(1, PLACE, MACHINE, "worker processes; 0 runs in this process, for debugging", ge=0, le=1024)
    gpus_per_worker: float | None = option(None, PLACE, MACHINE, "with ray: GPUs of each worker; 0.5 shares one, and "
        "its memory, between two; default as many as there are for each, at most one", ge=0, le=64,
        allow_inf_nan=False)
    cpus_per_worker: int | None = option(None, PLACE, MACHINE, "with ray: cores that are kept for each worker, and its "
        "threads; default one core, and as many threads as the backend likes", ge=1, le=1024)
    latency_node: str | None = option(None, PLACE, MACHINE, "with ray: name or address of the node that measures "
        "latencies, where the nodes have different devices; default the first that is ready")
    device: str = option("auto", PLACE, MACHINE, "auto, cpu, gpu or gpu:N")
    latency_runtime: LatencyRuntime = option("auto", IDENTITY, MACHINE, "what latency is "
        "measured in: litert, onnx (ONNX Runtime) or keras (one compiled call); auto: litert on a CPU, keras on a GPU")
    latency_threads: int = option(1, IDENTITY, MACHINE, "threads of litert or onnx while latency is measured",
        ge=1, le=MOST_THREADS)
    stall_timeout: float = option(600, PLACE, MACHINE, "seconds without a sign of life after which a trial is "
        "abandoned",
        gt=0, allow_inf_nan=False)
    # fmt: on

    def __init__(self, **values: Any):
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise explain_field(error) from error

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch_for_a_number(cls, value: object, info: ValidationInfo) -> object:
        kind = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and {int, float} & {kind, *get_args(kind)}:
            raise ValueError("must be a number")  # to Python, True is 1
        return value

    @field_validator("backbone", mode="before")
    @classmethod
    def _own_backbone(cls, value: object) -> object:
        """Only what Python hands over may be built: a text from a database or a preset is never a place of code."""
        return value.register() if isinstance(value, Backbone) else value

    @field_validator("backbone")
    @classmethod
    def _known_backbone(cls, value: str) -> str:
        return get_backbone(value).name

    @field_validator("dataset")
    @classmethod
    def _known_dataset(cls, value: str) -> str:
        check_name(value)
        return value

    @field_validator("data_dir")
    @classmethod
    def _existing_folder(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_dir():
            raise ValueError("must be an existing folder")
        return value

    @field_validator("out", "cache_dir")
    @classmethod
    def _usable_folder(cls, value: Path) -> Path:
        value = value.expanduser()
        if not value.is_dir() and any(path.exists() and not path.is_dir() for path in (value, *value.parents)):
            raise ValueError("must be a folder, or a place where one can be made")
        return value

    @field_validator("weights")
    @classmethod
    def _known_weights(cls, value: str) -> str:
        if value not in ("pretrained", "none") and not (Path(value).is_file() and value.endswith(".h5")):
            raise ValueError("must be pretrained, none, or an existing .h5 file")
        return value

    @field_validator("sampler")
    @classmethod
    def _available_sampler(cls, value: str) -> str:
        if value == "gp" and importlib.util.find_spec("torch") is None:
            raise ValueError(
                "gp needs the package torch, which is not installed; allowed without it: "
                + ", ".join(name for name in SAMPLERS if name != "gp")
            )
        return value

    @field_validator("study")
    @classmethod
    def _safe_study(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"\w[\w.+-]{0,199}", value):
            raise ValueError("must be 1 to 200 letters, digits and . _ + -, and begin with a letter, a digit or _")
        if value is not None and (value == ARTIFACTS or value.startswith(OF_SEVERAL)):
            kept = ", ".join((ARTIFACTS, *(f"{begins}..." for begins in OF_SEVERAL)))
            raise ValueError(f"must be none of the names of other folders of results: {kept}")
        return value

    @field_validator("storage")
    @classmethod
    def _a_database(cls, value: str) -> str:
        check_url(value)
        return value

    @field_validator("device")
    @classmethod
    def _known_device(cls, value: str) -> str:
        if not re.fullmatch(r"auto|cpu|gpu(:\d{1,3})?", value):
            raise ValueError("must be auto, cpu, gpu or gpu:N with N the number of the GPU")
        return value

    @model_validator(mode="after")
    def _what_a_cluster_needs(self) -> "StudyConfig":
        if self.executor == "local":
            for name in OF_A_CLUSTER:
                if (value := getattr(self, name)) is not None:
                    raise BadField(name, f"must be left out unless the executor is ray. Received: {value}")
        elif not self.workers:
            raise BadField("workers", "must be at least 1 with the executor ray. Received: 0")
        elif self.device.startswith("gpu:"):
            raise BadField(
                "device", f"must be auto, cpu or gpu with the executor ray, which numbers GPUs. Received: {self.device}"
            )
        elif importlib.util.find_spec("ray") is None:
            raise BadField("executor", "ray needs the package ray: pip install 'keras-hpo[cluster]'. Received: ray")
        elif self.address is not None and not re.fullmatch(r"auto|[^:/]+:\d{1,5}|\[[0-9a-f:]+\]:\d{1,5}", self.address):
            raise BadField(
                "address", f"must be HOST:PORT or auto, seen from a node of the cluster. Received: {self.address}"
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _hypermodel_of_python(cls, values: Any) -> Any:
        """`hypermodel=` takes the place of `backbone=`: a HyperModel itself, never a text, which might be anyone's."""
        if not isinstance(values, dict) or "hypermodel" not in values:
            return values
        others = {name: value for name, value in values.items() if name != "hypermodel"}
        if "backbone" in others:
            raise BadField("hypermodel", f"takes the place of backbone. Received: both, backbone {others['backbone']}")
        if isinstance(values["hypermodel"], str):
            raise BadField(
                "hypermodel", f"must be an instance of keras_tuner.HyperModel. Received: {values['hypermodel']!r}"
            )
        return others | {"backbone": register_hypermodel(values["hypermodel"])}

    @model_validator(mode="after")
    def _what_a_hypermodel_leaves(self) -> "StudyConfig":
        """What does not apply to a HyperModel must be left out."""
        if not self.is_hypermodel:
            return self
        for name in NOT_OF_HYPERMODELS:
            default = type(self).model_fields[name].default
            if getattr(self, name) != default and not (name == "sampler" and self.sampler != "planner"):
                raise BadField(name, f"must be left out with a HyperModel. Received: {getattr(self, name)}")
        if base_name(self.dataset) in DATASETS:
            if self.resolutions is not None:
                sides = ",".join(map(str, self.resolutions))
                why = f"must be left out with a HyperModel on {self.dataset}, whose pictures have one size"
                raise BadField("resolutions", f"{why}. Received: {sides}")
        elif self.resolutions is None or len(self.resolutions) != 1:
            given = "none" if self.resolutions is None else ",".join(map(str, self.resolutions))
            raise BadField(
                "resolutions",
                f"must be one side in px for a HyperModel on a folder of pictures. Received: {given}",
            )
        return self

    @model_validator(mode="after")
    def _sensible_resolutions(self) -> "StudyConfig":
        least = get_backbone(self.backbone).min_resolution
        for side in self.resolutions or ():
            if not least <= side <= 4096:
                raise BadField(
                    "resolutions",
                    f"must be from {least} (smallest for {self.backbone}) to 4096 px. "
                    f"Received: {','.join(map(str, self.resolutions or ()))}",
                )
        if self.resolutions is not None:
            object.__setattr__(self, "resolutions", tuple(sorted(set(self.resolutions))))
        return self

    @model_validator(mode="after")
    def _nothing_to_unfreeze(self) -> "StudyConfig":
        why = "where the weights are none: every stage is trained"
        if self.weights == "none" and "progressive" in self.strategy:
            raise BadField("strategy", f"must be plain {why}. Received: {','.join(self.strategy)}")
        if self.weights == "none" and self.rates == "parts":
            raise BadField("rates", f"must be auto or one {why}. Received: parts")
        return self

    @model_validator(mode="after")
    def _planner_has_a_map(self) -> "StudyConfig":
        if self.sampler == "planner" and not self.is_mapped:
            others = ", ".join(name for name in SAMPLERS if name != "planner")
            raise BadField(
                "sampler",
                "planner needs the map, which a study has with pretrained weights where ends are searched and without "
                f"--no-map; allowed without it: {others}. Received: planner",
            )
        return self

    @property
    def is_hypermodel(self) -> bool:
        """Whether its networks are built by a HyperModel of KerasTuner, which `backbone` is the name of."""
        return is_hypermodel(self.backbone)

    @property
    def decodes_each(self) -> bool:
        """Whether networks get pictures at the side that they see: of a folder, whose pictures have no common size."""
        return not self.is_hypermodel and self.decode != "largest" and base_name(self.dataset) not in DATASETS

    @property
    def searches_ends(self) -> bool:
        """Whether it is searched how much of the backbone is kept."""
        published = get_backbone(self.backbone).weights != UNPUBLISHED
        return self.keep == "search" or (self.keep == "auto" and published and not self.is_hypermodel)

    @property
    def starts_from_probe(self) -> bool:
        """Whether linear heads begin with a probe: on features that mean something."""
        return self.head_start != "random" and self.weights != "none" and not self.is_hypermodel

    @property
    def splits_rates(self) -> bool:
        """Whether heads and fine-tuned stages have learning rates of their own: where either may be trained alone."""
        return self.rates != "one" and self.weights != "none" and not self.is_hypermodel

    @property
    def is_mapped(self) -> bool:
        """Whether the search begins with a map: of features that mean something, where ends are searched."""
        return self.searches_ends and self.weights != "none" and not self.no_map

    @property
    def study_name(self) -> str:
        """The name that was given, or the one made from backbone and data set."""
        return self.study or usual_name(self.backbone, self.dataset, self.weights)

    @property
    def study_dir(self) -> Path:
        """The study's own folder in `out`."""
        return self.out / self.study_name


def usual_name(backbone: str, dataset: str, weights: str) -> str:
    """What a study is called that was given no name."""
    return f"{backbone}-{safe_name(dataset)}{'-scratch' if weights == 'none' else ''}"


def load_preset(name: str) -> dict[str, Any]:
    """Fields of a preset: one of `PRESETS`, or a TOML file of the user's.

    Raises:
        BadInput: it cannot be read, or names an unknown field.
    """
    try:
        values = read_preset(name)
    except ValueError as error:
        raise BadField("preset", str(error)) from error
    if unknown := sorted(set(values) - set(StudyConfig.model_fields)):
        raise BadField(
            "preset", f"{name} has the unknown field {unknown[0]}. Allowed: {', '.join(StudyConfig.model_fields)}"
        )
    return values


def make_config(values: Mapping[str, Any], preset: str = "standard") -> StudyConfig:
    """The configuration from a preset and the options that override it.

    Raises:
        BadInput: one line for the first wrong field.
    """
    return StudyConfig(**{**load_preset(preset), **values})


def restore_config(options: Mapping[str, Any] | None, study: str, places: Mapping[str, Any]) -> StudyConfig:
    """The configuration that a study was run with, from its attribute `options`; `places` override where things lie.

    Raises:
        BadInput: the study has none, or what it names is not here.
    """
    if options is None:
        raise BadInput(f"study {study} was made by an older version, which did not keep its options; run it again")
    if not isinstance(options, Mapping):
        raise BadInput(f"study {study} is damaged: its options must be an object. Received: {type(options).__name__}")
    given = {key: value for key, value in places.items() if value is not None}
    # Whether links are followed is for who reads the pictures to say, not for a database, and what comes after a search
    # needs no cluster.
    left_out = {"follow_links", "executor", *OF_A_CLUSTER}
    kept = {key: value for key, value in options.items() if key not in left_out}
    return make_config({**BEFORE, **kept, "study": study, **given})


def check_field(name: str, value: Any) -> Any:
    """One field alone, or its default for None.

    Raises:
        BadField: it is wrong.
    """
    return getattr(StudyConfig(**({} if value is None else {name: value})), name)
