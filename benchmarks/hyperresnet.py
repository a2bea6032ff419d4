"""KerasTuner's HyperResNet under our study and under KerasTuner's Hyperband: hypervolume after the same seconds.

    PYTHONPATH=. python benchmarks/hyperresnet.py --data-dir DATA

CIFAR-10, 2,000 + 1,000 pictures, 8 epochs, batch 32; each method has the whole machine, one run after the other, and
its clock starts with the process. Ours is `hpo.run --hypermodel keras_tuner.applications:HyperResNet` with empty
folders; Hyperband (factor 3) is called as KerasTuner's documentation does, its pictures as ours, from 0 to 1. A trial
counts with its best accuracy when it ends. Latency (LiteRT) and FLOPs of Hyperband's networks are measured by our code
when it is done. Hypervolumes are those of volumes.py. Writes hyperresnet.json beside itself.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import ours
from jobs import Job
from volumes import AXES, volumes

from hpo.config import make_config
from hpo.worker.job import Job as TrialJob
from hpo.worker.session import current
from models.candidate import HyperCandidate
from models.flops import count
from models.own.registry import named
from studies.paths import write_text

CODE = "keras_tuner.applications:HyperResNet"
SIZES = {"dataset": "cifar10", "train_size": 2000, "val_size": 1000, "epochs": 8}
LEAST_MFLOPS = 50.0  # where the logarithmic axis begins, below all networks of the space
METHODS = ("ours", "KerasTuner Hyperband")


def hyperband(data_dir: Path, seconds: float, seed: int, begun: float, output: Path) -> None:
    """In a process of its own: trials until the time is up."""
    import keras
    import keras_tuner
    from keras_tuner.applications import HyperResNet

    config = make_config({**SIZES, "data_dir": data_dir, "seed": seed})
    data, parts = current().data(config, 32), current().split(config, 32)
    sets = [(data.images[rows] / np.float32(255), np.eye(10)[data.labels[rows]]) for rows in (parts.train, parts.val)]
    trials: list[dict[str, Any]] = []

    class TimeIsUp(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if time.time() - begun > seconds:
                raise KeyboardInterrupt

    class Journal(HyperResNet):
        def fit(self, hp: Any, model: Any, *args: Any, callbacks: Any, **options: Any) -> Any:
            history = model.fit(*args, callbacks=[*callbacks, TimeIsUp()], **options)
            best = max(history.history["val_accuracy"])
            own = {name: value for name, value in hp.values.items() if not name.startswith("tuner/")}
            trials.append({"t": round(time.time() - begun, 1), "val_accuracy": best, "candidate": own})
            write_text(output, json.dumps(trials))
            return history

    write_text(output, "[]")
    with tempfile.TemporaryDirectory() as folder:
        network = Journal(input_shape=(32, 32, 3), classes=10)
        tuner = keras_tuner.Hyperband(
            network,
            "val_accuracy",
            max_epochs=SIZES["epochs"],
            hyperband_iterations=10_000,
            seed=seed,
            directory=folder,
        )
        tuner.search(*sets[0], validation_data=sets[1], batch_size=32, verbose=0)


def run_hyperband(data_dir: Path, seconds: float, seed: int) -> list[dict[str, Any]]:
    """Its trials, with latency and FLOPs of each."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trials.json"
        words = ["--data-dir", data_dir, "--seconds", seconds, "--seed", seed, "--hyperband", path]
        subprocess.run([sys.executable, __file__, *map(str, words), "--begun", str(time.time())], check=False)
        trials = json.loads(path.read_text())
        return [trial | costs(trial["candidate"], data_dir, Path(folder)) for trial in trials]


def costs(values: dict[str, Any], data_dir: Path, folder: Path) -> dict[str, float]:
    """Latency and FLOPs of what HyperResNet builds with values."""
    name = named(CODE, hypermodel=True)
    config = make_config({**SIZES, "backbone": name, "data_dir": data_dir, "cache_dir": folder})
    candidate, here = HyperCandidate(backbone=name, values=tuple(values.items())), current()
    job = TrialJob(config, "", 0, candidate, here.facts(config), folder)
    latency = here.survey(job).latency(candidate)
    return {"ms": latency.ms, "mflops": count(here.classifier_of(job)).flops / 1e6}


@click.command()
@click.option("--data-dir", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--seconds", default=600.0, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--hyperband", "path", type=click.Path(path_type=Path), hidden=True)
@click.option("--begun", type=float, hidden=True)
def main(data_dir: Path, seconds: float, seed: int, path: Path | None, begun: float | None) -> None:
    """Both, and their hypervolumes."""
    if path is not None:
        return hyperband(data_dir, seconds, seed, begun or time.time(), path)
    runs = {"KerasTuner Hyperband": run_hyperband(data_dir, seconds, seed)}
    # `backbone` is only the name that the axes belong to
    deepest = {"conv3_depth": 8, "conv4_depth": 36}
    with tempfile.TemporaryDirectory() as folder:
        each = [costs({"version": version, **deepest}, data_dir, Path(folder)) for version in ("v1", "v2", "next")]
    most = {name: max(one[name] for one in each) for name in ("ms", "mflops")}
    job = Job("HyperResNet", "cifar10", 2000, 1000, 1, most["mflops"], most["ms"], LEAST_MFLOPS)
    limit = ["--hypermodel", CODE, "--epochs", "8", "--trials", "10000", "--timeout", str(seconds)]
    runs["ours"] = ours.run(job, limit, seed, data_dir, named=False)["trials"]
    found = {name: volumes(trials, job, seconds) for name, trials in runs.items()}
    text = json.dumps(
        {"seconds": seconds, "seed": seed, "largest": most, "runs": runs, "volumes": found} | ours.about()
    )
    write_text(Path(__file__).with_suffix(".json"), text + "\n")
    for name in METHODS:
        ended = [trial for trial in runs[name] if trial["t"] <= seconds]
        done = [trial for trial in ended if trial.get("val_accuracy") is not None]
        shown = "  ".join(f"{axes} {found[name][axes]:.3f}" for axes in AXES)
        best = max((trial["val_accuracy"] for trial in done), default=0.0)
        print(f"{name:22} {shown}  {len(ended)} trials, {len(done)} with numbers, best {best:.3f}")
    return None


if __name__ == "__main__":
    main()
