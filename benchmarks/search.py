"""Dominated hypervolume against wall-clock time: this project and what a user would run instead.

    PYTHONPATH=. python benchmarks/search.py --data-dir DATA --moasha-python PYTHON

The same space, CIFAR-10 pictures, split, machine; mobilenet_v2_0.35 with ImageNet weights. The rivals are in
rivals.py: Optuna's TPE and NSGA-II and KerasTuner's Hyperband and BayesianOptimization on a plain Keras loop, Syne
Tune's MO-ASHA (PYTHON is one that has syne-tune; without it MO-ASHA is left out). Ours is `hpo.search.loop` with one
worker and an empty cache folder, once with its own stopping rule and once with MO-ASHA's.

Clocks start when libraries are imported and the data is open. Every method gets the same seconds on one core of its
own, as many runs beside each other as there are cores, nothing else running. A trial counts with its best accuracy when
its numbers are known, also one that was stopped early. Ours begins with five known good candidates, as it always does;
so that this is not taken for speed, TPE is run with the same five too. At the end the latency of every architecture
that anyone tried is measured once by `models.latency.call`, so all are judged by the same costs. Hypervolume is that of
(error, latency, FLOPs), each divided by the largest that occurs (error: by 0.9, which is guessing), against the point
(1, 1, 1).

Prints a table, writes search.json and search.png beside this file; runs that are in --folder already are not repeated.
"""

import json
import math
import os
import queue
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import moocore
import numpy as np

from hpo.config import make_config
from hpo.study import run_study
from hpo.terminal.display import PlainDisplay
from models.candidate import Candidate
from studies.paths import write_text
from studies.records import TrialRecord

BACKBONE, SIDE = "mobilenet_v2_0.35", 32
OURS = {"ours": "dominance", "ours-moasha": "moasha"}  # stopping rules
RIVALS = {
    "tpe": "Optuna TPE",
    "tpe-first": "Optuna TPE, our first five",
    "nsga2": "Optuna NSGA-II",
    "hyperband": "KerasTuner Hyperband",
    "bayesian": "KerasTuner Bayesian",
    "moasha": "Syne Tune MO-ASHA",
}
COLOURS = ("#000000", "#999999", "#0072B2", "#56B4E9", "#009E73", "#F0E442", "#E69F00", "#D55E00")


class Journal(PlainDisplay):
    """Writes down when each trial was told."""

    def __init__(self, path: Path):
        super().__init__()
        self.path, self.trials, self.start = path, [], 0.0

    def prepared(self, *arguments) -> None:
        super().prepared(*arguments)
        self.start = time.monotonic()

    def told(self, record: TrialRecord, records: list[TrialRecord]) -> None:
        if record.learning_curve and record.measurement and record.candidate:
            self.trials.append(
                {
                    "t": time.monotonic() - self.start,
                    "epochs": len(record.learning_curve),
                    "candidate": record.candidate.to_dict(),
                    "val_accuracy": max(point["val_accuracy"] for point in record.learning_curve),
                    "flops": record.flops,
                }
            )
            write_text(self.path, json.dumps({"trials": self.trials}))

    def note(self, text: str) -> None:
        pass


def run_ours(rule: str, path: Path, seconds: float, seed: int, sizes: dict[str, int], data_dir: Path) -> None:
    """In this process, which never imports Keras; the worker does."""
    with tempfile.TemporaryDirectory() as folder:
        values = {"storage": f"sqlite:///{folder}/s.db", "out": Path(folder), "cache_dir": Path(folder) / "cache"}
        config = make_config(
            {
                **values,
                **sizes,
                "backbone": BACKBONE,
                "dataset": "cifar10",
                "data_dir": data_dir,
                "trials": 10_000,
                "timeout": seconds,
                "seed": seed,
                "stopping": rule,
            }
        )
        run_study(config, Journal(path))


def run_on(
    core: int, python: str, method: str, path: Path, seconds: float, seed: int, sizes: dict, data_dir: Path
) -> None:
    """One run in a process of its own, pinned to a core."""
    options = [f"--{name.replace('_', '-')}={value}" for name, value in sizes.items()]
    arguments = [f"--data-dir={data_dir}", f"--seconds={seconds}", *options]
    here = Path(__file__)
    if method in OURS:
        command = [str(here), f"--only={method}", f"--only-seed={seed}", f"--only-output={path}"]
    else:
        command = [str(here.parent / "rivals.py"), method, f"--seed={seed}", f"--output={path}"]
    subprocess.run(
        [python, *command, *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),  # TensorFlow makes as many threads as it is given cores
    )


def run_all(wanted: Sequence[tuple], cores: Sequence[int]) -> None:
    """(python, method, path, seconds, seed, sizes, data_dir) each, one on every core at a time."""
    free: queue.Queue[int] = queue.Queue()
    for core in cores:
        free.put(core)

    def run(one: tuple) -> None:
        core = free.get()
        try:
            print(f"{one[1]}, seed {one[4]}, core {core}", flush=True)
            run_on(core, *one)
        finally:
            free.put(core)

    with ThreadPoolExecutor(len(cores)) as pool:
        list(pool.map(run, wanted))


def latencies(runs: Sequence[dict]) -> dict[str, float]:
    """Milliseconds of every architecture in the runs, by this project's protocol, one after the other."""
    from models.quiet import quiet_import

    with quiet_import():
        import keras

        from models.build import Task, build_network
        from models.latency.call import measure
    found: dict[str, float] = {}
    for run in runs:
        for trial in run["trials"]:
            candidate = Candidate.from_dict(trial["candidate"])
            key = candidate.architecture_key()
            if key not in found:
                keras.backend.clear_session()
                found[key] = measure(build_network(candidate, Task(SIDE, SIDE, 3, 10, "pretrained"), 0).model).median_ms
    return found


def curve(run: dict, costs: dict[str, float], scale: tuple[float, float]) -> list[tuple[float, float]]:
    """(seconds, hypervolume) after each trial that was known within the run's seconds."""
    points: list[tuple[float, float, float]] = []
    found = [(0.0, 0.0)]
    for trial in sorted(run["trials"], key=lambda trial: trial["t"]):
        if trial["t"] <= run["seconds"]:
            latency_ms = costs[Candidate.from_dict(trial["candidate"]).architecture_key()]
            points.append(((1 - trial["val_accuracy"]) / 0.9, latency_ms / scale[0], trial["flops"] / scale[1]))
            found.append((trial["t"], float(moocore.hypervolume(np.array(points), ref=[1, 1, 1]))))
    return found


def reached(steps: Sequence[tuple[float, float]], volume: float) -> float | None:
    """Seconds after which a curve is at a hypervolume; None if never."""
    return next((t for t, value in steps if value >= volume), None)


def table(curves: dict[str, list[list[tuple[float, float]]]], seconds: float) -> list[dict]:
    rows = []
    for method, steps in curves.items():
        finals = [one[-1][1] for one in steps]
        median = statistics.median(finals)
        times = [reached(one, median) for one in curves["ours"]]
        mine = statistics.median(math.inf if one is None else one for one in times)
        known = median > 0 and mine < math.inf
        rows.append(
            {
                "method": method,
                "hypervolume_median": median,
                "hypervolume": finals,
                "trials": [len(one) - 1 for one in steps],
                "theirs_after_s": statistics.median(reached(one, one[-1][1]) or 0.0 for one in steps),
                "ours_there_after_s": mine if known else None,
                "share_of_the_time_given": mine / seconds if known else None,
            }
        )
    return rows


def draw(curves: dict[str, list[list[tuple[float, float]]]], seconds: float, path: Path) -> None:
    """Median over seeds as a line, smallest to largest as a band."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axes = figure.subplots()
    grid = np.linspace(0, seconds, 400)
    for (method, steps), colour in zip(curves.items(), COLOURS, strict=False):
        values = np.array([[max(v for t, v in one if t <= now) for now in grid] for one in steps])
        axes.plot(grid, np.median(values, axis=0), color=colour, label=method, linewidth=2)
        axes.fill_between(grid, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.15, linewidth=0)
    axes.set_xlabel("seconds of wall-clock time")
    axes.set_ylabel("dominated hypervolume")
    axes.set_xlim(0, seconds)
    axes.set_ylim(0)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


@click.command()
@click.option("--data-dir", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--folder", type=click.Path(path_type=Path), default=Path("search-runs"), help="where the runs are kept")
@click.option("--moasha-python", help="a Python that has syne-tune")
@click.option("--seconds", default=120.0, show_default=True)
@click.option("--seeds", default=3, show_default=True)
@click.option("--train-size", default=1000, show_default=True)
@click.option("--val-size", default=500, show_default=True)
@click.option("--epochs", default=6, show_default=True)
@click.option("--batch-size", default=32, show_default=True)
@click.option("--only", help="one run of ours, in this process")
@click.option("--only-seed", default=0)
@click.option("--only-output", type=click.Path(path_type=Path))
def main(
    data_dir: Path,
    folder: Path,
    moasha_python: str | None,
    seconds: float,
    seeds: int,
    train_size: int,
    val_size: int,
    epochs: int,
    batch_size: int,
    only: str | None,
    only_seed: int,
    only_output: Path,
) -> None:
    sizes = {"train_size": train_size, "val_size": val_size, "epochs": epochs, "batch_size": batch_size}
    if only is not None:
        run_ours(OURS[only], only_output, seconds, only_seed, sizes, data_dir)
        return
    folder.mkdir(parents=True, exist_ok=True)
    names = {"ours": "ours", "ours-moasha": "ours, MO-ASHA's rule", **RIVALS}
    if moasha_python is None:
        del names["moasha"]
    setting = f"{train_size}-{val_size}-{epochs}-{batch_size}-{seconds:g}s"  # runs of other settings are not mixed in
    paths = {(method, seed): folder / f"{method}-{seed}-{setting}.json" for seed in range(seeds) for method in names}
    pythons = {method: moasha_python if method == "moasha" else sys.executable for method in names}
    run_all(
        [
            (pythons[method], method, path, seconds, seed, sizes, data_dir)
            for (method, seed), path in paths.items()
            if not path.exists()
        ],
        sorted(os.sched_getaffinity(0)),
    )
    runs: dict[str, list[dict]] = {title: [] for title in names.values()}
    for (method, seed), path in paths.items():
        runs[names[method]].append({**json.loads(path.read_text()), "seconds": seconds, "seed": seed})
    everything = [run for found in runs.values() for run in found]
    costs = latencies(everything)
    trials = [trial for run in everything for trial in run["trials"]]
    scale = max(costs.values()), max(trial["flops"] for trial in trials)
    curves = {title: [curve(run, costs, scale) for run in found] for title, found in runs.items()}
    rows = table(curves, seconds)
    print(
        f"after {seconds:g} s, {seeds} seeds     hypervolume (median, least - most)   "
        "trials   theirs after  ours there after"
    )
    for row in rows:
        least, most, mine = min(row["hypervolume"]), max(row["hypervolume"]), row["ours_there_after_s"]
        print(
            f"{row['method']:<24} {row['hypervolume_median']:.4f} ({least:.4f} - {most:.4f})   "
            f"{'/'.join(map(str, row['trials'])):>12}   "
            f"{row['theirs_after_s']:>6.0f} s   "
            + (f"{mine:.0f} s ({row['share_of_the_time_given']:.0%} of the time given)" if mine is not None else "-")
        )
    from models.latency.call import machine_facts

    output = Path(__file__).with_suffix(".json")
    versions = next((run["versions"] for run in everything if "versions" in run), {})
    result = {
        "sizes": sizes,
        "seconds": seconds,
        "rows": rows,
        "curves": curves,
        "machine": machine_facts(),
        "versions": versions,
    }
    output.write_text(json.dumps(result) + "\n", encoding="utf-8")
    draw(curves, seconds, output.with_suffix(".png"))


if __name__ == "__main__":
    main()
