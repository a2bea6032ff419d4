"""Look at a data set before anything is trained on it: samples of each class, and how many pictures each has.

    python -m datasets.preview --dataset cifar10
    python -m datasets.preview --dataset FOLDER --augment strong

Writes NAME.png, for a report, and NAME.html, which needs no network, into the folder `--out`. The test split is not
read. A folder's pictures are all decoded, so what cannot be read is found here. As a command this module stands above
the house: it uses what `models` has for commands, and its store.
"""

import warnings
from pathlib import Path
from typing import Any

import hpo  # noqa: F401 (looks first whether these packages are ours)

# isort: split

import click

from datasets import DataError
from datasets.augmentation import AUGMENTATIONS
from datasets.preview.samples import to_preview
from datasets.registry import check_name, inspect, open_dataset
from models.command import OneLineCommand
from models.quiet import quiet_import
from models.reuse.store import picture_store
from studies.paths import in_one_step

MAX_SIDE = 96  # pixels that a folder's pictures are decoded to, at most


def write_preview(
    dataset: str,
    data_dir: Path | None,
    cache_dir: Path,
    out: Path,
    per_class: int,
    augment: str,
    skip_unreadable: bool,
    follow_links: bool,
) -> list[Path]:
    """Write both files and return their paths. Raises DataError."""
    from datasets.preview.figure import draw  # Matplotlib, which --help need not wait for
    from datasets.preview.page import page

    lenience = skip_unreadable, follow_links
    facts = inspect(dataset, data_dir, *lenience)
    data = open_dataset(dataset, data_dir, picture_store(cache_dir), min(MAX_SIDE, facts.height), *lenience)
    preview = to_preview(data, facts.height, per_class, augment, dataset)
    paths = [out / f"{preview.facts.name}.{suffix}" for suffix in ("png", "html")]
    try:
        out.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():  # class names in a script that Matplotlib's font lacks become boxes
            warnings.filterwarnings("ignore", message=r"(?s)Glyph .* missing from font")
            with in_one_step(paths[0]) as part:
                draw(preview).savefig(part, dpi=150)
            with in_one_step(paths[1]) as part:
                part.write_text(page(preview), encoding="utf-8", errors="replace")
    except OSError as error:
        raise DataError(f"--out {out} cannot be written: {error.strerror or error}") from error
    return paths


class PreviewCommand(OneLineCommand):
    """The command, with the mistakes that become one line."""

    mistakes = (DataError,)


@click.command(cls=PreviewCommand, context_settings={"show_default": True})
@click.option("--dataset", default="digits", help="a name or a folder of pictures, see hpo-run --list-datasets")
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
    "--out", default="previews", type=click.Path(file_okay=False, path_type=Path), help="folder for the two files"
)
@click.option("--per-class", default=8, type=click.IntRange(1, 50), help="samples of each class")
@click.option(
    "--augment",
    default="none",
    type=click.Choice(AUGMENTATIONS),
    help="also show the first sample of each class changed in this way",
)
@click.option("--skip-unreadable", is_flag=True, help="leave unreadable pictures out instead of refusing them")
@click.option("--follow-links", is_flag=True, help="follow links that lead out of the folder instead of refusing it")
def command(**options: Any) -> None:
    """Write samples of each class and the class distribution of a data set as a picture and as a page."""
    check_name(options["dataset"])
    if options["augment"] == "strong":
        with quiet_import():
            import keras  # noqa: F401
    for path in write_preview(**options):
        click.echo(path)


if __name__ == "__main__":
    command()
