"""What a user would run instead of this project: one method, one process, a limit in seconds of wall-clock time.

    PYTHONPATH=. python benchmarks/rivals.py METHOD --data-dir DATA --seconds 600 --seed 0 --output FILE.json

CIFAR-10, the space of `hpo.search.space`, a plain Keras loop (see rivals_plain.py). Methods:

- tpe, nsga2: Optuna's samplers as they come, three objectives, every trial trained to the end, because Optuna cannot
  prune with several objectives.
- tpe-first: the same with this project's first five candidates queued.
- hyperband, bayesian: KerasTuner's, which can only look for val_accuracy. Latency and FLOPs of their trials are
  measured afterwards and not charged.
- moasha: Syne Tune's MO-ASHA with its local backend (see rivals_moasha.py). It needs syne-tune, best in an environment
  of its own.

The clock starts when the process has imported its libraries and opened the data. A trial that the limit cuts does not
count. FILE.json is whole after every trial: {"method", "variant", "seed", "setup", "versions", "machine", "seconds",
"trials": [{"t": seconds when its numbers were known, "epochs", "candidate", "val_accuracy" after its best epoch so far,
"latency_ms", "flops", "train_seconds"}]}. What Hyperband promotes is a further trial with the epochs of both.
"""

import contextlib
import importlib.metadata
import os
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import optuna

from hpo.search.space import first_candidates, parameters, suggest
from models.candidate import Candidate
from models.quiet import quiet_import
from models.training.schedules import LR_SCHEDULES
from studies.objectives import DIRECTIONS

with quiet_import():
    import keras
    import keras_tuner
    import rivals_plain as plain

    from models.latency.call import machine_facts

Run = Callable[[plain.Setup, plain.Pictures, plain.Journal], None]
LIBRARIES = ("optuna", "keras-tuner", "syne-tune", "keras", "tensorflow", "numpy")


def run_optuna(sampler: optuna.samplers.BaseSampler, with_first: bool = False) -> Run:
    def run(setup: plain.Setup, pictures: plain.Pictures, journal: plain.Journal) -> None:
        space = setup.space()

        def objective(trial: optuna.Trial) -> tuple[float, float, float]:
            candidate = suggest(trial, space)
            model, logits = plain.build(candidate, setup)
            costs = plain.costs(model)
            plain.compile_for(logits, candidate, setup, len(pictures.x_train))
            history, seconds = plain.fit(logits, candidate, setup, pictures, [plain.Cut(journal)])
            accuracy = plain.best_accuracy(history)
            journal.add(candidate, setup.epochs, accuracy, seconds, costs)
            return accuracy, *costs

        study = optuna.create_study(directions=DIRECTIONS, sampler=sampler)
        for candidate in first_candidates(space) if with_first else ():
            study.enqueue_trial(parameters(candidate, space))
        study.optimize(objective)

    return run


class _Networks(keras_tuner.HyperModel):
    """The space and the plain loop in KerasTuner's words."""

    def __init__(self, setup: plain.Setup, pictures: plain.Pictures, journal: plain.Journal):
        super().__init__()
        self.setup, self.pictures, self.journal = setup, pictures, journal
        self.space = setup.space()

    def candidate(self, hp: keras_tuner.HyperParameters) -> Candidate:
        widths, dropouts, rates = (self.space.searched[name] for name in ("head_width", "dropout", "learning_rate"))
        hp.Int("unfreeze_depth", self.space.depths.low, self.space.depths.high)
        hp.Int("head_width", widths.low, widths.high, step=widths.step)
        hp.Float("dropout", dropouts.low, dropouts.high)
        hp.Float("learning_rate", rates.low, rates.high, sampling="log")
        hp.Choice("lr_schedule", list(LR_SCHEDULES))
        hp.Choice("resolution", list(self.space.resolutions))
        return self.setup.candidate(hp.values)

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        candidate = self.candidate(hp)
        _, logits = plain.build(candidate, self.setup)
        # Hyperband goes on from a trial's weights with a new optimizer, which counts its steps from 0
        first_epoch = hp.values.get("tuner/initial_epoch", 0)
        plain.compile_for(logits, candidate, self.setup, len(self.pictures.x_train), first_epoch)
        return logits

    def fit(self, hp: keras_tuner.HyperParameters, model: keras.Model, **options: Any) -> keras.callbacks.History:
        candidate = self.candidate(hp)
        callbacks = [*options.pop("callbacks"), plain.Cut(self.journal)]
        history, seconds = plain.fit(model, candidate, self.setup, self.pictures, callbacks, **options)
        epochs = options.get("epochs", self.setup.epochs)
        self.journal.add(candidate, epochs, plain.best_accuracy(history), seconds, None)
        return history


def run_keras_tuner(method: str) -> Run:
    def run(setup: plain.Setup, pictures: plain.Pictures, journal: plain.Journal) -> None:
        common = {"objective": "val_accuracy", "seed": setup.seed, "project_name": method}
        networks = _Networks(setup, pictures, journal)
        with tempfile.TemporaryDirectory() as folder:
            try:
                if method == "hyperband":
                    tuner = keras_tuner.Hyperband(
                        networks, max_epochs=setup.epochs, hyperband_iterations=10_000, directory=folder, **common
                    )
                else:
                    tuner = keras_tuner.BayesianOptimization(networks, max_trials=100_000, directory=folder, **common)
                tuner.search(verbose=0)
            finally:
                measure_afterwards(setup, journal)

    return run


def measure_afterwards(setup: plain.Setup, journal: plain.Journal) -> None:
    """Latency and FLOPs of trials that a method did not measure itself, once for each architecture."""
    known: dict[str, tuple[float, int]] = {}
    for trial in journal.result["trials"]:
        candidate = Candidate.from_dict(trial["candidate"])
        key = candidate.architecture_key()
        if key not in known:
            known[key] = plain.costs(plain.build(candidate, setup)[0])
        trial["latency_ms"], trial["flops"] = known[key]
    journal.write()


def make_run(method: str, seed: int, shipped_priority: bool) -> tuple[Run, str]:
    """What to run, and in words what it is."""
    match method:
        case "tpe":
            return run_optuna(optuna.samplers.TPESampler(seed=seed)), "Optuna TPESampler"
        case "tpe-first":
            return run_optuna(optuna.samplers.TPESampler(seed=seed), True), "Optuna TPESampler, our first five"
        case "nsga2":
            return run_optuna(optuna.samplers.NSGAIISampler(seed=seed)), "Optuna NSGAIISampler"
        case "hyperband":
            return run_keras_tuner(method), "KerasTuner Hyperband, factor 3"
        case "bayesian":
            return run_keras_tuner(method), "KerasTuner BayesianOptimization"
    try:
        import rivals_moasha as moasha
    except ModuleNotFoundError as error:
        raise click.UsageError(f"moasha needs syne-tune: pip install syne-tune==0.16.0 ({error})") from error
    priority = "its own priority" if shipped_priority else "priority repaired"
    return moasha.make_run(shipped_priority), f"Syne Tune MOASHA, local backend, one worker, {priority}"


def versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


@click.command()
@click.argument("method", type=click.Choice(["tpe", "tpe-first", "nsga2", "hyperband", "bayesian", "moasha"]))
@click.option("--data-dir", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), required=True)
@click.option("--seed", type=int, required=True)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--train-size", default=4000)
@click.option("--val-size", default=1000)
@click.option("--epochs", default=8)
@click.option("--batch-size", default=32)
@click.option("--backbone", default="mobilenet_v2_0.35")
@click.option("--shipped-priority", is_flag=True, help="moasha: take Syne Tune's priority as it is.")
def main(
    method: str,
    data_dir: Path,
    seconds: float,
    seed: int,
    output: Path,
    train_size: int,
    val_size: int,
    epochs: int,
    batch_size: int,
    backbone: str,
    shipped_priority: bool,
) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    run, variant = make_run(method, seed, shipped_priority)
    setup = plain.Setup(backbone, epochs, batch_size, seed)
    pictures = plain.open_pictures(data_dir, train_size, val_size)
    facts = {
        "method": method,
        "variant": variant,
        "seed": seed,
        "setup": {**asdict(setup), "train_size": train_size, "val_size": val_size},
        "versions": versions(),
        "machine": {**machine_facts(), "load_at_start": os.getloadavg()},
    }
    journal = plain.Journal(output, seconds, facts)
    with contextlib.suppress(plain.TimeIsUp):
        run(setup, pictures, journal)
    click.echo(f"{method}: {len(journal.result['trials'])} trials in {seconds:g} s -> {output}")


if __name__ == "__main__":
    main()
