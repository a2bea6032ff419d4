"""How repeatable a latency is on a busy machine: the protocol of a study beside that of Keras' compiled call.

    python benchmarks/latency.py [--processes 20] [--keras-processes 4] [--busy 4] [--output benchmarks/latency.json]

For mobilenet_v2_0.35 and resnet18, eight architectures each (32, 48, 64, 96 px; without hidden layer and with one),
each process measures all of them: trunks and heads in LiteRT, put together and made monotone as a study does it
(protocol 5), and, in processes of their own, whole networks by one compiled call (protocol 2). Meanwhile `--busy`
processes do nothing but count. Networks are converted once, before; processes of the two protocols take turns.

On a GPU, where the protocol is a call too (`models/latency/call.py`), two processes should agree within 2 %:

    KERAS_BACKEND=jax python benchmarks/latency.py --processes 0 --keras-processes 5 --busy 0

Printed for each backbone and protocol:

- spread: (p90 - p10) / median over processes, the largest of the eight and their mean;
- apart: the largest relative difference of two processes;
- tau between two processes, mean over all pairs, and between latency and FLOPs, mean over processes (Kendall);
- inclusion: of the pairs where one network contains the other (larger side, wider head, or both) the share in which it
  came out faster by more than their uncertainty;
- contradicted: of all pairs of processes and of architectures, the share in which one process calls one of the two
  faster and the other process the other one, both by more than the uncertainty;
- differ: of two processes and one architecture, the share of pairs whose numbers differ by more than the uncertainty.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

sys.path.insert(0, str(Path(__file__).parent.parent))

from hpo.worker.latency_table import LatencyTable
from models.build import Task
from models.candidate import Architecture, Candidate
from models.latency.conversion import Converter
from models.latency.deployed import measure_files
from studies.outcomes import DeployedLatency

SIDES = (32, 48, 64, 96)
# With 1,024 units mobilenet_v2_0.35 at 48 px is really slower than at 64 px without, at fewer FLOPs.
WIDTHS = {"mobilenet_v2_0.35": 256, "resnet18": 1024}
CHANNELS = {"mobilenet_v2_0.35": 1280, "resnet18": 512}
SPIN = "while True: pass"


def architectures(backbone: str) -> list[Architecture]:
    """Eight, by side and width."""
    widths = (0, WIDTHS[backbone])
    return [Architecture(backbone=backbone, resolution=side, head_width=width) for side in SIDES for width in widths]


def task(side: int) -> Task:
    """Pictures that need no resizing."""
    return Task(side, side, 3, 10, "none")


def convert(folder: Path) -> None:
    """The parts of all architectures, as files."""
    for backbone in WIDTHS:
        with Converter("litert") as converter:
            for each in architectures(backbone):
                if not each.head_width:
                    converter.network(each, task(each.resolution), folder / f"{backbone}-{each.resolution}")
            for width in (0, WIDTHS[backbone]):
                head = Architecture(backbone=backbone, resolution=32, head_width=width)
                converter.head(head, CHANNELS[backbone], 10, folder / f"{backbone}-head-{width}")


def measure_parts(folder: Path, seed: int) -> dict[str, list[list[float]]]:
    """In a process: [ms, uncertainty] of each architecture by protocol 5."""
    paths = sorted(folder.iterdir())
    times = measure_files(paths, "litert", 1, seed=seed)
    parts = {path.name: DeployedLatency(**asdict(time)) for path, time in zip(paths, times, strict=True)}
    result = {}
    for backbone, wide in WIDTHS.items():
        trunks = {side: parts[f"{backbone}-{side}"] for side in SIDES}
        heads = {width: parts[f"{backbone}-head-{width}"] for width in (0, wide)}
        table = LatencyTable.of(trunks, heads)
        latencies = [table.latency(each.resolution, each.head_width) for each in architectures(backbone)]
        result[backbone] = [[latency.ms, latency.uncertainty_ms] for latency in latencies]
    return result


def network(each: Architecture):
    """Of an architecture, in this process."""
    import keras

    from models.build import build_network

    keras.backend.clear_session()
    plain = {"unfreeze_depth": 0, "dropout": 0.0, "learning_rate": 1e-3, "lr_schedule": "constant"}
    return build_network(Candidate(**vars(each), **plain), task(each.resolution), 0).model


def measure_calls() -> dict[str, list[list[float]]]:
    """In a process: [median, uncertainty] of each architecture by protocol 2."""
    from models.latency.call import measure

    result = {}
    for backbone in WIDTHS:
        times = [measure(network(each)) for each in architectures(backbone)]
        result[backbone] = [[time.median_ms, (time.p90_ms - time.p10_ms) / 2] for time in times]
    return result


def machine_facts() -> dict:
    """Device and versions."""
    from models.device import cpu_name
    from models.latency import call
    from models.latency.runtimes import RUNTIMES

    return {"cpu": cpu_name(), **call.machine_facts(), "ai_edge_litert": RUNTIMES["litert"].version}


def count_flops() -> dict[str, list[int]]:
    """Of each architecture."""
    from models.flops import count

    return {backbone: [count(network(each)).flops for each in architectures(backbone)] for backbone in WIDTHS}


@contextmanager
def busy(number: int) -> Iterator[None]:
    """That many processes that only count."""
    processes = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(number)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def child(*words: str) -> dict:
    """What a process of this script prints last."""
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, __file__, *words], env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def summary(runs: list[list[list[float]]], flops: list[int]) -> dict[str, float]:
    """The figures of one backbone and protocol, from [process][architecture][ms, uncertainty]."""
    values = np.array(runs)
    ms, unsure = values[:, :, 0], values[:, :, 1]
    spread = (np.percentile(ms, 90, axis=0) - np.percentile(ms, 10, axis=0)) / np.median(ms, axis=0)
    pairs = list(itertools.combinations(range(len(ms)), 2))
    contained = [  # architectures lie by side, then by width: (0, w), (0, w), ...
        (small, large)
        for small, large in itertools.permutations(range(len(flops)), 2)
        if small // 2 <= large // 2 and small % 2 <= large % 2
    ]
    # [process, a, b]: whether a is called faster than b
    faster = ms[:, :, None] - ms[:, None, :] < -np.hypot(unsure[:, :, None], unsure[:, None, :])
    differ = [np.abs(ms[a] - ms[b]) > np.hypot(unsure[a], unsure[b]) for a, b in pairs]
    return {
        "spread_max": float(spread.max()),
        "spread_mean": float(spread.mean()),
        "apart": float((np.ptp(ms, axis=0) / ms.min(axis=0)).max()),
        "tau_processes": float(np.mean([kendalltau(ms[a], ms[b]).statistic for a, b in pairs])),
        "tau_flops": float(np.mean([kendalltau(run, flops).statistic for run in ms])),
        "inclusion_violated": float(np.mean([faster[:, large, small] for small, large in contained])),
        "contradicted": float(np.mean([faster[a] & faster[b].T for a, b in pairs])),
        "differ": float(np.mean(differ)),
    }


def main() -> None:
    """Convert, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=20)
    parser.add_argument("--keras-processes", type=int, default=4)
    parser.add_argument("--busy", type=int, default=4)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        kind, *words = given.child
        answer = {
            "parts": lambda: measure_parts(Path(words[0]), int(words[1])),
            "calls": measure_calls,
            "flops": count_flops,
            "machine": machine_facts,
        }
        print(json.dumps(answer[kind]()))
        return
    flops = child("--child", "flops")
    parts: list = []
    calls: list = []
    with tempfile.TemporaryDirectory() as text, busy(given.busy):
        folder = Path(text)
        if given.processes:
            convert(folder)
        while len(parts) < given.processes or len(calls) < given.keras_processes:
            if len(parts) * given.keras_processes <= len(calls) * given.processes and len(parts) < given.processes:
                parts.append(child("--child", "parts", str(folder), str(100 * len(parts))))
            else:
                calls.append(child("--child", "calls"))
    figures = {}
    for name, runs in (("LiteRT", parts), ("Keras", calls)):
        for backbone in WIDTHS if len(runs) > 1 else ():
            figures[f"{backbone}, {name}"] = {
                "processes": len(runs),
                **summary([run[backbone] for run in runs], flops[backbone]),
            }
    for name, row in figures.items():
        shown = (f"{key} {value:.3f}" for key, value in row.items() if key != "processes")
        print(f"{name:25} {row['processes']:>2} processes: {', '.join(shown)}")
    if given.output:
        about = {"date": str(date.today()), **child("--child", "machine"), "busy": given.busy}
        given.output.write_text(
            json.dumps({**about, "figures": figures, "litert": parts, "keras": calls}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
