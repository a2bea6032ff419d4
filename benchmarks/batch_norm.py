"""Should BatchNormalization of unfrozen stages be trained, or stay in inference mode? The same runs both ways.

    PYTHONPATH=. python benchmarks/batch_norm.py --data-dir DATA

mobilenet_v2_0.35 with ImageNet weights on CIFAR-10, 4,000 + 1,000 pictures, 64 px, 8 epochs, Adam with warmup_cosine,
batch 32. Prints a row for each depth and rate, writes batch_norm.json beside this file.
"""

import json
import statistics
from pathlib import Path

import click
import numpy as np

from datasets.registry import open_dataset
from datasets.splits import split
from models.quiet import quiet_import
from models.reuse.store import picture_store

BACKBONE, RESOLUTION, EPOCHS, SEEDS = "mobilenet_v2_0.35", 64, 8, (0, 1)


def accuracy(data, parts, depth: int, rate: float, train_batch_norm: bool, seed: int) -> float:
    from models import cuts
    from models.build import Task, build_network
    from models.candidate import Candidate
    from models.training.backend import forward
    from models.training.batches import Examples
    from models.training.recipe import Recipe
    from models.training.trainer import Trainer

    candidate = Candidate(
        backbone=BACKBONE,
        unfreeze_depth=depth,
        head_width=0,
        dropout=0.2,
        learning_rate=rate,
        lr_schedule="warmup_cosine",
        resolution=RESOLUTION,
    )
    network = build_network(candidate, Task(32, 32, 3, 10, "pretrained"), seed)
    cuts.freeze(network.base(), depth, train_batch_norm=train_batch_norm)
    prefix = forward(network.prefix()) if network.cut is not None else lambda x: x
    sets = []
    for rows in (parts.train, parts.val):
        x = np.concatenate([prefix(data.images[rows[i : i + 500]]) for i in range(0, len(rows), 500)])
        sets.append(Examples(x, data.labels[rows], np.arange(len(rows))))
    trainer = Trainer(network, network.cut)
    state = trainer.begin()
    trainer.run(state, *sets, Recipe(rate, "warmup_cosine", EPOCHS, 32, seed, candidate.dropout))
    return max(point.val_accuracy for point in state.curve)


@click.command()
@click.option("--data-dir", type=click.Path(exists=True, path_type=Path), required=True)
def main(data_dir: Path) -> None:
    with quiet_import():
        from models.latency.call import machine_facts

    data = open_dataset("cifar10", data_dir, picture_store(data_dir), None)
    parts = split(data.labels, train_size=4000, val_size=1000, seed=0)
    rows = []
    print("stages free  rate    inference mode  trained   (best val_accuracy, mean of two seeds)")
    for depth in (1, 2, 5):
        for rate in (3e-4, 1e-3):
            found = {mode: [accuracy(data, parts, depth, rate, mode, seed) for seed in SEEDS] for mode in (False, True)}
            rows.append({"depth": depth, "rate": rate, "inference": found[False], "trained": found[True]})
            means = [statistics.fmean(found[mode]) for mode in (False, True)]
            print(f"{depth:<12} {rate:<7g} {means[0]:<15.4f} {means[1]:.4f}", flush=True)
    result = {"rows": rows, "machine": machine_facts()}
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
