"""From studies to a report: what it says, which pictures it shows, and the line that runs a study again."""

import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from datasets.catalogue import DATASETS
from datasets.subset import base_name
from hpo.config import BEFORE, Role, StudyConfig, fields_of, make_config, restore_config, usual_name
from hpo.errors import MISTAKES, TaskFailed, WorkerLost
from hpo.reporting.files import ReportFiles, write_report
from hpo.reporting.gathering import gather
from hpo.reporting.pictures import gallery
from hpo.reporting.publish import publish
from hpo.worker.executor import Watcher, wait
from hpo.worker.pool import Workers
from studies.attributes import OPTIONS
from studies.fingerprint import fingerprint_of
from studies.paths import StudyFiles, joint_report, study_files
from studies.report.blocks import Report
from studies.report.chapters import NOTHING, chapter
from studies.report.comparing import comparison_chapter
from studies.report.gallery import Gallery
from studies.report.material import Material, read_material


@dataclass(frozen=True)
class Assembled:
    """A report that is not written yet.

    Attributes:
        galleries: of each study.
        missing: in one line each, what could not be made and why.
    """

    report: Report
    galleries: Sequence[Gallery]
    missing: Sequence[str]


def make_report(
    loaded: Sequence[optuna.Study],
    out: Path,
    places: Mapping[str, Any],
    pictures: bool = True,
    on_wait: Callable[[], None] = lambda: None,
    rule: str = "",
) -> Assembled:
    """The report of one study, or of several: then their comparison first.

    Args:
        loaded: the studies.
        out: the folder of results.
        places: options that stand in for those of the studies, such as where the data lies.
        pictures: of the data, Grad-CAM and saliency too.
        on_wait: called every now and then while a worker draws them.
        rule: that recommends, see `studies.report.material.Material.asked_rule`.

    Raises:
        NotComparable: the studies are on other pictures, or were measured on another device.
    """
    folders = {study.study_name: study_files(out, study.study_name).folder for study in loaded}
    materials = [read_material(study, folders[study.study_name], _command_of(study), rule) for study in loaded]
    several = len(materials) > 1
    chapters = [comparison_chapter([gather(study, folders[study.study_name]) for study in loaded])] if several else []
    missing: list[str] = []
    galleries: list[Gallery] = []
    for study, material in zip(loaded, materials, strict=True):
        shown, lacking = _gallery(material, study, places, on_wait) if pictures else (NOTHING, [])
        missing += lacking
        galleries.append(shown)
        chapters.append(chapter(material, shown, material.name if several else ""))
    backbones = list(dict.fromkeys(material.fingerprint.backbone for material in materials))
    title = f"{' and '.join(backbones) if len(backbones) < 3 else f'{len(backbones)} networks'} on "
    title += materials[0].fingerprint.dataset
    names = ", ".join(material.name for material in materials)
    about = f"{'Studies' if several else 'Study'} {names}; report made by keras-hpo on {_today()}"
    return Assembled(Report(title, about, tuple(chapters)), galleries, missing)


def report(
    loaded: Sequence[optuna.Study],
    out: Path,
    places: Mapping[str, Any],
    *,
    pdf: bool,
    figures: bool,
    pictures: bool,
    rule: str,
    watcher: Watcher,
) -> ReportFiles:
    """Assemble the report, write it below `out`, and put its figures into the studies, for the dashboard.

    Args:
        loaded: the studies.
        out: the folder of results.
        places: options that stand in for those of the studies; `storage` is among them.
        pdf: the whole page as report.pdf too.
        figures: each figure as a file.
        pictures: of the data, Grad-CAM and saliency too.
        rule: as `make_report`.
        watcher: is told what is being done.

    Raises:
        NotComparable: as `make_report`.
    """
    assembled = make_report(
        loaded, out, places, pictures, lambda: watcher.waiting("drawing pictures of data and models"), rule
    )
    dataset = fingerprint_of(loaded[0]).dataset
    own = study_files(out, loaded[0].study_name).report
    folder = joint_report(out, dataset) if len(loaded) > 1 else own
    written = write_report(assembled.report, folder, figures=figures, pdf=pdf)
    chapters = assembled.report.chapters[-len(loaded) :]
    published = [
        publish(study, chapter, shown, places["storage"], out)
        for study, chapter, shown in zip(loaded, chapters, assembled.galleries, strict=True)
    ]
    missing = [line for line in (*assembled.missing, *written.missing, *published) if line]
    return ReportFiles(folder, written.written, missing)


def run_command(options: Mapping[str, Any], study: str, code: str = "", hypermodel: bool = False) -> str:
    """The line that runs a study again: what is not a default, without the places of this machine.

    Args:
        options: that it was run with.
        study: its name.
        code: of a network of the user's own, as `--backbone` names it.
        hypermodel: whether it is that of a HyperModel.
    """
    if not options:
        return f"python -m hpo.run --study {study}   # its options were not kept"
    usual = make_config({}).model_dump(mode="json")
    kept = {**usual, **BEFORE, **options}
    unnamed = usual_name(*(str(kept[name]) for name in ("backbone", "dataset", "weights")))
    kept["backbone"] = code or kept["backbone"]
    if base_name(str(kept["dataset"])) in DATASETS:
        kept["decode"] = usual["decode"]  # its pictures are not decoded
    words, places = ["python", "-m", "hpo.run"], fields_of(Role.PLACE)
    for name in StudyConfig.model_fields:
        value = kept.get(name)
        as_usual = value == usual[name] and name not in ("backbone", "dataset", "trials")
        if name in places or value is None or as_usual:
            continue
        flag = "--" + ("hypermodel" if hypermodel and name == "backbone" else name.replace("_", "-"))
        if isinstance(value, bool):
            words += [flag] if value else []
        else:
            words += [flag, ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)]
    return shlex.join(words if unnamed == study else [*words, "--study", study])


def _command_of(study: optuna.Study) -> str:
    try:
        mark = fingerprint_of(study)
        return run_command(study.user_attrs.get(OPTIONS) or {}, study.study_name, mark.code, mark.is_hypermodel)
    except MISTAKES:  # its options are damaged
        return f"python -m hpo.run --study {shlex.quote(study.study_name)}"


def _today() -> str:
    now = time.localtime()
    return f"{now.tm_mday} {time.strftime('%B %Y', now)}"


def _gallery(
    material: Material, study: optuna.Study, places: Mapping[str, Any], on_wait: Callable[[], None]
) -> tuple[Gallery, list[str]]:
    why: Exception
    try:
        config = restore_config(study.user_attrs.get(OPTIONS), study.study_name, places)
        files = StudyFiles(config.study_dir)
        with Workers(min(1, config.workers), config.device, files.worker_log) as workers:
            return wait(workers.submit(gallery, material, config), on_wait)
    except MISTAKES as error:
        why = error
    except (TaskFailed, WorkerLost) as error:
        why = error
    return NOTHING, [f"pictures of {study.study_name}: {why}"]
