"""`python -m hpo.predict STUDY PICTURE...`: classify pictures with a final model of a study."""

import csv
import io
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from datasets.wording import printable
from hpo.config import check_field
from hpo.errors import BadInput
from hpo.terminal.command import DONE, NO_SUCCESS, StudyCommand, check_writable, field_option, quiet_libraries
from hpo.worker.costs import write_atomically

if TYPE_CHECKING:
    from studies.finals import FinalRun


def read_pictures(paths: Sequence[Path], shape: tuple[int, int, int]) -> np.ndarray:
    """(n, height, width, channels) uint8, prepared as the data set's own were.

    Errors: BadInput naming the first that cannot be read.
    """
    from datasets.decoding import UnreadableError, decode_as

    found = np.empty((len(paths), *shape), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of damaged EXIF blocks and large pictures
        for place, path in enumerate(paths):
            try:
                found[place] = decode_as(path, shape)
            except UnreadableError as error:
                reason = error if os.path.lexists(path) else "no such file"
                raise BadInput(f"{printable(path)} cannot be read: {reason}") from error
    return found


def predict(run: "FinalRun", model_path: Path, paths: Sequence[Path], device: str, log: Path) -> np.ndarray:
    """Probabilities (n, classes). Errors: BadInput; ModelError; `hpo.evaluate.NoAnswer` if the worker fails."""
    from hpo.evaluate import NoAnswer, wait
    from hpo.final.prediction import probabilities
    from hpo.worker.pool import Workers

    height, width, channels = run.shape
    pictures = read_pictures(paths, (height, width, channels))
    with Workers(1, device, log) as workers:
        found = wait(workers.submit(probabilities, run, model_path, pictures))
    if isinstance(found, str):
        raise NoAnswer(found)
    return found


def to_csv(paths: Sequence[Path], class_names: Sequence[str], found: np.ndarray) -> str:
    """A row for each picture: its path, the class, the probability of that class, and that of each class."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["picture", "class", "probability", *(f"p({name})" for name in class_names)])
    for path, row in zip(paths, found, strict=True):
        writer.writerow([path, class_names[row.argmax()], f"{row.max():.6f}", *(f"{share:.6f}" for share in row)])
    return text.getvalue()


@click.command(cls=StudyCommand)
@click.argument("study")
@click.argument("pictures", nargs=-1, required=True, metavar="PICTURE...", type=click.Path(path_type=Path))
@click.option(
    "--model", metavar="NAME", help="trial-N or baseline  [default: the one most accurate on the test pictures]"
)
@click.option("--csv", "csv_file", metavar="FILE", type=click.Path(path_type=Path), help="write a table too")
@field_option("storage")
@field_option("out")
@field_option("device")
def main(
    study: str,
    pictures: tuple[Path, ...],
    model: str | None,
    csv_file: Path | None,
    storage: str | None,
    out: str | None,
    device: str | None,
) -> int:
    """Classify each PICTURE with a final model of STUDY, see `python -m hpo.evaluate`.

    Prints picture, class and probability. Pictures are prepared as those of the data set were: the middle square,
    scaled, EXIF orientation respected, grey where those were grey.
    """
    from hpo.evaluate import NoAnswer
    from hpo.final.prediction import folder_of, models_of, path_of, pick
    from studies.finals import name_of
    from studies.storage import load_study, storage_trouble

    quiet_libraries()
    storage, device = check_field("storage", storage), check_field("device", device)
    with storage_trouble(storage):
        loaded = load_study(storage, study)
        folder = folder_of(loaded, None if out is None else check_field("out", out))
        models = models_of(loaded, folder)
    run = pick(models, model)
    if csv_file is not None:
        if csv_file.is_dir():
            raise BadInput(f"--csv must be a file. Received the folder {csv_file}")
        check_writable(csv_file.parent)
    try:
        found = predict(run, path_of(folder, run), pictures, device, folder / "worker.log")
    except NoAnswer as error:
        click.echo(f"error: {error}", err=True)
        return NO_SUCCESS
    accuracy = next(one.accuracy for one in models if one.label == run.label)
    click.echo(f"{study}, {name_of(run.label)}: {accuracy:.4f} of the test pictures right")
    names = [printable(path) for path in pictures]
    classes = [printable(run.class_names[number]) for number in found.argmax(1)]
    widths = max(map(len, names)), max(map(len, classes))
    for name, said, share in zip(names, classes, found.max(1), strict=True):
        click.echo(f"{name:<{widths[0]}}  {said:<{widths[1]}}  {share:.4f}")
    if csv_file is not None:
        write_atomically(csv_file, to_csv(pictures, run.class_names, found))
        click.echo(f"Table in {csv_file}")
    return DONE


if __name__ == "__main__":
    main()
