"""What does each part of the search contribute? The main job with everything, and with a part of it taken away.

    python benchmarks/ablation.py --data-dir DATA [--seeds 3] [--seconds 150] [--only all,"without planner"]
    python benchmarks/ablation.py --data-dir DATA --trials 20 --only all

mobilenet_v2_0.35 with ImageNet weights on CIFAR-10 (4,000 + 1,000 pictures), 4 epochs, all else as `hpo.run` has it;
every run is the command itself in a process of its own, with empty folders, one after the other. With --trials a study
ends after so many trials, else after so many seconds, counted from the command; a trial counts from when it was told.

Hypervolumes are of error and FLOPs, the latter linear from 0 to those of the largest network and logarithmic from 0.5
MFLOPs to them (a linear axis hides small networks), and of error, latency and FLOPs; errors as shares of 0.9, which is
guessing.
Also when the front had 0.60 at no more than 1.8 MFLOPs, 0.68 at no more than 4.2 and 0.71 at no more than 7.

Without the map there are no planner and no seeds from it, and without searched ends there is no map: what the map and
the ends themselves add is the difference to "without planner".

Rows that are in the file already are not run again: it can be broken off and goes on a row at a time.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import moocore
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from models.device import cpu_name
from studies.paths import write_text

ROOT = Path(__file__).parent.parent
JOB = ["--backbone", "mobilenet_v2_0.35", "--dataset", "cifar10", "--train-size", "4000", "--val-size", "1000"]
VARIANTS = {
    "all": [],
    "without planner": ["--sampler", "tpe"],
    "without map": ["--no-map"],
    "without ends": ["--keep", "full"],
    "without probes as heads": ["--head-start", "random"],
    "without stopping": ["--stopping", "none"],
    "without store": ["--cache-gib", "0"],
    "without heads together": ["--heads", "1"],
}
TARGETS = ((0.60, 1.8), (0.68, 4.2), (0.71, 7.0))  # val_accuracy at no more than so many MFLOPs
LARGEST, LARGEST_MS, LEAST = 37.9, 1.0, 0.5  # MFLOPs and ms of all of the network at 128 px, rounded; MFLOPs


def run(options: Sequence[str], seed: int, data_dir: Path, trials: int | None, seconds: float) -> dict[str, Any]:
    """One study: its trials with the second at which each was told, and the seconds of the command."""
    with tempfile.TemporaryDirectory() as folder:
        limit = ["--trials", str(trials)] if trials else ["--trials", "10000", "--timeout", str(seconds)]
        command = [sys.executable, "-m", "hpo.run", *JOB, "--epochs", "4", "--seed", str(seed), *limit, *options]
        command += ["--data-dir", str(data_dir), "--out", f"{folder}/runs", "--cache-dir", f"{folder}/cache"]
        begun = time.time()
        subprocess.run(
            [*command, "--storage", f"sqlite:///{folder}/s.db"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
        )
        whole = time.time() - begun
        return {"seconds": round(whole, 1), "trials": told(f"sqlite:///{folder}/s.db", begun)}


def told(storage: str, begun: float) -> list[dict[str, Any]]:
    """The trials of the only study of a database, in the order in which they ended."""
    import optuna

    (study,) = optuna.get_all_study_summaries(storage)
    rows = []
    for trial in optuna.load_study(study_name=study.study_name, storage=storage).get_trials(deepcopy=False):
        if trial.datetime_complete is None:
            continue
        row: dict[str, Any] = {"t": round(trial.datetime_complete.timestamp() - begun, 1), "state": trial.state.name}
        row |= {"candidate": trial.user_attrs.get("candidate"), "seconds": trial.user_attrs.get("seconds")}
        if trial.state == optuna.trial.TrialState.COMPLETE:
            row |= {"val_accuracy": trial.values[0], "ms": trial.values[1], "mflops": trial.values[2] / 1e6}
        rows.append(row)
    return sorted(rows, key=lambda row: row["t"])


def volumes(trials: Sequence[dict[str, Any]], until: float) -> dict[str, float]:
    """The hypervolumes of what was told until a second."""
    done = [row for row in trials if "val_accuracy" in row and row["t"] <= until]
    if not done:
        return {"linear": 0.0, "logarithmic": 0.0, "three": 0.0}
    error, ms, mflops = np.array([(1 - row["val_accuracy"], row["ms"], row["mflops"]) for row in done]).T
    error, flops = error / 0.9, mflops / LARGEST
    small = np.log(np.maximum(mflops, LEAST) / LEAST) / np.log(LARGEST / LEAST)
    axes = {"linear": (error, flops), "logarithmic": (error, small), "three": (error, ms / LARGEST_MS, flops)}
    return {
        name: float(moocore.hypervolume(np.column_stack(columns), ref=np.full(len(columns), 1.001)))
        for name, columns in axes.items()
    }


def reached(trials: Sequence[dict[str, Any]], accuracy: float, mflops: float) -> float | None:
    """The second at which a trial was told that is so accurate at no more FLOPs."""
    good = (r["t"] for r in trials if r.get("val_accuracy", 0) >= accuracy and r["mflops"] <= mflops)
    return min(good, default=None)


def say(row: dict[str, Any], until: float) -> None:
    """A line of a run."""
    times = [reached(row["trials"], *target) for target in TARGETS]
    print(
        f"{row['variant']}, seed {row['seed']}: {row['seconds']:.0f} s, {len(row['trials'])} trials, "
        + ", ".join(f"{name} {value:.4f}" for name, value in volumes(row["trials"], until).items())
        + "; targets after "
        + ", ".join("never" if at is None else f"{at:.0f} s" for at in times),
        flush=True,
    )


def say_median(rows: Sequence[dict[str, Any]], until: float) -> None:
    """A line of the runs of a variant: median, least and most."""
    each = [volumes(row["trials"], until) for row in rows]
    columns = {name: [found[name] for found in each] for name in each[0]}
    print(
        f"{rows[0]['variant']}, median: "
        + ", ".join(f"{k} {statistics.median(v):.4f} ({min(v):.4f} - {max(v):.4f})" for k, v in columns.items()),
        flush=True,
    )


def commit() -> str:
    """Of the code that ran, with a plus for changes that are in none."""
    done = subprocess.run(["git", "describe", "--always", "--dirty=+"], cwd=ROOT, check=True, capture_output=True)
    return done.stdout.decode().strip()


def main() -> None:
    """Run what is missing, and print all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=150.0)
    parser.add_argument("--trials", type=int)
    parser.add_argument("--only", default=",".join(VARIANTS), help=f"of {', '.join(VARIANTS)}")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".json"))
    given = parser.parse_args()
    known = json.loads(given.output.read_text()) if given.output.exists() else {"rows": []}
    budget = f"{given.trials} trials" if given.trials else f"{given.seconds:g} s"
    until = float("inf") if given.trials else given.seconds
    for name in given.only.split(","):
        runs = []
        for seed in range(given.seeds):
            key = {"variant": name, "seed": seed, "budget": budget}
            row = next((row for row in known["rows"] if key.items() <= row.items()), None)
            if row is None:
                row = key | run(VARIANTS[name], seed, given.data_dir, given.trials, given.seconds)
                known["rows"].append(row)
                row |= {"date": date.today().isoformat(), "machine": cpu_name(), "commit": commit()}
                row["versions"] = {name: version(name) for name in ("keras", "tensorflow", "optuna", "ai-edge-litert")}
                write_text(given.output, json.dumps(known) + "\n")
            say(row, until)
            runs.append(row)
        say_median(runs, until)


if __name__ == "__main__":
    main()
