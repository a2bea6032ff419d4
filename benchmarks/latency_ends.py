"""How far interpolated latencies are from measured ones, for networks that end behind any of their blocks.

    python benchmarks/latency_ends.py

For each network all places of a map (at most 24) are converted at once and measured in the same rounds, at most twelve;
then all but every third are interpolated from the others as a map does it. Printed are the errors of all places, which
are 0 for those that were not interpolated, and the largest.
"""

import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from hpo.worker.facts import places
from hpo.worker.latency_table import between, landmarks
from models import flops
from models.backbones import blocks_of
from models.build import Task, build_network
from models.candidate import Candidate
from models.latency.conversion import Converter
from models.latency.deployed import measure_files
from studies.outcomes import DeployedLatency

CASES = (
    ("mobilenet_v2_0.35", 64),
    ("mobilenet_v2_0.35", 128),
    ("mobilenet_0.25", 96),
    ("resnet18", 64),
    ("efficientnet_b0", 96),
    ("densenet121", 64),
    ("vgg16", 32),
    ("mobilenet_v3_small", 64),
)
TASK = Task(32, 32, 3, 10, "none")


def main() -> None:
    """A line for each network."""
    for name, side in CASES:
        whole = Candidate(
            backbone=name, resolution=side, head_width=0, unfreeze_depth=0, dropout=0.0, learning_rate=1e-3,
            lr_schedule="constant",
        )  # fmt: skip
        blocks = blocks_of(name)
        candidates = [replace(whole, keep_blocks=kept % blocks) for kept in places(blocks)]
        costs = [flops.count(build_network(each, TASK, 0).model).flops for each in candidates]
        with Converter("litert") as converter, tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / str(number) for number in range(len(candidates))]
            converter.ends([each.architecture for each in candidates], TASK, paths)
            measured = [DeployedLatency(**asdict(one)) for one in measure_files(paths, "litert", most_rounds=12)]
        known = {costs[number]: measured[number] for number in landmarks(len(candidates))}
        errors = [found.ms / one.ms - 1 for found, one in zip(between(known, costs), measured, strict=True)]
        text = " ".join(f"{100 * error:+.1f}" for error in errors)
        print(f"{name}, {side} px: {100 * max(map(abs, errors)):.1f} % ({text})", flush=True)


if __name__ == "__main__":
    main()
