"""A report's figures on the study's page of the dashboard, and where the models look beside their trials."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from studies.report.blocks import Chapter
    from studies.report.gallery import Gallery


def publish(study: Any, chapter: "Chapter", gallery: "Gallery", storage: str, out: Path) -> str:
    """Put them into the study, in place of an earlier report's; returns why not, in one line, or nothing.

    The database is locked meanwhile: not while a search writes to it.

    Args:
        study: the study they are of.
        chapter: whose charts are put into it.
        gallery: with the pictures of each model. A baseline is no trial of its own: its pictures are kept with the
            study.
        storage: the database, `sqlite:///FILE`.
        out: folder of results.
    """
    from studies.artifacts import attach, show
    from studies.errors import StorageError, StudyRefused
    from studies.storage import database_lock

    try:
        with database_lock(storage, study.study_name):
            show(study, {chart.name: chart.figure for _, chart in chapter.charts()})
            with tempfile.TemporaryDirectory() as folder:
                for label, pictures in gallery.models.items():
                    for number, picture in enumerate(pictures.saliency, start=1):
                        path = Path(folder) / f"grad-cam-{number}.png"
                        path.write_bytes(picture.png)
                        attach(study, out, path, int(label) if label.isdecimal() else None)
    except (StudyRefused, StorageError) as error:
        return f"figures in the dashboard: {error}"
    return ""
