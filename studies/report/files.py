"""The parts of a report as files: tables as Markdown, LaTeX and CSV, figures as PNG, SVG and PDF."""

import logging
import os
import shutil
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from studies.report.blocks import Chart, Report

FORMATS = ("png", "svg", "pdf")
WIDTH = 760  # pixels of a figure on paper; PNG has twice as many
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def table_texts(report: Report) -> dict[str, str]:
    """File name to text."""
    texts: dict[str, str] = {}
    for chapter in report.chapters:
        for stem, table in chapter.tables():
            texts |= {
                f"{stem}.md": table.to_markdown(),
                f"{stem}.tex": table.to_latex(stem),
                f"{stem}.csv": table.to_csv(),
            }
    return texts


def pictures(report: Report) -> dict[str, bytes]:
    """File name to content: samples, mistakes, Grad-CAM."""
    return {f"{stem}.png": picture.png for chapter in report.chapters for stem, picture in chapter.pictures()}


def find_browser() -> str | None:
    """The Chromium or Chrome that BROWSER_PATH names, or one on the PATH."""
    named = os.environ.get("BROWSER_PATH")
    if named:
        return named if os.access(named, os.X_OK) else None
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def why_no_pictures() -> str:
    """What is missing to draw figures as files, in one line; nothing if all is there."""
    try:
        import kaleido  # noqa: F401
    except ImportError:
        return 'the package kaleido is missing: pip install "keras-hpo[report]"'
    if find_browser() is None:
        return "no Chromium or Chrome was found on the PATH or as BROWSER_PATH: install one, e.g. Debian's chromium"
    return ""


def write_figures(report: Report, folder: Path) -> list[Path]:
    """Each chart in each of `FORMATS`; only if `why_no_pictures` says nothing.

    Raises:
        Exception: whatever Kaleido raises.
    """
    import kaleido

    logging.getLogger("kaleido").setLevel(logging.ERROR)
    folder.mkdir(parents=True, exist_ok=True)
    charts = [entry for chapter in report.chapters for entry in chapter.charts()]
    browser = find_browser()
    kaleido.start_sync_server(path=browser, mathjax=False, silence_warnings=True)  # MathJax would be fetched
    written = []
    try:
        for stem, chart in charts:
            for suffix in FORMATS:
                path = folder / f"{stem}.{suffix}"
                kaleido.write_fig_sync(on_paper(chart), path=path, opts=_options(chart, suffix))
                written.append(path)
    finally:
        kaleido.stop_sync_server(silence_warnings=True)
    return written


def on_paper(chart: Chart) -> go.Figure:
    """A copy of the chart at the size it has on paper."""
    width = max(WIDTH, chart.least_width)
    return go.Figure(chart.figure).update_layout(width=width, height=chart.height, paper_bgcolor="white")


def _options(chart: Chart, suffix: str) -> dict[str, Any]:
    size = {"width": max(WIDTH, chart.least_width), "height": chart.height}
    return {"format": suffix, "scale": 2 if suffix == "png" else 1, **size}
