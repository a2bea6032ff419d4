"""A study's fingerprint, from its configuration and what the worker found out."""

import optuna
from optuna.storages import BaseStorage

from hpo.config import StudyConfig
from hpo.search.hyperspace import AnySpace
from hpo.worker.facts import Facts
from studies.attributes import FINGERPRINT
from studies.fingerprint import Fingerprint


def fingerprint(config: StudyConfig, facts: Facts, space: AnySpace) -> Fingerprint:
    """Everything that makes the numbers of two trials comparable, and nothing else."""
    return Fingerprint(
        backbone=config.backbone,
        weights=facts.weights_digest,
        dataset=facts.dataset,
        dataset_digest=facts.dataset_digest,
        split=facts.split_digest,
        train_size=facts.n_train,
        val_size=facts.n_val,
        space=space.describe(),
        epochs=config.epochs,
        seed=config.seed,
        max_latency_ms=config.max_latency_ms,
        max_gflops=config.max_gflops,
        stopping=config.stopping,
        reduction_factor=None if config.stopping == "none" else config.reduction_factor,
        views=None if config.augment == ("none",) else config.views,
        cache_dtype=config.cache_dtype,
        head_start="probe" if config.starts_from_probe else None,
        ends=facts.ends if config.searches_ends else None,
        source=facts.source,
        decoded="network" if config.decodes_each else None,
        batch_size=config.batch_size if config.is_hypermodel else None,
        picture_side=facts.resolutions[-1] if config.is_hypermodel else None,
        **facts.machine,
    )


def as_begun(config: StudyConfig, storage: BaseStorage) -> StudyConfig:
    """The configuration with which the study of its name goes on.

    By default where the network ends is searched, heads begin with a probe, learning rates have ranges by what is
    trained, and a folder's pictures are decoded for each network; a study that was begun before that was possible goes
    on without.

    Raises:
        BadField: it has no map then, and the planner was asked for.
    """
    if config.is_hypermodel or config.study_name not in optuna.get_all_study_names(storage):
        return config
    begun = optuna.load_study(study_name=config.study_name, storage=storage).user_attrs.get(FINGERPRINT)
    if not isinstance(begun, dict) or not isinstance(begun.get("space"), dict):  # `open_study` says what is wrong
        return config
    before = {
        "keep": ("full", "keep_blocks" in begun["space"]),
        "head_start": ("random", "head_start" in begun),
        "decode": ("largest", "decoded" in begun or not config.decodes_each),
        "rates": ("one", "fine_tuning_learning_rate" in begun["space"]),
    }
    changes = {name: value for name, (value, has) in before.items() if not has and getattr(config, name) == "auto"}
    return StudyConfig(**{**config.model_dump(), **changes}) if changes else config
