"""What does a worker on Ray cost beside one of this machine's own, and are the studies alike?

    PYTHONPATH=. python benchmarks/executors.py --data-dir DATA

Both executors with two workers on this machine, in turns. First a task that leaves a file of a trial's size and a
checkpoint of a megabyte and does nothing else: median seconds from submitting it to its result. Then whole studies
(digits with custom_cnn, copies of CIFAR-10 with mobilenet_v2_0.35), each with a fresh cache: trials by state, the
hypervolume of their front, seconds from the command to its end, and those from the first to the last trial, by trial.
Writes executors.json beside this file, a study at a time, and does not run again what is there already.
"""

import argparse
import itertools
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import moocore
import numpy as np

from hpo.config import make_config
from hpo.worker.executor import Executor, wait
from hpo.worker.job import Job
from hpo.worker.pool import make_workers
from hpo.worker.session import prepare
from models.candidate import Candidate
from models.device import cpu_name
from studies.paths import write_text
from studies.records import read_study
from studies.storage import load_study

EXECUTORS, WORKERS, TASKS = ("local", "ray"), 2, 60
OUTCOME, CHECKPOINT = "x" * 5_000, bytes(1_000_000)
STUDIES = {
    "digits": ["--backbone", "custom_cnn", "--dataset", "digits", "--epochs", "4"],
    "CIFAR-10": [
        "--backbone", "mobilenet_v2_0.35", "--dataset", "cifar10", "--epochs", "4", "--train-size", "2000",
        "--val-size", "1000", "--resolutions", "32,48,64",
    ],
}  # fmt: skip
CANDIDATE = Candidate(
    backbone="custom_cnn",
    resolution=16,
    unfreeze_depth=0,
    head_width=0,
    dropout=0.0,
    learning_rate=1e-3,
    lr_schedule="constant",
)


def nothing(job: Job) -> int:
    """What a trial leaves at a rung, without the trial."""
    for path, content in ((job.files.outcome, OUTCOME.encode()), (job.checkpoint_path, CHECKPOINT)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return job.number


def tasks(folder: Path) -> dict[str, float]:
    """Median seconds of a task that does nothing, by executor; asked in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in EXECUTORS}
    made: dict[str, tuple[Executor, Job]] = {}
    for name in EXECUTORS:
        config = make_config({"executor": name, "workers": WORKERS, "device": "cpu", "out": folder / name})
        workers = make_workers(config, config.study_dir / "worker.log", prepare)
        facts = wait(workers.submit(prepare, config))
        made[name] = workers, Job(config, "study", 0, CANDIDATE, facts, config.study_dir / "trials")
    for _ in range(TASKS):
        for name, (workers, job) in made.items():
            begun = time.perf_counter()
            wait(workers.submit(nothing, job))
            seconds[name].append(time.perf_counter() - begun)
    for workers, _ in made.values():
        workers.stop()
    return {name: statistics.median(each) for name, each in seconds.items()}


def study(name: str, executor: str, seed: int, trials: int, folder: Path, data_dir: Path) -> dict[str, Any]:
    """One study from its command to its end."""
    own = ["--executor", executor, "--workers", str(WORKERS), "--seed", str(seed), "--trials", str(trials)]
    places = ["--out", f"{folder}/runs", "--cache-dir", f"{folder}/cache", "--storage", f"sqlite:///{folder}/s.db"]
    command = [sys.executable, "-u", "-m", "hpo.run", "--data-dir", str(data_dir), "--device", "cpu", "--study", "one"]
    begun, told = time.perf_counter(), list[float]()
    process = subprocess.Popen([*command, *STUDIES[name], *own, *places], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if re.match(r"\[\d+/\d+\]", line):
            told.append(time.perf_counter() - begun)
    if process.wait():
        raise RuntimeError(f"the study ended with exit code {process.returncode}")
    records = read_study(load_study(f"sqlite:///{folder}/s.db", "one"))
    return {
        "study": name,
        "executor": executor,
        "seed": seed,
        "states": dict(Counter(str(record.state) for record in records if record.counts)),
        "hypervolume": hypervolume(records),
        "seconds": time.perf_counter() - begun,
        "seconds_to_first": told[0],
        "seconds_a_trial": (told[-1] - told[0]) / (len(told) - 1),
    }


def hypervolume(records: Any) -> float:
    """Of error and the logarithm of FLOPs from 0.1 to 100 MFLOPs, of the trials that have both."""
    done = [record for record in records if record.state == "complete"]
    error = np.array([1 - record.val_accuracy for record in done])
    flops = np.log10(np.array([record.flops / 1e5 for record in done])) / 3
    return float(moocore.hypervolume(np.column_stack((error, flops)), ref=(1.0, 1.0)))


def show(found: dict[str, Any]) -> None:
    """As a table of Markdown."""
    each = ", ".join(f"{name} {1000 * value:.0f} ms" for name, value in found["task_seconds"].items())
    print(f"a task that does nothing: {each}\n")
    print("| study | executor | trials | hypervolume | s | s to the first trial | s a trial |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for row in found["studies"]:
        states = ", ".join(f"{number} {state}" for state, number in sorted(row["states"].items()))
        print(
            f"| {row['study']}, seed {row['seed']} | {row['executor']} | {states} | {row['hypervolume']:.3f} | "
            f"{row['seconds']:.0f} | {row['seconds_to_first']:.0f} | {row['seconds_a_trial']:.1f} |"
        )


def main() -> None:
    """Run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    given = parser.parse_args()
    found: dict[str, Any] = json.loads(given.out.read_text()) if given.out.is_file() else {"studies": []}
    found["about"] = {"date": date.today().isoformat(), "cpu": cpu_name()}
    found["about"] |= {name: version(name) for name in ("ray", "tensorflow", "keras", "optuna")}
    if "task_seconds" not in found:
        with tempfile.TemporaryDirectory() as folder:
            found["task_seconds"] = tasks(Path(folder))
    there = {(row["seed"], row["study"], row["executor"]) for row in found["studies"]}
    for seed, name, executor in itertools.product(range(given.seeds), STUDIES, EXECUTORS):
        if (seed, name, executor) not in there:
            with tempfile.TemporaryDirectory() as folder:
                found["studies"].append(study(name, executor, seed, given.trials, Path(folder), given.data_dir))
            write_text(given.out, json.dumps(found, indent=1) + "\n")
    show(found)


if __name__ == "__main__":
    main()
