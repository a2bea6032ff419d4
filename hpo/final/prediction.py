"""Final models as an evaluation left them: which there are, and what they say of pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hpo.config import StudyConfig, check_field
from hpo.errors import BadInput
from models import ModelError
from studies.attributes import OPTIONS, STUDY_ID
from studies.finals import BASELINE, FinalModel, FinalRun, name_of, read_runs, summarise


def folder_of(study: Any, out: Path | None) -> Path:
    """The folder of a study's results: in `out`, or where the study was run to put it."""
    kept = (study.user_attrs.get(OPTIONS) or {}).get("out", StudyConfig.model_fields["out"].default)
    return (check_field("out", kept) if out is None else out) / study.study_name


def models_of(study: Any, folder: Path) -> list[FinalModel]:
    """The evaluated models of a study, best first. Errors: BadInput if there are none."""
    search = {str(trial.number): trial.values[0] if trial.values else None for trial in study.trials}
    models = summarise(read_runs(folder / "final", study.user_attrs[STUDY_ID]), search)
    if not models:
        raise BadInput(
            f"study {study.study_name} has no final models in {folder / 'final'}; "
            f"first: python -m hpo.evaluate {study.study_name}"
        )
    return models


def pick(models: Sequence[FinalModel], name: str | None) -> FinalRun:
    """The first run of the model called `7`, `trial-7` or `baseline`; of the most accurate one without a name.

    Errors: BadInput naming those that there are.
    """
    if name is None:
        return models[0].runs[0]
    label = name.removeprefix("trial-")
    for model in models:
        if model.label == label and (name == label or label != BASELINE):
            return model.runs[0]
    there = ", ".join(name_of(model.label).replace(" ", "-") for model in models)
    raise BadInput(f"--model must be one of those evaluated ({there}). Received: {name}")


def path_of(folder: Path, run: FinalRun) -> Path:
    """The model file of a run, in a study's folder."""
    return folder / "final" / run.label / f"seed-{run.seed}" / "model.keras"


def probabilities(run: FinalRun, path: Path, pictures: np.ndarray) -> np.ndarray | str:
    """In a worker: (n, classes) for pictures (n, h, w, c) uint8; what went wrong, if it is not the user's mistake.

    Errors: ModelError if the file is damaged.
    """
    from hpo.final.training import classify
    from hpo.worker.trial import explain
    from models.export.keras_file import restore
    from models.training.backend import forward

    try:
        return classify(forward(restore(run.candidate, run.shape, len(run.class_names), path)), pictures)
    except ModelError:
        raise
    except Exception as error:  # of the backend: it must not reach the parent
        return explain(error)[1]
