"""Frozen networks on many pictures: TensorFlow's inference on a CPU and LiteRT's, their times and their difference.

    python benchmarks/frozen.py [--pictures 4000] [--rounds 3]

For each network one model with the pooled features behind all of its blocks as outputs, as a map takes them, on random
pictures of 32x32 px; weights are random. Both are made ready once, the one by a trace, the other by conversion; then
they take turns. Printed are the seconds for that, medians of the seconds for the pictures, the ratio of the sums, and
the largest difference of a feature as a share of the largest feature of its place.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import keras
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from models.blocks import ends
from models.build import Task, build_base
from models.device import cores
from models.export.runtimes import converted
from models.reuse.features import BATCH
from models.reuse.frozen import CONVERTED_BATCH
from models.training.backend import forward_all

CASES = (
    ("mobilenet_v2_0.35", 32),
    ("mobilenet_v2_0.35", 48),
    ("mobilenet_v2_0.35", 64),
    ("mobilenet_v2_0.35", 128),
    ("mobilenet_v3_small", 48),
    ("mobilenet_v3_small", 96),
    ("mobilenet_0.25", 64),
    ("efficientnet_b0", 32),
    ("efficientnet_b0", 64),
    ("resnet18", 64),
    ("vgg16", 32),
)


def ready(make):
    """What it makes, and the seconds until it has done a batch."""
    begun = time.perf_counter()
    run = make()
    run(np.zeros((BATCH, 32, 32, 3), "uint8"))
    return run, time.perf_counter() - begun


def main() -> None:
    """A line for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    pictures = np.random.default_rng(0).integers(0, 256, (given.pictures, 32, 32, 3), "uint8")
    for name, side in CASES:
        base = build_base(Task(32, 32, 3, 10, "none"), name, side)
        outputs = [keras.layers.GlobalAveragePooling2D()(end.tensor) for end in ends(base)]
        network = keras.Model(base.input, outputs)
        runs = {
            "TensorFlow": ready(lambda network=network: forward_all(network)),
            "LiteRT": ready(lambda network=network: converted(network, CONVERTED_BATCH, cores())),
        }
        seconds: dict[str, list[float]] = {way: [] for way in runs}
        for _ in range(given.rounds):
            for way, (run, _) in runs.items():
                begun = time.perf_counter()
                for start in range(0, given.pictures, BATCH):
                    run(pictures[start : start + BATCH])
                seconds[way].append(time.perf_counter() - begun)
        pairs = zip(*(run(pictures[:BATCH]) for run, _ in runs.values()), strict=True)
        apart = max(np.abs(theirs - ours).max() / max(np.abs(theirs).max(), 1e-30) for theirs, ours in pairs)
        whole = {way: runs[way][1] + statistics.median(seconds[way]) for way in runs}
        text = "; ".join(f"{way} {runs[way][1]:.1f} + {statistics.median(seconds[way]):.2f} s" for way in runs)
        ratio = whole["LiteRT"] / whole["TensorFlow"]
        print(f"{name}, {side} px: {text}; {ratio:.2f}; apart {apart:.0e}", flush=True)


if __name__ == "__main__":
    main()
