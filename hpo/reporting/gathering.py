"""A study as comparisons want it: what the database keeps, what the evaluation left, and what its names mean."""

from pathlib import Path

import optuna

from datasets.catalogue import DATASETS
from datasets.subset import base_name
from models.backbones import GREY, has_seen
from studies.attributes import OPTIONS, STUDY_ID
from studies.comparison import Studied
from studies.finals import read_guesses, read_runs
from studies.fingerprint import fingerprint_of
from studies.paths import StudyFiles
from studies.records import read_study
from studies.report.material import to_finals

COLOURS = 3  # channels; a folder's pictures are decoded to as many


def gather(study: optuna.Study, folder: Path) -> Studied:
    """Read a study and its results.

    Args:
        study: from the database.
        folder: of its results.

    Raises:
        StudyRefused: it is of another version of this program.
    """
    files, study_id = StudyFiles(folder), study.user_attrs.get(STUDY_ID, "")
    mark, records, options = fingerprint_of(study), read_study(study), study.user_attrs.get(OPTIONS) or {}
    name = base_name(options.get("dataset", mark.dataset))
    channels = DATASETS[name].channels if name in DATASETS else COLOURS
    runs = read_runs(files, study_id)
    guesses = read_guesses(files, runs)
    weights = "none" if mark.from_scratch else options.get("weights", "pretrained")
    return Studied(
        name=study.study_name,
        fingerprint=mark,
        records=records,
        options=options,
        finals=to_finals(runs, records, {key: own.right for key, own in guesses.items()}),
        guesses=guesses,
        greyed=channels == COLOURS and mark.backbone in GREY,
        flattered=has_seen(mark.backbone, weights, name),
    )
