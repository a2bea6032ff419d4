"""Files, notes and figures kept with a study, where optuna-dashboard shows them.

A finished trial can no longer be changed: Optuna refuses attributes, and with them artifacts and notes. The dashboard
also reads both from the attributes of the study, under a key with the trial's number in the database, which is how its
own pages add them later. That is what this module does.
"""

import json
import mimetypes
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.artifacts import FileSystemArtifactStore
from optuna_dashboard import save_note, save_plotly_graph_object
from optuna_dashboard._note import note_ver_key, save_note_with_version

from studies import paths


def open_store(out: Path) -> FileSystemArtifactStore:
    """The files of all studies whose results are in the folder `out`."""
    folder = paths.artifacts(out)
    folder.mkdir(parents=True, exist_ok=True)
    return FileSystemArtifactStore(base_path=folder)


def attach(study: optuna.Study, out: Path, file: Path, number: int | None = None) -> None:
    """Keep a copy of `file` with the study, or with its trial `number`, in place of an earlier one of its name.

    The caller holds the lock of the database.
    """
    store, storage = open_store(out), study._storage
    prefix = "artifacts:" if number is None else f"dashboard:artifacts:{_trial_id(study, number)}:"
    for key, kept in _attached(study, prefix).items():
        if kept["filename"] == file.name:
            store.remove(kept["artifact_id"])
            storage.set_study_system_attr(study._study_id, key, json.dumps(None))
    mimetype, encoding = mimetypes.guess_type(file.name)
    meta = {
        "artifact_id": str(uuid.uuid4()),
        "filename": file.name,
        "mimetype": mimetype or "application/octet-stream",
        "encoding": encoding,
    }
    with file.open("rb") as stream:
        store.write(meta["artifact_id"], stream)  # type: ignore[arg-type]
    storage.set_study_system_attr(study._study_id, f"{prefix}{meta['artifact_id']}", json.dumps(meta))


def attached(study: optuna.Study, number: int | None = None) -> list[str]:
    """Names of the files kept with the study, or with one of its trials."""
    prefix = "artifacts:" if number is None else f"dashboard:artifacts:{_trial_id(study, number)}:"
    return sorted(kept["filename"] for kept in _attached(study, prefix).values())


def annotate(study: optuna.Study, text: str, number: int | None = None) -> None:
    """Give the study, or its trial `number`, a note in Markdown, in place of the one it has."""
    if number is None:
        save_note(study, text)
        return
    trial_id, storage = _trial_id(study, number), study._storage
    version = storage.get_study_system_attrs(study._study_id).get(note_ver_key(trial_id), 0) + 1
    save_note_with_version(storage, study._study_id, trial_id, version, text)


def show(study: optuna.Study, figures: Mapping[str, Any]) -> None:
    """Put Plotly figures on the study's page, by a name of letters, digits, `-` and `_`; replaces those of the name."""
    for name, figure in figures.items():
        save_plotly_graph_object(study, figure, graph_object_id=name)


def _attached(study: optuna.Study, prefix: str) -> dict[str, dict[str, Any]]:
    found = {
        key: json.loads(value)
        for key, value in study._storage.get_study_system_attrs(study._study_id).items()
        if key.startswith(prefix)
    }
    return {key: kept for key, kept in found.items() if kept is not None}


def _trial_id(study: optuna.Study, number: int) -> int:
    return study._storage.get_trial_id_from_study_id_trial_number(study._study_id, number)
