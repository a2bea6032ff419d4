"""A report as files: the page, its tables and figures, and the page on paper."""

import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from studies.paths import write_bytes, write_text
from studies.report import files
from studies.report.blocks import Report
from studies.report.page import render

PRINT_SECONDS = 180


@dataclass(frozen=True)
class ReportFiles:
    """What was written, the page first, and in one line each what could not be and why."""

    folder: Path
    written: Sequence[Path]
    missing: Sequence[str]

    @property
    def page(self) -> Path:
        """The page itself, `index.html`."""
        return self.written[0]


def write_report(report: Report, folder: Path, figures: bool = True, pdf: bool = False) -> ReportFiles:
    """Write page and tables; with a browser on the machine, figures and the printed page too.

    Args:
        report: what it says.
        folder: where all of it goes; made if it is missing.
        figures: each figure as PNG, SVG and PDF, and the pictures of data and models.
        pdf: the whole page as report.pdf.

    Returns:
        What was written, and what could not be and why.
    """
    page, missing = folder / "index.html", []
    write_text(page, render(report))
    written = [page]
    for name, text in files.table_texts(report).items():
        written.append(folder / "tables" / name)
        write_text(written[-1], text)
    if figures:
        for stem, content in files.pictures(report).items():
            written.append(folder / "pictures" / stem)
            write_bytes(written[-1], content)
    why = files.why_no_pictures() if figures else ""
    if figures and not why:
        try:
            written += _draw(report, folder / "figures")
        except Exception as error:  # a browser has many ways to fail, and the page is complete without it
            why = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
    if why:
        missing.append(f"figures as files: {why}")
    if pdf:
        browser = files.find_browser()
        if browser is None:
            missing.append("report.pdf: no Chromium or Chrome was found on the PATH or as BROWSER_PATH")
        elif why := print_page(browser, page, folder / "report.pdf"):
            missing.append(f"report.pdf: {why}")
        else:
            written.append(folder / "report.pdf")
    return ReportFiles(folder, written, missing)


def _draw(report: Report, folder: Path) -> list[Path]:
    """Drawn aside, then each put into its place in one step."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    with tempfile.TemporaryDirectory(dir=folder, prefix=".part") as aside:
        for path in files.write_figures(report, Path(aside)):
            drawn.append(folder / path.name)
            path.replace(drawn[-1])
    return drawn


def print_page(browser: str, page: Path, target: Path) -> str:
    """The page as PDF, by a browser without a window; returns why not, or nothing."""
    with tempfile.TemporaryDirectory(prefix="keras-hpo-print") as profile:
        made = Path(profile) / "report.pdf"
        command = [
            browser,
            "--headless",
            "--disable-gpu",
            "--enable-unsafe-swiftshader",
            "--disable-background-networking",
            "--no-first-run",
            "--no-pdf-header-footer",
            f"--user-data-dir={profile}/profile",
            "--window-size=760,1000",
            "--virtual-time-budget=60000",
            f"--print-to-pdf={made}",
            page.resolve().as_uri(),
        ]
        if os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # Chromium refuses to run as root with it
        try:
            done = subprocess.run(command, capture_output=True, timeout=PRINT_SECONDS, text=True, errors="replace")
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{browser}: {type(error).__name__}"
        if not made.is_file():
            return f"{browser} wrote none: {' '.join(done.stderr.split())[-200:]}"
        write_bytes(target, made.read_bytes())
    return ""
