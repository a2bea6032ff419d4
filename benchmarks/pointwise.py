"""Convolutions of 1x1 pixels as products of matrices while a network is trained: the time of a step, with and without.

    python benchmarks/pointwise.py [--rounds 5]

Tails of networks with ImageNet weights, batches of 32 random feature maps, on TensorFlow's CPU. Both forms are traced
once; then they take turns, 40 steps each. Printed are the medians over the rounds and their ratio.
"""

import argparse
import statistics
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

import models.training.trainer as trainer
from models.build import Task, build_network
from models.candidate import Candidate
from models.training.batches import Examples
from models.training.recipe import Recipe

TAILS = (  # backbone, side, blocks kept, stages free
    ("mobilenet_v2_0.35", 32, 12, 2),
    ("mobilenet_v2_0.35", 64, 14, 2),
    ("mobilenet_v2_0.35", 128, 0, 2),
    ("mobilenet_0.25", 96, 0, 2),
    ("custom_cnn", 32, 0, 2),
)
STEPS, BATCH = 40, 32


def prepared(backbone: str, side: int, keep: int, free: int):
    """A function that trains 40 steps."""
    candidate = Candidate(
        backbone=backbone, resolution=side, keep_blocks=keep, unfreeze_depth=free, head_width=0, dropout=0.0,
        learning_rate=1e-3, lr_schedule="constant",
    )  # fmt: skip
    network = build_network(candidate, Task(32, 32, 3, 10, "pretrained"), 0)
    start = network.cut
    one = trainer.Trainer(network, start)
    rng = np.random.default_rng(0)
    x, y = rng.random((STEPS * BATCH, *start.shape[1:]), "float32"), rng.integers(0, 10, STEPS * BATCH)
    examples, nothing = Examples(x, y, np.arange(len(x))), Examples(x, y, np.arange(0))
    recipe = Recipe(1e-3, "constant", 10_000, BATCH, 0)
    state = one.begin()

    def train() -> None:
        one.run(state, examples, nothing, recipe, len(state.curve) + 1)

    train()
    return train


def main() -> None:
    """A line for each tail."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    products = trainer.pointwise_products
    for tail in TAILS:
        with_products = prepared(*tail)
        trainer.pointwise_products = lambda model: nullcontext()
        without = prepared(*tail)
        trainer.pointwise_products = products
        seconds: dict[str, list[float]] = {"with": [], "without": []}
        for _ in range(given.rounds):
            for name, train in (("without", without), ("with", with_products)):
                begun = time.perf_counter()
                train()
                seconds[name].append(time.perf_counter() - begun)
        before, after = (1e3 * statistics.median(seconds[name]) / STEPS for name in ("without", "with"))
        backbone, side, keep, free = tail
        what = f"{backbone}, {side} px, {keep or 'all'} blocks, {free} stages free"
        print(f"{what}: {before:.1f} -> {after:.1f} ms a step, {after / before:.2f}", flush=True)


if __name__ == "__main__":
    main()
