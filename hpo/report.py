"""`python -m hpo.report STUDY [STUDY ...]`: a page to hand in, and its parts as files."""

import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datasets import DataError
from hpo.config import Role, StudyConfig, check_field, fields_of, make_config, restore_config
from hpo.errors import BadInput
from hpo.terminal.command import StudyCommand, check_writable, field_option, quiet_libraries
from hpo.worker.costs import write_atomically
from models import ModelError
from studies.attributes import OPTIONS

if TYPE_CHECKING:
    from studies.report.blocks import Report
    from studies.report.gallery import Gallery
    from studies.report.material import Material

PRINT_SECONDS = 180


def run_command(options: Mapping[str, Any], study: str) -> str:
    """The line that runs a study again: what is not a default, without the places of this machine."""
    usual = make_config({}).model_dump(mode="json")
    words, places = ["python", "-m", "hpo.run"], fields_of(Role.PLACE)
    for name in StudyConfig.model_fields:
        value = options.get(name)
        usual_one = value == usual[name] and name not in ("backbone", "dataset", "trials")
        if name in places or value is None or usual_one:
            continue
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            words += [flag] if value else []
        else:
            words += [flag, ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)]
    if not options:
        return f"python -m hpo.run --study {study}   # its options were not kept"
    unnamed = make_config({name: options[name] for name in ("backbone", "dataset", "weights") if name in options})
    return shlex.join(words if unnamed.study_name == study else [*words, "--study", study])


def make_report(
    loaded: Sequence[Any], out: Path, places: Mapping[str, Any], pictures: bool = True
) -> "tuple[Report, list[str | None], list[str]]":
    """The report, the label of the model that each study's chapter shows in detail, and what is missing.

    Errors: BadInput if the studies cannot be compared.
    """
    from studies.comparison import NotComparable
    from studies.report.blocks import Report
    from studies.report.chapters import NOTHING, chapter
    from studies.report.comparing import comparison_chapter
    from studies.report.material import read_material

    materials, missing = [], []
    for study in loaded:
        command = _command_of(study)
        materials.append(read_material(study, out / study.study_name, command))
    several = len(materials) > 1
    try:
        chapters = [comparison_chapter(materials)] if several else []
    except NotComparable as error:
        raise BadInput(str(error)) from error
    for study, material in zip(loaded, materials, strict=True):
        shown, lacking = _gallery(material, study, places) if pictures else (NOTHING, [])
        missing += lacking
        chapters.append(chapter(material, shown, material.name if several else ""))
    backbones = list(dict.fromkeys(material.fingerprint.backbone for material in materials))
    title = f"{' and '.join(backbones) if len(backbones) < 3 else f'{len(backbones)} networks'} on "
    title += materials[0].fingerprint.dataset
    names = ", ".join(material.name for material in materials)
    about = f"{'Studies' if several else 'Study'} {names}; report made by keras-hpo on {_today()}"
    shown_models = [material.chosen.label if material.chosen else None for material in materials]
    return Report(title, about, tuple(chapters)), shown_models, missing


def _command_of(study: Any) -> str:
    try:
        return run_command(study.user_attrs.get(OPTIONS) or {}, study.study_name)
    except (BadInput, DataError, ModelError):  # the folder of pictures is not here any more
        return f"python -m hpo.run --study {shlex.quote(study.study_name)}"


def _today() -> str:
    now = time.localtime()
    return f"{now.tm_mday} {time.strftime('%B %Y', now)}"


def _gallery(material: "Material", study: Any, places: Mapping[str, Any]) -> "tuple[Gallery, list[str]]":
    from hpo.reporting.pictures import gallery
    from studies.report.chapters import NOTHING

    try:
        config = restore_config(study.user_attrs.get(OPTIONS), study.study_name, places)
    except (BadInput, DataError, ModelError) as error:
        return NOTHING, [f"pictures of {study.study_name}: {error}"]
    return gallery(material, config)


def write_report(
    report: "Report", folder: Path, figures: bool = True, pdf: bool = False
) -> tuple[list[Path], list[str]]:
    """Page, tables and figures; returns the paths, the page first, and what could not be written and why."""
    from studies.report import files
    from studies.report.page import render

    page, missing = folder / "index.html", []
    write_atomically(page, render(report))
    written = [page]
    for name, text in files.table_texts(report).items():
        written.append(folder / "tables" / name)
        write_atomically(written[-1], text)
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
    return written, missing


def _draw(report: "Report", folder: Path) -> list[Path]:
    """Drawn aside, then each put into its place in one step."""
    from studies.report.files import write_figures

    folder.mkdir(parents=True, exist_ok=True)
    found = []
    with tempfile.TemporaryDirectory(dir=folder, prefix=".part") as aside:
        for path in write_figures(report, Path(aside)):
            found.append(folder / path.name)
            path.replace(found[-1])
    return found


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
        part = target.with_name(f".{os.getpid()}.{target.name}")
        part.write_bytes(made.read_bytes())
        part.replace(target)
    return ""


@click.command(cls=StudyCommand)
@click.argument("studies", nargs=-1, required=True, metavar="STUDY [STUDY ...]")
@click.option("--pdf", is_flag=True, help="also print the whole page as report.pdf; needs Chromium or Chrome")
@click.option("--no-figures", is_flag=True, help="only page and tables, no figures as files: faster")
@click.option("--no-pictures", is_flag=True, help="without pictures of the data, Grad-CAM and saliency")
@field_option("storage")
@field_option("out")
@field_option("cache_dir")
@field_option("data_dir")
def main(studies: tuple[str, ...], pdf: bool, no_figures: bool, no_pictures: bool, **places: Any) -> None:
    """Write a report of STUDY: one HTML file that needs no network, tables and figures as files.

    Of several studies on the same pictures: first their comparison, then a chapter for each. What
    `hpo.evaluate` left is in it; without that it says so. Its figures are also put into the studies, for the dashboard.
    """
    from hpo.reporting.publish import keep
    from studies.fingerprint import fingerprint_of
    from studies.storage import load_study, storage_trouble

    quiet_libraries()
    storage, out = check_field("storage", places["storage"]), check_field("out", places["out"])
    with storage_trouble(storage):
        loaded = [load_study(storage, name) for name in dict.fromkeys(studies)]
        check_writable(out)
        report, chosen, missing = make_report(loaded, out, places, pictures=not no_pictures)
    several = len(loaded) > 1
    last = f"report-{fingerprint_of(loaded[0]).dataset}" if several else "report"
    folder = out / last if several else out / loaded[0].study_name / last
    written, lacking = write_report(report, folder, figures=not no_figures, pdf=pdf)
    for study, chapter, label in zip(loaded, report.chapters[-len(loaded) :], chosen, strict=True):
        lacking.append(keep(study, chapter, label, storage, out))
    _show(folder, written, [line for line in (*missing, *lacking) if line])


def _show(folder: Path, written: Sequence[Path], missing: Sequence[str]) -> None:
    click.echo(f"{written[0]}  {written[0].stat().st_size / 2**20:.1f} MiB, opens in any browser, needs no network")
    for kind in ("tables", "figures"):
        found = [path for path in written if path.parent.name == kind]
        suffixes = ",".join(dict.fromkeys(path.suffix[1:] for path in found))
        if found:
            click.echo(f"{folder / kind}/  {len({path.stem for path in found})} {kind} as {suffixes}")
    for path in written:
        if path.suffix == ".pdf" and path.parent == folder:
            click.echo(path)
    for line in missing:
        click.echo(f"missing: {line}")


if __name__ == "__main__":
    main()
