"""The configuration of a study: every option once, with its unit, default and check at the door.

The command line, the presets and the README's table are all made from the fields of `StudyConfig`.
"""

import importlib.util
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, field_validator, model_validator

import studies.presets
from datasets.registry import check_name, safe_name
from hpo.errors import BadInput
from models.backbones import get_backbone
from models.candidate import DIMENSIONS
from models.dimension import Searched
from studies.url import database_path

PRESETS_DIR = Path(studies.presets.__file__).parent
PRESETS = ("quick", "standard", "thorough")
SAMPLERS = ("tpe", "nsga2", "nsga3", "random", "gp")
OPTIONAL = tuple(name for name, one in DIMENSIONS.items() if one.searched == Searched.ON_REQUEST)
if TYPE_CHECKING:
    Requested = str
    Augmentation = str
    Strategy = str
else:
    Requested = Literal[OPTIONAL]
    Augmentation, Strategy = (Literal[DIMENSIONS[name].values] for name in ("augmentation", "strategy"))


def _explained(name: str) -> list[str]:
    """The choices of a dimension, each with what it means."""
    one = DIMENSIONS[name]
    assert isinstance(one.values, tuple)
    return [f"{choice} ({one.meanings[choice]})" if choice in one.meanings else choice for choice in one.values]


def _side_list(value: object) -> object:
    """`32,64,96` from the command line; a list from a preset."""
    if isinstance(value, str):
        parts = [part.strip() for part in value.split(",") if part.strip()]
        if not parts or not all(part.isdecimal() for part in parts):
            raise ValueError("must be sides in pixels separated by commas, such as 32,64,96")
        return tuple(int(part) for part in parts)
    return value


def _name_list(value: object) -> object:
    """`none,light` from the command line; a list from a preset."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    return tuple(dict.fromkeys(value)) if isinstance(value, (list, tuple)) else value


class StudyConfig(BaseModel, frozen=True, extra="forbid"):
    """What the user decides. Errors: BadInput from `make_config`, one line for the first wrong field."""

    backbone: str = Field(
        "custom_cnn",
        description="network to start from, see --list-backbones; several separated by commas: a study for each, then "
        "their comparison",
    )
    dataset: str = Field(
        "digits",
        description="a name (see --list-datasets) or a folder of pictures, "
        "FOLDER/<class>/* or FOLDER/{train,val,test}/<class>/*; NAME:class,class takes some of its classes",
    )
    data_dir: Path | None = Field(
        None,
        description="folder with <name>.npz files; without it Keras downloads",
        json_schema_extra={"env": "HPO_DATA_DIR"},
    )
    skip_unreadable: bool = Field(
        False, description="leave unreadable pictures out, with a count, instead of refusing the folder"
    )
    weights: str = Field(
        "pretrained",
        description="pretrained, none (train the whole network from scratch), or a "
        ".h5 file of the backbone without its top",
    )
    trials: int = Field(
        20,
        ge=1,
        le=100_000,
        description="trials that the study has in the end, stopped ones included; the same command again continues",
    )
    timeout: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="seconds after which no new trial starts; default no limit"
    )
    epochs: int = Field(8, ge=1, le=10_000, description="passes over the training pictures in each trial")
    batch_size: int = Field(
        DIMENSIONS["batch_size"].default, ge=1, le=65_536, description="pictures in a training step"
    )
    train_size: int | None = Field(
        None, ge=1, description="pictures to train on, a stratified subset; default all but the validation split"
    )
    val_size: int | None = Field(
        None,
        ge=1,
        description="pictures to validate on; default a fifth of those that are not test pictures, at most 10000",
    )
    resolutions: Annotated[tuple[int, ...] | None, BeforeValidator(_side_list)] = Field(
        None,
        description="sides in pixels to search, separated by commas; default those that backbone and data make "
        "sense of",
    )
    max_latency_ms: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="budget: milliseconds for one picture; slower candidates are not trained; default no limit",
    )
    max_gflops: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="budget: GFLOPs (2 per "
        "multiply-accumulate) for one picture; costlier candidates are not trained; "
        "default no limit",
    )
    stopping: Literal["dominance", "moasha", "none"] = Field(
        "dominance",
        description="rule by which hopeless trials end early: dominance (compares a trial only with those no slower "
        "and no costlier), moasha (Schmucker et al. 2021), or none",
    )
    reduction_factor: int = Field(
        2,
        ge=2,
        le=100,
        description="rungs are this factor apart in epochs, from the second on, and the best one in so many goes on",
    )
    heads: int = Field(
        4,
        ge=1,
        le=64,
        description="candidates asked for at once when one trains only its head; they are trained together",
    )
    augment: Annotated[tuple[Augmentation, ...], BeforeValidator(_name_list)] = Field(
        (DIMENSIONS["augmentation"].default,),
        min_length=1,
        description=f"how training pictures are changed: {', '.join(_explained('augmentation'))}; several separated "
        f"by commas are searched; default `{DIMENSIONS['augmentation'].default}`",
    )
    views: int = Field(
        4,
        ge=1,
        le=64,
        description="with augmentation: changed views of each picture that are stored where features are stored",
    )
    strategy: Annotated[tuple[Strategy, ...], BeforeValidator(_name_list)] = Field(
        (DIMENSIONS["strategy"].default,),
        min_length=1,
        description=f"{' or '.join(_explained('strategy'))}; both separated by a comma are searched; "
        f"default `{DIMENSIONS['strategy'].default}`",
    )
    search: Annotated[tuple[Requested, ...], BeforeValidator(_name_list)] = Field(
        (), description=f"further dimensions to search, separated by commas: {', '.join(OPTIONAL)}; default none"
    )
    sampler: Literal["tpe", "nsga2", "nsga3", "random", "gp"] = Field(
        "tpe", description="how candidates are proposed; gp needs torch"
    )
    seed: int = Field(0, ge=0, le=2**32 - 1, description="of split, sampler, initial weights and order of pictures")
    study: str | None = Field(
        None, description="name of the study; default <backbone>-<dataset>, with -scratch at the end for --weights none"
    )
    storage: str = Field(
        "sqlite:///studies.db", description="database of all studies", json_schema_extra={"env": "HPO_STORAGE"}
    )
    out: Path = Field(Path("runs"), description="folder for results; each study has its own inside")
    cache_dir: Path = Field(
        Path("~/.cache/keras-hpo"),
        validate_default=True,
        description="folder for stored features, decoded pictures and measured latencies, shared by all studies",
        json_schema_extra={"env": "HPO_CACHE_DIR"},
    )
    cache_gib: float = Field(
        10,
        ge=0,
        le=1e6,
        allow_inf_nan=False,
        description="GiB for stored features, least recently used go first; 0 stores none",
    )
    cache_dtype: Literal["float16", "float32"] = Field("float16", description="in which features are stored")
    workers: int = Field(1, ge=0, le=64, description="worker processes; 0 runs in this process, for debugging")
    device: str = Field("auto", description="auto, cpu, gpu or gpu:N")
    stall_timeout: float = Field(
        600, gt=0, allow_inf_nan=False, description="seconds without a sign of life after which a trial is given up"
    )

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
        return value

    @field_validator("storage")
    @classmethod
    def _sqlite(cls, value: str) -> str:
        database_path(value)
        return value

    @field_validator("device")
    @classmethod
    def _known_device(cls, value: str) -> str:
        if not re.fullmatch(r"auto|cpu|gpu(:\d{1,3})?", value):
            raise ValueError("must be auto, cpu, gpu or gpu:N with N the number of the GPU")
        return value

    @model_validator(mode="after")
    def _sensible_resolutions(self) -> "StudyConfig":
        least = get_backbone(self.backbone).min_resolution
        for side in self.resolutions or ():
            if not least <= side <= 4096:
                raise BadInput(
                    f"--resolutions must be from {least} (smallest for {self.backbone}) to 4096 px. "
                    f"Received: {','.join(map(str, self.resolutions or ()))}"
                )
        if self.resolutions is not None:
            object.__setattr__(self, "resolutions", tuple(sorted(set(self.resolutions))))
        return self

    @model_validator(mode="after")
    def _nothing_to_unfreeze(self) -> "StudyConfig":
        if self.weights == "none" and "progressive" in self.strategy:
            raise BadInput(
                "--strategy must be plain where --weights is none: every block is trained. Received: "
                f"{','.join(self.strategy)}"
            )
        return self

    @property
    def study_name(self) -> str:
        scratch = "-scratch" if self.weights == "none" else ""
        return self.study or f"{self.backbone}-{safe_name(self.dataset)}{scratch}"

    @property
    def study_dir(self) -> Path:
        return self.out / self.study_name


def load_preset(name: str) -> dict[str, Any]:
    """Fields of a preset: one of `PRESETS`, or a TOML file of the user's. Errors: BadInput."""
    path = PRESETS_DIR / f"{name}.toml" if name in PRESETS else Path(name)
    if not path.is_file():
        raise BadInput(f"--preset must be {', '.join(PRESETS)}, or a TOML file. Received: {name}")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise BadInput(f"--preset {name} cannot be read: {error}") from error
    values = {key.replace("-", "_"): value for key, value in values.items()}
    if unknown := sorted(set(values) - set(StudyConfig.model_fields)):
        raise BadInput(
            f"--preset {name} has the unknown field {unknown[0]}. Allowed: {', '.join(StudyConfig.model_fields)}"
        )
    return values


def make_config(values: Mapping[str, Any], preset: str = "standard") -> StudyConfig:
    """The configuration from a preset and the options that override it. Errors: BadInput, one line."""
    try:
        return StudyConfig(**{**load_preset(preset), **values})
    except ValidationError as error:
        raise BadInput(_one_line(error.errors()[0])) from error


def restore_config(options: Mapping[str, Any] | None, study: str, places: Mapping[str, Any]) -> StudyConfig:
    """The configuration that a study was run with, from its attribute `options`; `places` override where things lie.

    Errors: BadInput if the study has none, or what it names is not here.
    """
    if options is None:
        raise BadInput(f"study {study} was made by an older version, which did not keep its options; run it again")
    return make_config(
        {**options, "study": study, **{key: value for key, value in places.items() if value is not None}}
    )


def check_field(name: str, value: Any) -> Any:
    """One field alone, or its default for None: for the other commands. Errors: BadInput, one line."""
    return getattr(make_config({} if value is None else {name: value}), name)


def _one_line(error: Any) -> str:
    field = "--" + str(error["loc"][0]).replace("_", "-") if error["loc"] else ""
    limits = error.get("ctx", {})
    said = {
        "greater_than_equal": "must be at least {ge}",
        "less_than_equal": "must be at most {le}",
        "greater_than": "must be above {gt}",
        "int_parsing": "must be an integer",
        "int_type": "must be an integer",
        "int_from_float": "must be an integer",
        "int_parsing_size": "must be an integer of sensible size",
        "float_parsing": "must be a number",
        "float_type": "must be a number",
        "finite_number": "must be finite",
        "literal_error": "must be one of {expected}",
        "string_type": "must be a text",
        "too_short": "must name at least one",
        "bool_parsing": "must be true or false",
        "bool_type": "must be true or false",
    }.get(error["type"])
    text = said.format(**limits) if said else str(limits.get("error") or error["msg"])
    if "Received" not in text:
        text = f"{text}. Received: {str(error['input'])[:200]}"
    return text if text.startswith("--") else f"{field} {text}"
