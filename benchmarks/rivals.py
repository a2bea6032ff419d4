"""What a user would run instead of this project: one method, one process, a limit in seconds of wall-clock time.

    PYTHONPATH=. python benchmarks/rivals.py METHOD --job cifar10 --data-dir DATA --seconds 300 --seed 0 \\
        --begun $(date +%s) --output FILE.json

The jobs of jobs.py, the space of `hpo.search.space`, a plain Keras loop (see rivals_plain.py). Methods:

- tpe, nsga2: Optuna's samplers as they come, three objectives, every trial trained to the end, because Optuna cannot
  prune with several objectives. The usual space: whole networks, one range of learning rates.
- tpe-ours: the same in this project's space, where networks may end behind any block.
- hyperband: KerasTuner's, which can only look for val_accuracy; the usual space.
- moasha: Syne Tune's MO-ASHA with its local backend (see rivals_moasha.py); the usual space. It needs syne-tune, best
  in an environment of its own.

The clock starts when the command was given; what the space is made of (stages, sides) is looked up at nobody's cost.
Latency is what a user measures, a call of Keras; hyperband measures none. A trial that the limit cuts does not count.
FILE.json is whole after every trial: {"method", "variant", "seed", "versions", "machine", "seconds", "trials": [{"t":
seconds when its numbers were known, "epochs", "candidate", "val_accuracy" after its best
epoch so far, "latency_ms", "flops", "train_seconds"}]}. What Hyperband promotes is a further trial with the epochs of
both.
"""

import contextlib
import importlib.metadata
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import optuna
from jobs import JOBS

from hpo.search.space import suggest
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


def run_optuna(sampler: optuna.samplers.BaseSampler) -> Run:
    def run(setup: plain.Setup, pictures: plain.Pictures, journal: plain.Journal) -> None:
        def objective(trial: optuna.Trial) -> tuple[float, float, float]:
            candidate = suggest(trial, setup.space)
            model, logits = plain.build(candidate, setup)
            costs = plain.costs(model, setup.task)
            plain.compile_for(logits, candidate, setup.config, len(pictures.x_train))
            history, seconds = plain.fit(logits, candidate, setup.config, pictures, [plain.Cut(journal)])
            accuracy = plain.best_accuracy(history)
            journal.add(candidate, setup.config.epochs, accuracy, seconds, costs)
            return accuracy, *costs

        optuna.create_study(directions=DIRECTIONS, sampler=sampler).optimize(objective)

    return run


class _Networks(keras_tuner.HyperModel):
    """The space and the plain loop in KerasTuner's words."""

    def __init__(self, setup: plain.Setup, pictures: plain.Pictures, journal: plain.Journal):
        super().__init__()
        self.setup, self.pictures, self.journal = setup, pictures, journal
        self.space = setup.space

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
        plain.compile_for(logits, candidate, self.setup.config, len(self.pictures.x_train), first_epoch)
        return logits

    def fit(self, hp: keras_tuner.HyperParameters, model: keras.Model, **options: Any) -> keras.callbacks.History:
        candidate = self.candidate(hp)
        callbacks = [*options.pop("callbacks"), plain.Cut(self.journal)]
        history, seconds = plain.fit(model, candidate, self.setup.config, self.pictures, callbacks, **options)
        epochs = options.get("epochs", self.setup.config.epochs)
        self.journal.add(candidate, epochs, plain.best_accuracy(history), seconds, None)
        return history


def run_hyperband(setup: plain.Setup, pictures: plain.Pictures, journal: plain.Journal) -> None:
    with tempfile.TemporaryDirectory() as folder:
        keras_tuner.Hyperband(
            _Networks(setup, pictures, journal),
            objective="val_accuracy",
            seed=setup.config.seed,
            max_epochs=setup.config.epochs,
            hyperband_iterations=10_000,
            directory=folder,
            project_name="hyperband",
        ).search(verbose=0)


def make_run(method: str, seed: int, shipped_priority: bool) -> tuple[Run, str]:
    """What to run, and in words what it is."""
    match method:
        case "tpe":
            return run_optuna(optuna.samplers.TPESampler(seed=seed)), "Optuna TPESampler"
        case "tpe-ours":
            return run_optuna(optuna.samplers.TPESampler(seed=seed)), "Optuna TPESampler in our space"
        case "nsga2":
            return run_optuna(optuna.samplers.NSGAIISampler(seed=seed)), "Optuna NSGAIISampler"
        case "hyperband":
            return run_hyperband, "KerasTuner Hyperband, factor 3"
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
@click.argument("method", type=click.Choice(["tpe", "tpe-ours", "nsga2", "hyperband", "moasha"]))
@click.option("--job", type=click.Choice(list(JOBS)), required=True)
@click.option("--data-dir", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), required=True)
@click.option("--seed", type=int, required=True)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--begun", type=float, required=True, help="When the clock starts, in seconds since 1970.")
@click.option("--shipped-priority", is_flag=True, help="moasha: take Syne Tune's priority as it is.")
def main(
    method: str, job: str, data_dir: Path, seconds: float, seed: int, output: Path, begun: float, shipped_priority: bool
) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    run, variant = make_run(method, seed, shipped_priority)
    looks = time.time()
    setup, pictures = plain.open_run(JOBS[job], data_dir, seed, whole=method != "tpe-ours")
    facts = {
        "method": method,
        "variant": variant,
        "seed": seed,
        "versions": versions(),
        "machine": {**machine_facts(), "load_at_start": os.getloadavg()},
    }
    journal = plain.Journal(output, seconds, begun + time.time() - looks, facts)
    with contextlib.suppress(plain.TimeIsUp):
        run(setup, pictures, journal)
    click.echo(f"{method}: {len(journal.result['trials'])} trials in {seconds:g} s -> {output}", file=sys.stderr)


if __name__ == "__main__":
    main()
