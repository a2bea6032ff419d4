"""What is gained and lost when architectures are measured in parts, and converted from a traced call.

    python benchmarks/latency_parts.py [--side 64]

For three backbones: the seconds that a network takes to be converted to LiteRT by the exporting call and from a traced
call, each the second time in a process, so that nothing is imported or started in it; and for some widths of the head
the latency of the whole network, measured in the same rounds as its parts, beside the one that a study makes of them
(`hpo/worker/latency_table.py`; widths that are not measured are interpolated).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from hpo.worker.latency_table import WIDTHS, LatencyTable
from models.build import Task
from models.candidate import Architecture, Candidate
from models.latency.conversion import Converter
from models.latency.deployed import measure_files
from studies.outcomes import DeployedLatency

CHANNELS = {"mobilenet_v2_0.35": 1280, "resnet18": 512, "efficientnet_b0": 1280}
COMPARED = (128, 384, 640, 1024)


def seconds_of_conversion(backbone: str, side: int) -> list[float]:
    """In a process: by the exporting call, and from a traced call."""
    import keras

    from models.build import build_network
    from models.export.runtimes import export, export_one

    def convert(traced: bool) -> float:
        keras.backend.clear_session()
        plain = {"unfreeze_depth": 0, "dropout": 0.0, "learning_rate": 1e-3, "lr_schedule": "constant"}
        candidate = Candidate(backbone=backbone, resolution=side, head_width=0, **plain)
        model = build_network(candidate, Task(side, side, 3, 10, "none"), 0).model
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            if traced:
                export_one(model, "litert", Path(folder) / "model")
            else:
                export(model, "litert", Path(folder) / "model", np.empty(0))
            return time.perf_counter() - start

    return [[convert(traced) for _ in range(2)][-1] for traced in (False, True)]


def errors(backbone: str, side: int) -> dict[int, float]:
    """By width: latency from parts over that of the whole network, less one."""
    task = Task(side, side, 3, 10, "none")
    with tempfile.TemporaryDirectory() as text, Converter("litert") as converter:
        folder = Path(text)

        def network(width: int) -> Path:
            path = folder / f"network-{width}"
            converter.network(Architecture(backbone=backbone, resolution=side, head_width=width), task, path)
            return path

        def head(width: int) -> Path:
            path = folder / f"head-{width}"
            each = Architecture(backbone=backbone, resolution=side, head_width=width)
            converter.head(each, CHANNELS[backbone], 10, path)
            return path

        paths = [network(0), *map(head, WIDTHS), *map(network, COMPARED)]
        trunk, *rest = (DeployedLatency(**vars(one)) for one in measure_files(paths, "litert"))
    heads = dict(zip(WIDTHS, rest, strict=False))
    whole = dict(zip(COMPARED, rest[len(WIDTHS) :], strict=True))
    table = LatencyTable.of({side: trunk}, heads)
    return {width: table.latency(side, width).ms / whole[width].ms - 1 for width in COMPARED}


def main() -> None:
    """Print a line for each backbone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(seconds_of_conversion(given.child, given.side)))
        return
    for backbone in CHANNELS:
        command = [sys.executable, __file__, "--child", backbone, "--side", str(given.side)]
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        exporting, traced = json.loads(done.stdout.strip().splitlines()[-1])
        print(f"{backbone}: converted by the exporting call in {exporting:.1f} s, from a traced call in {traced:.1f} s")
        shown = (f"head {width}: {100 * error:+.1f} %" for width, error in errors(backbone, given.side).items())
        print(f"{backbone}: latency from parts against the whole network: {', '.join(shown)}", flush=True)


if __name__ == "__main__":
    main()
