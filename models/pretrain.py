"""Train a backbone from scratch on a data set and keep its weights, with a card that says what they are.

    python -m models.pretrain --backbone custom_cnn --dataset cifar10 --epochs 20 --output custom_cnn.weights.h5

Prints a line for each epoch; the card (JSON beside the weights) holds data set, split, accuracy on the test split,
seed, versions and the SHA-256 of the file. Training pictures are shifted by up to an eighth of their side and, where
a mirror image keeps its meaning, flipped. As a command this module stands above the house: it uses `datasets`.
"""

import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import hpo  # noqa: F401 (looks first whether these packages are ours)

# isort: split

import click
import numpy as np

from datasets import DataError
from datasets.augmentation import keeps_meaning_mirrored, light
from datasets.registry import check_name, inspect, open_dataset, open_test
from datasets.splits import split
from models import ModelError
from models.backbones import get_backbone, patch_of, sides_of, stages_of
from models.candidate import Candidate
from models.command import OneLineCommand
from models.own.registry import named
from models.quiet import quiet_import
from models.reuse.store import picture_store


@dataclass(frozen=True)
class Recipe:
    """What the card repeats. `resolution` None: the pictures' own side, within the backbone's limits."""

    epochs: int
    batch_size: int
    learning_rate: float
    resolution: int | None
    seed: int
    note: str


def pretrain(
    backbone_name: str,
    dataset_name: str,
    data_dir: Path | None,
    cache_dir: Path,
    output: Path,
    recipe: Recipe,
    follow_links: bool = False,
) -> float:
    """Train, test once, write weights and card; returns the test accuracy, 0 to 1."""
    with quiet_import():
        from models import build
        from models.latency.call import machine_facts
        from models.training import trainer
        from models.training.batches import Examples
        from models.training.recipe import Recipe as Steps
        from models.weights.loading import save_backbone_weights

    backbone = get_backbone(backbone_name)
    least, native = sides_of(backbone)
    facts = inspect(dataset_name, data_dir, follow_links=follow_links)
    flip = keeps_meaning_mirrored(dataset_name, facts.class_names)
    patch = patch_of(backbone)
    side = recipe.resolution or max(least, min(native, facts.height) // patch * patch)
    store = picture_store(cache_dir)
    data = open_dataset(dataset_name, data_dir, store, side, follow_links=follow_links)
    parts = split(data.labels, train_size=None, val_size=None, seed=recipe.seed, fixed_val=data.fixed_val)
    candidate = _candidate(backbone_name, stages_of(backbone, side), side, recipe.learning_rate)
    height, width, channels = data.images.shape[1:]
    network = build.build_network(
        candidate, build.Task(height, width, channels, len(facts.class_names), "none"), recipe.seed
    )
    train_set, val_set = (Examples(data.images, data.labels, rows) for rows in (parts.train, parts.val))
    steps = Steps(recipe.learning_rate, "one_cycle", recipe.epochs, recipe.batch_size, recipe.seed, candidate.dropout)
    transform = light(dataset_name, facts.class_names)
    curve = trainer.train(network, train_set, val_set, steps, _report(recipe.epochs), transform)
    images, labels = open_test(dataset_name, data_dir, store, side, follow_links=follow_links)
    _, accuracy = trainer.evaluate(network, Examples(images, labels, np.arange(len(labels))))
    card = {
        **asdict(recipe),
        "backbone": backbone_name,
        "dataset": facts.name,
        "dataset_sha256": data.digest,
        "split": f"{len(parts.train)} to train on, {len(parts.val)} to validate on (stratified, from the seed), "
        f"{len(labels)} to test on: {facts.test_split}",
        "resolution": side,
        "lr_schedule": "one_cycle",
        "augmentation": "shifted by up to an eighth of the side" + (", half of them mirrored" if flip else ""),
        "val_accuracy": round(curve[-1].val_accuracy or 0.0, 4),
        "test_accuracy": round(accuracy, 4),
        "machine": machine_facts(),
    }
    save_backbone_weights(network.base(), backbone, output, card)
    return accuracy


def _candidate(backbone: str, stages: int, side: int, learning_rate: float) -> Candidate:
    """All of the network, trained from the first epoch."""
    return Candidate(
        backbone=backbone,
        unfreeze_depth=stages,
        head_width=0,
        dropout=0.2,
        learning_rate=learning_rate,
        lr_schedule="one_cycle",
        resolution=side,
    )


def _report(epochs: int) -> Callable[[Any], None]:
    """Prints a line for each point of the learning curve."""

    def report(point: Any) -> None:
        click.echo(
            f"epoch {point.epoch}/{epochs}  loss {point.loss:.4f}  accuracy {point.accuracy:.4f}  "
            f"val_loss {point.val_loss:.4f}  val_accuracy {point.val_accuracy:.4f}"
        )

    return report


class PretrainCommand(OneLineCommand):
    """The command, with the mistakes that become one line."""

    mistakes = (ModelError, DataError)


@click.command(cls=PretrainCommand, context_settings={"show_default": True})
@click.option(
    "--backbone", default="custom_cnn", help="network to train, see hpo-run --list-backbones, or path/file.py:build"
)
@click.option("--dataset", default="cifar10", help="a name or a folder of pictures, see hpo-run --list-datasets")
@click.option(
    "--data-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="HPO_DATA_DIR",
    show_envvar=True,
    help="folder with <name>.npz files; without it Keras downloads",
)
@click.option(
    "--cache-dir",
    default="~/.cache/keras-hpo",
    envvar="HPO_CACHE_DIR",
    show_envvar=True,
    metavar="FOLDER",
    callback=lambda _ctx, _param, value: Path(value).expanduser(),
    help="folder for decoded pictures",
)
@click.option(
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="weights file to write, NAME.weights.h5; the card NAME.json is written beside it",
)
@click.option("--epochs", default=20, type=click.IntRange(1), help="passes over the training pictures")
@click.option("--batch-size", default=128, type=click.IntRange(1), help="pictures in a training step")
@click.option(
    "--learning-rate",
    default=3e-3,
    type=click.FloatRange(0, 10, min_open=True),
    help="peak rate of Adam under the one-cycle schedule",
)
@click.option(
    "--resolution",
    type=click.IntRange(1, 4096),
    help="side in pixels; default the pictures' own, within what the backbone takes",
)
@click.option("--follow-links", is_flag=True, help="follow links that lead out of a folder instead of refusing it")
@click.option("--note", default="", help="a sentence for the card, such as where the pictures come from")
@click.option("--seed", default=0, type=click.IntRange(0), help="of split, weights and order of pictures")
def command(
    backbone: str,
    dataset: str,
    data_dir: Path | None,
    cache_dir: Path,
    output: Path,
    follow_links: bool,
    **options: Any,
) -> None:
    """Train a backbone from scratch and keep its weights, with a card that says what they are."""
    backbone = named(backbone)
    get_backbone(backbone)
    check_name(dataset)
    if not output.name.endswith(".weights.h5"):
        raise click.UsageError(f"--output must end in .weights.h5. Received: {output}")
    if not output.absolute().parent.is_dir():
        raise click.UsageError(f"--output must be in a folder that exists. Received: {output}")
    try:  # now, not after the training
        with tempfile.TemporaryFile(dir=output.absolute().parent):
            pass
    except OSError as error:
        words = f"--output must be in a folder that can be written to ({error.strerror}). Received: {output}"
        raise click.UsageError(words) from error
    accuracy = pretrain(backbone, dataset, data_dir, cache_dir, output, Recipe(**options), follow_links)
    click.echo(f"test accuracy {accuracy:.4f}; weights and card: {output}")


if __name__ == "__main__":
    command()
