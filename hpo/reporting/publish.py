"""A report's figures on the study's page of the dashboard, and where the chosen model looks beside its trial."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from studies.report.blocks import Chapter

LOOKS = "saliency"  # name of the section with Grad-CAM and saliency


def publish(study: Any, chapter: "Chapter", chosen: str | None, storage: str, out: Path) -> str:
    """Put them into the study, in place of an earlier report's; returns why not, in one line, or nothing.

    The database is locked meanwhile: not while a search writes to it.

    Args:
        study: the study they are of.
        chapter: whose charts are put into it.
        chosen: label of the final model that the pictures show, None without one. A baseline is no trial of its own:
            its pictures are kept with the study.
        storage: the database, `sqlite:///FILE`.
        out: folder of results.
    """
    from studies.artifacts import attach, show
    from studies.errors import StorageError, StudyRefused
    from studies.report.blocks import Pictures
    from studies.storage import database_lock

    try:
        with database_lock(storage, study.study_name):
            show(study, {chart.name: chart.figure for _, chart in chapter.charts()})
            blocks = [block for section in chapter.sections if section.name == LOOKS for block in section.blocks]
            pictures = [picture for block in blocks if isinstance(block, Pictures) for picture in block.pictures]
            trial = int(chosen) if chosen is not None and chosen.isdecimal() else None
            with tempfile.TemporaryDirectory() as folder:
                for number, picture in enumerate(pictures, start=1):
                    path = Path(folder) / f"grad-cam-{number}.png"
                    path.write_bytes(picture.png)
                    attach(study, out, path, trial)
    except (StudyRefused, StorageError) as error:
        return f"figures in the dashboard: {error}"
    return ""
