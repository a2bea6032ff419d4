"""Files, notes and figures kept with a study, where optuna-dashboard shows them.

A finished trial can no longer be changed: Optuna refuses attributes, and with them artifacts and notes. The dashboard
also reads both from the attributes of the study, under a key with the trial's number in the database, which is how its
own pages add them later. That is what this module does. It imports the dashboard where it writes: that takes seconds.
"""

import contextlib
import json
import mimetypes
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.artifacts import FileSystemArtifactStore
from optuna.artifacts.exceptions import ArtifactNotFound

from studies import paths
from studies.optuna_private import save_notes, save_trial_note, set_system_attr, system_attrs, trial_id
from studies.records import read_study
from studies.tables.note import beginning, note


def open_store(out: Path) -> FileSystemArtifactStore:
    """The files of all studies whose results are in the folder `out`."""
    folder = paths.artifacts(out)
    folder.mkdir(parents=True, exist_ok=True)
    return FileSystemArtifactStore(base_path=folder)


def attach(study: optuna.Study, out: Path, file: Path, number: int | None = None) -> None:
    """Keep a copy of `file` with the study, or with its trial `number`, in place of an earlier one of its name.

    The earlier one goes when the new one is there; a kill in between leaves a file too many, and none too few.
    The caller holds the lock of the database.
    """
    store, prefix = open_store(out), _prefix(study, number)
    earlier = {key: meta for key, meta in _attached(study, prefix).items() if meta["filename"] == file.name}
    mimetype, encoding = mimetypes.guess_type(file.name)
    meta: dict[str, Any] = {
        "artifact_id": str(uuid.uuid4()),
        "filename": file.name,
        "mimetype": mimetype or "application/octet-stream",
        "encoding": encoding,
    }
    with file.open("rb") as stream:
        store.write(meta["artifact_id"], stream)
    set_system_attr(study, f"{prefix}{meta['artifact_id']}", json.dumps(meta))
    for key, old in earlier.items():
        set_system_attr(study, key, json.dumps(None))
        with contextlib.suppress(ArtifactNotFound):  # the folder of results was emptied or moved
            store.remove(old["artifact_id"])


def attached(study: optuna.Study, number: int | None = None) -> list[str]:
    """Names of the files kept with the study, or with one of its trials."""
    return sorted(meta["filename"] for meta in _attached(study, _prefix(study, number)).values())


def annotate(study: optuna.Study, text: str, number: int | None = None) -> None:
    """Give the study, or its trial `number`, a note in Markdown, in place of the one it has."""
    if number is None:
        from optuna_dashboard import save_note

        save_note(study, text)
    else:
        save_trial_note(study, number, text)


def annotate_trials(study: optuna.Study) -> None:
    """Give every trial that has ended a note that says what it is and how it ended; one that somebody wrote stays."""
    texts = {record.number: note(record) for record in read_study(study) if record.state.ended}
    save_notes(study, texts, lambda number, text: text.startswith(beginning(number)))


def show(study: optuna.Study, figures: Mapping[str, Any]) -> None:
    """Put Plotly figures on the study's page, by a name of letters, digits, `-` and `_`; replaces those of the name."""
    from optuna_dashboard import save_plotly_graph_object

    for name, figure in figures.items():
        save_plotly_graph_object(study, figure, graph_object_id=name)


def _prefix(study: optuna.Study, number: int | None) -> str:
    """What the keys of the artifacts of a study, or of one of its trials, begin with."""
    return "artifacts:" if number is None else f"dashboard:artifacts:{trial_id(study, number)}:"


def _attached(study: optuna.Study, prefix: str) -> dict[str, dict[str, Any]]:
    """What is known of each artifact, by key; None stands for one that was removed."""
    metas = {key: json.loads(value) for key, value in system_attrs(study).items() if key.startswith(prefix)}
    return {key: meta for key, meta in metas.items() if meta is not None}
