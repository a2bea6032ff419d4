"""What search.py and ablation.py have searched: three jobs, with the same pictures for everyone."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Job:
    """A backbone with its usual weights and a data set.

    Attributes:
        dataset: a name of the catalogue, or a folder below the data folder.
        train, val: pictures.
        seeds: how many runs a comparison makes of it.
        most_mflops, most_ms: of the largest network that is searched, rounded up: what the axes of costs end with.
        least_mflops: where the logarithmic axis begins, below all that has been seen.
        targets: of a front: val_accuracy at no more than so many MFLOPs.
    """

    backbone: str
    dataset: str
    train: int
    val: int
    seeds: int
    most_mflops: float
    most_ms: float
    least_mflops: float
    targets: tuple[tuple[float, float], ...] = ()

    def settings(self, data_dir: Path) -> Mapping[str, Any]:
        """As fields of a study's configuration."""
        folder = data_dir / self.dataset
        return {
            "backbone": self.backbone,
            "dataset": str(folder) if folder.is_dir() else self.dataset,
            "train_size": self.train,
            "val_size": self.val,
            "data_dir": data_dir,
        }


JOBS = {
    "cifar10": Job(
        "mobilenet_v2_0.35", "cifar10", 4000, 1000, 3, 37.9, 1.0, 0.5, ((0.60, 1.8), (0.68, 4.2), (0.71, 7.0))
    ),
    "cats": Job("mobilenet_0.25", "cats_vs_dogs", 1600, 400, 3, 83.0, 2.0, 0.5),
    "fashion": Job("custom_cnn", "fashion_mnist", 10_000, 2000, 1, 40.0, 1.0, 0.1),
}
