"""What tells studies apart."""

from typing import Any

from hpo.config import StudyConfig
from hpo.search.space import Space
from hpo.worker.facts import Facts


def fingerprint(config: StudyConfig, facts: Facts, space: Space) -> dict[str, Any]:
    """Everything that makes the numbers of two trials comparable; a study never mixes two of these."""
    return {
        "backbone": config.backbone,
        "weights": facts.weights_digest,
        "dataset": facts.dataset,
        "dataset_digest": facts.dataset_digest,
        "split": facts.split_digest,
        "train_size": facts.n_train,
        "val_size": facts.n_val,
        "space": space.describe(),
        "epochs": config.epochs,
        "seed": config.seed,
        "max_latency_ms": config.max_latency_ms,
        "max_gflops": config.max_gflops,
        "stopping": config.stopping,
        "reduction_factor": None if config.stopping == "none" else config.reduction_factor,
        "views": None if config.augment == ("none",) else config.views,
        "cache_dtype": config.cache_dtype,
        **facts.machine,
    }
