"""A study's fingerprint, from its configuration and what the worker found out."""

from hpo.config import StudyConfig
from hpo.search.space import Space
from hpo.worker.facts import Facts
from studies.fingerprint import Fingerprint


def fingerprint(config: StudyConfig, facts: Facts, space: Space) -> Fingerprint:
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
        **facts.machine,
    )
