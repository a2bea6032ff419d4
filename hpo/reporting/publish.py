"""A report's figures on the study's page of the dashboard, and where the models look beside their trials."""

import re
import tempfile
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from studies.report.blocks import Chapter, Chart
    from studies.report.gallery import Gallery


def headed(chart: "Chart") -> "go.Figure":
    """A copy with the beginning of its caption as a title: on the study's page it has no caption."""
    import plotly.graph_objects as go

    from studies.plots.page import safe

    words = re.split(r"[.;,:] |\.$", chart.caption)[0]
    figure = go.Figure(chart.figure)
    title = {"text": "<br>".join(textwrap.wrap(safe(words), 60)), "font": {"size": 15}, "y": 0.97, "yanchor": "top"}
    return figure.update_layout(title=title, margin={"t": 60 if figure.layout.showlegend is False else 110})


def publish(study: Any, chapter: "Chapter", gallery: "Gallery", storage: str, out: Path) -> str:
    """Put them into the study, in place of an earlier report's; returns why not, in one line, or nothing.

    The database is locked meanwhile: not while a search writes to it.

    Args:
        study: the study they are of.
        chapter: whose charts are put into it.
        gallery: with the pictures of each model. A baseline is no trial of its own: its pictures are kept with the
            study.
        storage: the database.
        out: folder of results.
    """
    from studies.artifacts import annotate_trials, attach, show
    from studies.errors import StorageError, StudyRefused
    from studies.storage import database_lock

    try:
        with database_lock(storage, study.study_name):
            show(study, {chart.name: headed(chart) for _, chart in chapter.charts()})
            annotate_trials(study)
            with tempfile.TemporaryDirectory() as folder:
                for label, pictures in gallery.models.items():
                    for number, picture in enumerate(pictures.saliency, start=1):
                        path = Path(folder) / f"grad-cam-{number}.png"
                        path.write_bytes(picture.png)
                        attach(study, out, path, int(label) if label.isdecimal() else None)
    except (StudyRefused, StorageError) as error:
        return f"figures in the dashboard: {error}"
    return ""
