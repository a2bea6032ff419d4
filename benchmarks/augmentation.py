"""What a few stored augmented views cost or gain against augmentation on-line: the same runs with none, views, on-line.

    PYTHONPATH=. python benchmarks/augmentation.py --data-dir DATA

mobilenet_v2_0.35 with ImageNet weights on CIFAR-10, 4,000 + 1,000 pictures, 64 px, 8 epochs, `light` augmentation.
On-line means the whole network on freshly changed pictures in every epoch; views are changed once, their features at
the cut stored, and one of them drawn for each picture and epoch.
Prints a row for each candidate, writes augmentation.json beside this file.
"""

import json
import statistics
from pathlib import Path

import click
import numpy as np

from datasets.augmentation import light, view
from datasets.registry import open_dataset
from datasets.splits import split
from models.candidate import Candidate
from models.quiet import quiet_import
from models.reuse.store import picture_store
from models.training.batches import Examples
from models.training.recipe import Recipe

with quiet_import():
    import keras

    from models.build import Task, build_network
    from models.latency.call import machine_facts
    from models.training.backend import forward
    from models.training.trainer import Trainer

BACKBONE, SIDE, EPOCHS, SEEDS, VIEWS = "mobilenet_v2_0.35", 64, 8, (0, 1, 2), (2, 4, 8)
CANDIDATES = (
    Candidate(
        backbone=BACKBONE,
        unfreeze_depth=0,
        head_width=256,
        dropout=0.3,
        learning_rate=1e-3,
        lr_schedule="cosine",
        resolution=SIDE,
    ),
    Candidate(
        backbone=BACKBONE,
        unfreeze_depth=1,
        head_width=0,
        dropout=0.2,
        learning_rate=3e-4,
        lr_schedule="cosine",
        resolution=SIDE,
    ),
    Candidate(
        backbone=BACKBONE,
        unfreeze_depth=2,
        head_width=0,
        dropout=0.2,
        learning_rate=3e-4,
        lr_schedule="cosine",
        resolution=SIDE,
    ),
)


def accuracies(data, parts, candidate: Candidate, seed: int) -> dict[str, float]:
    """Best val_accuracy by each way."""
    keras.backend.clear_session()
    network = build_network(candidate, Task(32, 32, 3, 10, "pretrained"), seed)
    recipe = Recipe(candidate.learning_rate, candidate.lr_schedule, EPOCHS, 32, seed, candidate.dropout)
    transform, prefix = light("cifar10"), forward(network.prefix())

    def features(batches) -> np.ndarray:
        return np.concatenate([prefix(batch).astype("float16") for batch in batches])

    def plain(rows: np.ndarray) -> np.ndarray:
        return features(data.images[rows[start : start + 500]] for start in range(0, len(rows), 500))

    def best(trainer: Trainer, train_set: Examples, val_set: Examples, **options) -> float:
        state = trainer.begin()
        trainer.run(state, train_set, val_set, recipe, **options)
        return max(point.val_accuracy for point in state.curve)

    y_train, rows = data.labels[parts.train], np.arange(len(parts.train))
    val_set = Examples(plain(parts.val), data.labels[parts.val], np.arange(len(parts.val)))
    views = tuple(features(view(data.images, parts.train, transform, n, seed)) for n in range(max(VIEWS)))
    trainer = Trainer(network, network.cut)
    found = {"none": best(trainer, Examples(plain(parts.train), y_train, rows), val_set)}
    for n in VIEWS:
        found[f"{n} views"] = best(trainer, Examples(views[:n], y_train, rows), val_set)
    pictures = [Examples(data.images, data.labels, part) for part in (parts.train, parts.val)]
    found["on-line"] = best(Trainer(network), *pictures, transform=transform)
    return found


@click.command()
@click.option("--data-dir", type=click.Path(exists=True, path_type=Path), required=True)
def main(data_dir: Path) -> None:
    data = open_dataset("cifar10", data_dir, picture_store(data_dir), None)
    parts = split(data.labels, train_size=4000, val_size=1000, seed=0)
    rows = []
    for candidate in CANDIDATES:
        found = [accuracies(data, parts, candidate, seed) for seed in SEEDS]
        rows.append({"candidate": candidate.to_dict(), "val_accuracy": found})
        means = {way: statistics.fmean(one[way] for one in found) for way in found[0]}
        what = f"top {candidate.unfreeze_depth} stages free, head {candidate.head_width}"
        print(what, "  ".join(f"{way} {mean:.4f}" for way, mean in means.items()), flush=True)
    result = {"rows": rows, "machine": machine_facts()}
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
