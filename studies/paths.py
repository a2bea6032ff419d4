"""Every name below the folder of results, once, and writing a file in one step.

runs/<study>/          StudyFiles; study.json says which study its trials are of
    map/               probes of every place where the network may end
    trials/            TrialFiles: what each trial leaves; checkpoints/ of those under way
    final/<model>/     tables and card of a final model; seed-<n>/ is one training run of it, RunFiles
    exports/<model>/   final models for other runtimes
    report/
runs/artifacts/        files that the dashboard shows
runs/comparison-<data set>/, runs/report-<data set>/    of several studies
runs/map-<data set>/   what `hpo.map` found
"""

import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from studies.errors import NotWritable, StudyRefused

BASELINE = "baseline"  # label of the pretrained network with all of it frozen and a linear head


def run_name(seed: int) -> str:
    """The folder of one training run of a final model, in that model's folder."""
    return f"seed-{seed}"


@dataclass(frozen=True)
class TrialFiles:
    """What a trial leaves in `folder`: its result, why it failed, and signs of life while it runs."""

    folder: Path
    number: int

    @property
    def outcome(self) -> Path:
        """Its numbers, once they are final."""
        return self.folder / f"{self.number:05d}.json"

    @property
    def error(self) -> Path:
        """The traceback of one that failed."""
        return self.folder / f"{self.number:05d}.error.txt"

    @property
    def progress(self) -> Path:
        """Signs of life, while it runs."""
        return self.folder / f"{self.number:05d}.progress"


@dataclass(frozen=True)
class RunFiles:
    """What one training run of a final model leaves in `folder`; the result is written last."""

    folder: Path

    @property
    def result(self) -> Path:
        """Its numbers; written last."""
        return self.folder / "result.json"

    @property
    def model(self) -> Path:
        """The trained model."""
        return self.folder / "model.keras"

    @property
    def predictions(self) -> Path:
        """Probabilities and labels of the test pictures."""
        return self.folder / "predictions.npz"

    @property
    def error(self) -> Path:
        """The traceback of one that failed."""
        return self.folder / "error.txt"


@dataclass(frozen=True)
class StudyFiles:
    """The files of one study, below its own `folder`."""

    folder: Path

    @property
    def lock(self) -> Path:
        """Held by whoever writes to the study."""
        return self.folder / ".lock"

    @property
    def remains(self) -> Path:
        """Which study the results of the trials are of, and its fingerprint."""
        return self.folder / "study.json"

    @property
    def worker_log(self) -> Path:
        """What the workers print and log."""
        return self.folder / "worker.log"

    @property
    def trials(self) -> Path:
        """Folder of all trials."""
        return self.folder / "trials"

    def trial(self, number: int) -> TrialFiles:
        """The files of one trial."""
        return TrialFiles(self.trials, number)

    @property
    def map(self) -> Path:
        """Folder of the probes, a file for each side while they are computed."""
        return self.folder / "map"

    @property
    def final(self) -> Path:
        """Folder of all final models."""
        return self.folder / "final"

    def model(self, label: str) -> Path:
        """The folder of a final model; `label` is a trial's number as a text, or BASELINE."""
        return self.final / label

    def run(self, label: str, seed: int) -> RunFiles:
        """The files of one training run of a final model."""
        return RunFiles(self.model(label) / run_name(seed))

    def runs(self) -> list[RunFiles]:
        """The training runs that left a result, by label and seed as their folders are named."""
        return [RunFiles(path.parent) for path in sorted(self.final.glob("*/seed-*/result.json"))]

    def exports(self, label: str) -> Path:
        """Folder of a final model's exported formats."""
        return self.folder / "exports" / name_of(label).replace(" ", "-")

    def forms(self, label: str) -> Path:
        """What a final model is worth in each exported format."""
        return self.exports(label) / "exports.json"

    @property
    def report(self) -> Path:
        """Folder of the report."""
        return self.folder / "report"


def name_of(label: str) -> str:
    """A final model as people call it: `trial 7` or `baseline`."""
    return label if label == BASELINE else f"trial {label}"


def called(label: str) -> str:
    """`trial 7` or `the baseline`, in a sentence."""
    return "the baseline" if label == BASELINE else name_of(label)


def checkpoints(trials: Path) -> Path:
    """Where trials stand that are under way; `trials` is a study's folder of them."""
    return trials / "checkpoints"


def artifacts(out: Path) -> Path:
    """Files that the dashboard shows: one folder for all studies of a database, as it wants them."""
    return out / ARTIFACTS


ARTIFACTS, OF_SEVERAL = "artifacts", ("comparison-", "report-", "map-")  # what no study may be called, or begin with


def path_part(name: str) -> str:
    """A name as a part of a path, the only way: databases may be anyone's, and a name must not lead out of a folder.

    Raises:
        StudyRefused: it is no name that this program gives.
    """
    if not re.fullmatch(r"(?!\.\.?$)[\w.+-]+", name):
        raise StudyRefused(f"the database has the name {name!r}, which cannot be that of a folder: it is not used")
    return name


def study_files(out: Path, name: str) -> StudyFiles:
    """The files of a study by its name."""
    return StudyFiles(out / path_part(name))


def comparison(out: Path, dataset: str) -> Path:
    """Folder of the comparison of studies on a data set."""
    return out / f"comparison-{path_part(dataset)}"


def map_of(out: Path, dataset: str) -> Path:
    """Folder of the maps of networks on a data set."""
    return out / f"map-{path_part(dataset)}"


def joint_report(out: Path, dataset: str) -> Path:
    """Folder of the report on several studies of a data set."""
    return out / f"report-{path_part(dataset)}"


def check_writable(*folders: Path) -> None:
    """Make the folders, before anything is computed.

    Raises:
        NotWritable: one cannot be written to.
    """
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise NotWritable(
                f"cannot write to the folder {folder}: {error.strerror}. "
                "Allowed: a folder that can be written to for --out and --cache-dir"
            ) from error


@contextmanager
def in_one_step(path: Path, mode: int = 0o666) -> Iterator[Path]:
    """A name beside `path` to write to, with its ending: a reader sees all of what is written, or what was there.

    What was written is on the disk before it takes the place of `path`; after an error it is gone. `mode` are the
    file's permissions, less what the umask takes away.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{secrets.token_hex(8)}.{path.name}")  # no name that someone could have put a link at
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, mode))
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        if error.errno and error.filename in (None, str(part)):  # a full disk does not say which file that was
            error.filename = str(path)
        raise
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str, mode: int = 0o666) -> None:
    """In one step, as UTF-8."""
    with in_one_step(path, mode) as part:
        part.write_text(text, encoding="utf-8")


def write_where_told(path: Path, text: str) -> None:
    """To a file that the user names: a link is followed; what is no file, such as a pipe, is written to as it is."""
    if is_special(path):
        with path.open("w", encoding="utf-8") as stream:
            stream.write(text)
    else:
        write_text(path.resolve(), text)


def is_special(path: Path) -> bool:
    """Whether it is there and is neither a file nor a folder: a pipe, a device."""
    return path.exists() and not path.is_file() and not path.is_dir()


def write_bytes(path: Path, content: bytes) -> None:
    """In one step."""
    with in_one_step(path) as part:
        part.write_bytes(content)


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Arrays by name as a compressed `.npz`, in one step."""
    with in_one_step(path) as part:
        np.savez_compressed(part, **arrays)  # type: ignore[arg-type]
