"""What a trial costs beside training and measuring, with few and with many trials in the database; and the start.

    PYTHONPATH=. python benchmarks/overhead.py --data-dir DATA

A study of custom_cnn on digits with one worker process: ten trials are run, then as many copies of them as are wanted
(with parameters drawn anew) are put into the database, and ten more are run. Overhead is the time from one result to
the next less the seconds that the worker spent on measuring and training: asking the sampler, talking to the worker,
writing outcome, attributes and state to disk, reading records, the display's front. Heads are asked for one by one
(`--heads 1`), since together they would share it. The start is the time from calling `python -m hpo.run` to the first
training step, with latencies not yet known, for custom_cnn on digits.

Then, in one process, 200 trials that share an architecture (mobilenet_v2_0.35 at 64 px, last stage free, 200 + 100
pictures, one epoch each): the seconds of a trial that are not training steps, and the memory of the process.

Prints a table, writes overhead.json and overhead.png beside this file.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np
import optuna

from hpo.config import StudyConfig, make_config
from hpo.study import run_study
from hpo.terminal.display import PlainDisplay
from models.candidate import Candidate
from studies.records import TrialRecord
from studies.storage import open_storage

SIZES, TRIALS = (10, 1_000, 10_000), 10


class Clock(PlainDisplay):
    """Remembers when each trial was told."""

    def __init__(self, trials: Path) -> None:
        super().__init__()
        self.trials = trials  # folder of outcomes
        self.times: list[tuple[float, float]] = []  # moment, seconds that the worker spent

    def prepared(self, *arguments) -> None:
        super().prepared(*arguments)
        self.times.append((time.perf_counter(), 0.0))

    def told(self, record: TrialRecord, records: list[TrialRecord]) -> None:
        super().told(record, records)
        attrs = json.loads((self.trials / f"{record.number:05d}.json").read_text())
        spent = attrs["seconds"].get("train", 0.0) + attrs["seconds"].get("measure", 0.0)
        self.times.append((time.perf_counter(), spent))

    def note(self, text: str) -> None:
        pass

    def overheads(self) -> list[float]:
        """Training and measuring taken away; what the worker prepares is left in."""
        return [now - before - spent for (before, _), (now, spent) in zip(self.times, self.times[1:], strict=False)]


def configured(folder: Path, trials: int) -> StudyConfig:
    return make_config(
        {
            "storage": f"sqlite:///{folder}/studies.db",
            "out": folder / "runs",
            "cache_dir": folder / "cache",
            "train_size": 200,
            "val_size": 100,
            "epochs": 2,
            "resolutions": "16",
            "heads": 1,
            "trials": trials,
        }
    )


def fill(config: StudyConfig, size: int) -> None:
    """Copies of the study's trials with other dropout and learning rate, up to `size` trials."""
    study = optuna.load_study(study_name=config.study_name, storage=open_storage(config.storage, write=True))
    trials = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    rng = np.random.default_rng(size)
    copies = []
    for number in range(size - len(study.trials)):
        trial = trials[number % len(trials)]
        params = trial.params | {
            "dropout": float(rng.uniform(0, 0.6)),
            "learning_rate": float(np.exp(rng.uniform(np.log(1e-5), np.log(1e-2)))),
        }
        candidate = Candidate(backbone="custom_cnn", **params)
        accuracy, latency, flops = trial.values
        copies.append(
            optuna.trial.create_trial(
                values=(accuracy * rng.uniform(0.5, 1), latency, flops),
                params=params,
                distributions=trial.distributions,
                user_attrs=trial.user_attrs | {"candidate": candidate.to_dict()},
            )
        )
    study.add_trials(copies)


def start_seconds(folder: Path) -> float:
    """From the call to the first sign of a training step."""
    arguments = ["--trials", "1", "--storage", f"sqlite:///{folder}/s.db", "--out", str(folder / "out")]
    command = [sys.executable, "-m", "hpo.run", *arguments, "--cache-dir", str(folder / "c")]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ)
    trials = folder / "out" / "custom_cnn-digits" / "trials"
    try:
        while process.poll() is None:
            for path in trials.glob("*.progress"):
                try:
                    if json.loads(path.read_text()).get("phase") == "train":
                        return time.perf_counter() - start
                except (OSError, ValueError):
                    pass  # just being replaced
            if list(trials.glob("*.json")):
                return time.perf_counter() - start
            time.sleep(0.01)
        raise click.ClickException("hpo.run ended before it trained")
    finally:
        process.kill()
        process.wait()


def same_architecture(data_dir: Path, trials: int = 200) -> dict[str, float]:
    """Median seconds beside the training steps, and resident MiB after 20 and after all trials."""
    from hpo.worker.job import Job
    from hpo.worker.session import prepare
    from hpo.worker.trial import attempt

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        values = {"backbone": "mobilenet_v2_0.35", "dataset": "cifar10", "data_dir": data_dir, "epochs": 1}
        sizes = {"train_size": 200, "val_size": 100, "cache_dir": folder}
        config = make_config(values | sizes)
        facts, memory, beside = prepare(config), [], []
        for number in range(trials):
            rate, dropout = 1e-4 * (1 + number / 50), 0.002 * number
            candidate = Candidate(
                backbone="mobilenet_v2_0.35",
                unfreeze_depth=1,
                head_width=128,
                dropout=dropout,
                learning_rate=rate,
                lr_schedule="cosine",
                resolution=64,
            )
            start = time.perf_counter()
            (outcome,) = attempt([Job(config, "id", number, candidate, facts, folder / "trials")], 1)
            beside.append(time.perf_counter() - start - outcome.seconds["train"])
            memory.append(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20)
    return {"beside_s": statistics.median(beside[1:]), "mib_after_20": memory[19], "mib_after_all": memory[-1]}


def draw(rows: list[dict], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    sizes = [row["trials_in_database"] for row in rows]
    axes.plot(sizes, [row["median_s"] for row in rows], "o-", color="#0072B2", label="median")
    axes.plot(sizes, [row["max_s"] for row in rows], "s--", color="#E69F00", label="slowest of ten")
    axes.plot([10, 1000], [0.5, 0.5], color="black", linewidth=1)
    axes.plot([10_000], [1.0], "_", color="black", markersize=18, label="to reach: below the black lines")
    axes.set_xscale("log")
    axes.set_ylim(0)
    axes.set_xlabel("trials in the database")
    axes.set_ylabel("seconds a trial beside\ntraining and measuring")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


@click.command()
@click.option("--data-dir", type=click.Path(exists=True, path_type=Path), required=True)
def main(data_dir: Path) -> None:
    from models.device import cpu_name

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run_study(configured(folder, TRIALS), PlainDisplay())
        for size in SIZES:
            fill(configured(folder, size), size)
            config = configured(folder, size + TRIALS)
            clock = Clock(config.study_dir / "trials")
            run_study(config, clock)
            found = clock.overheads()[1:]  # the first waits for the worker's own look at data and weights
            row = {"trials_in_database": size, "median_s": statistics.median(found), "max_s": max(found)}
            rows.append(row | {"all_s": found})
            print(f"{size:>6} trials: median {row['median_s']:.3f} s, slowest {row['max_s']:.3f} s", flush=True)
    starts = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as name:
            starts.append(start_seconds(Path(name)))
    print(f"start to first training step: {', '.join(f'{one:.1f}' for one in starts)} s")
    alike = same_architecture(data_dir)
    print(
        f"200 trials of one architecture: {alike['beside_s']:.3f} s beside training, "
        f"{alike['mib_after_20']:.0f} MiB after 20, {alike['mib_after_all']:.0f} MiB after 200"
    )
    output = Path(__file__).with_suffix(".json")
    versions = {"optuna": optuna.__version__, "numpy": np.__version__, "python": sys.version.split()[0]}
    result = {"rows": rows, "start_s": starts, "same_architecture": alike, "device": cpu_name(), "versions": versions}
    output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    draw(rows, output.with_suffix(".png"))


if __name__ == "__main__":
    main()
