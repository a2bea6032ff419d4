"""Which network a configuration asks for, and what has to be known of it before its numbers are believed."""

from datasets.registry import inspect
from datasets.subset import base_name
from hpo.config import StudyConfig
from models.backbones import for_pictures, has_seen


def as_built(config: StudyConfig) -> StudyConfig:
    """The configuration with the name of the network that is built for these pictures, under the same study.

    Raises:
        DataError: there is no such data, or it cannot be used.
    """
    if for_pictures(config.backbone, 3) == config.backbone:
        return config  # whatever the pictures are
    name = for_pictures(config.backbone, _channels(config))
    return config.model_copy(update={"backbone": name, "study": config.study_name})


def remarks(asked: StudyConfig, built: StudyConfig) -> list[str]:
    """What a run says of its network, a sentence each.

    Args:
        asked: as it was typed.
        built: from `as_built`.
    """
    said = []
    if built.backbone != asked.backbone:
        said.append(
            f"{asked.backbone} sees colour where pictures have it: this is {built.backbone}; "
            f"with --backbone {asked.backbone}_grey it sees their brightness alone, as published"
        )
    elif built.backbone == "lenet5_grey" and _channels(built) == 3:
        said.append(f"{built.backbone} sees the brightness of the pictures alone, not their colours")
    if has_seen(built.backbone, built.weights, base_name(built.dataset)):
        said.append(
            f"the weights of {built.backbone} were trained on training pictures of {base_name(built.dataset)}, "
            "validation pictures of this study among them, so validation accuracy looks better than it is; "
            "test pictures were not among them"
        )
    return said


def _channels(config: StudyConfig) -> int:
    return inspect(config.dataset, config.data_dir, config.skip_unreadable, config.follow_links).channels
