"""Final models for other runtimes: which forms are made, which are there, and what is kept of them."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import optuna

from hpo.config import StudyConfig
from hpo.errors import BadField, BadInput, ModelError, TaskFailed, WorkerLost
from hpo.final.conversion import Conversion, Timing, convert, time_files
from hpo.worker import heartbeat
from hpo.worker.executor import StepWatcher, wait
from hpo.worker.pool import Workers
from models.export.formats import DEPLOYED, FORMATS, needs
from models.latency.runtimes import RUNTIMES
from studies.attributes import STUDY_ID
from studies.finals import FinalRun, read_runs
from studies.fingerprint import fingerprint_of
from studies.forms import AS_TRAINED, Form, read_forms, write_forms
from studies.outcomes import DeployedLatency
from studies.paths import StudyFiles, name_of, write_text
from studies.storage import writer_lock
from studies.tables import forms as tables

CONVERTERS_NEED = {"KERAS_BACKEND": "tensorflow"}


def check_formats(names: Sequence[str], allowed: Sequence[str], field: str) -> tuple[str, ...]:
    """Names of formats, each once, all of which can be written and run here.

    Args:
        names: as they were given.
        allowed: those that are meant.
        field: that they were given as.

    Raises:
        BadField: one is not among those allowed, or what it needs is not installed.
    """
    for name in names:
        if name not in allowed:
            raise BadField(field, f"must be one of {', '.join(allowed)}. Received: {name or 'nothing'}")
        if lacking := needs(name):
            raise BadField(field, f"{name} {lacking}")
    return tuple(dict.fromkeys(names))


class Exporter:
    """Makes and measures forms of a study's final models, and keeps their numbers beside their files.

    What was made from the same run before stays in the table of a model.

    Args:
        study: that the models are of.
        config: of the study, with the places of this machine.
        workers: with the backend that converters need.
        watcher: is told what is being done.
    """

    def __init__(self, study: optuna.Study, config: StudyConfig, workers: Workers, watcher: StepWatcher):
        self._fingerprint, self._config = fingerprint_of(study), config
        self._workers, self._watcher = workers, watcher
        self._files = StudyFiles(config.study_dir)

    def known(self, run: FinalRun) -> dict[str, Form]:
        """What was made from a run before, by format."""
        return {form.format: form for form in read_forms(self._files.forms(run.label), run)}

    def finished(self, run: FinalRun, name: str) -> Form | None:
        """A form that was made and measured before, as it would be now, and whose file is there."""
        form = self.tested(run, name)
        if form is None or not isinstance(form.latency, DeployedLatency):
            return None
        now = (RUNTIMES[FORMATS[name].runtime].full_name, self._config.latency_threads)
        return form if (form.latency.backend, form.latency.threads) == now else None

    def tested(self, run: FinalRun, name: str) -> Form | None:
        """A form that was made before, and whose file is there, whether its latency was measured or not."""
        form, path = self.known(run).get(name), self._path(run, name)
        return form if form and path.is_file() and path.stat().st_size == form.bytes else None

    def make(self, run: FinalRun, name: str) -> Form:
        """Export and test a form.

        Raises:
            BadInput, DataError, ModelError, WorkerLost, TaskFailed: it fails.
        """
        folder = self._files.exports(run.label)
        for left in folder.glob(".*"):  # of a run that was killed while it wrote
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        original, progress = self._files.run(run.label, run.seed), folder / "export.progress"
        about, path = self._fingerprint, self._path(run, name)
        job = Conversion(self._config, about.dataset_digest, about.side, run, original, name, path, progress)
        heartbeat.begin(progress)
        try:
            form = wait(self._workers.submit(convert, job), lambda: self._watcher.tick({name: progress}))
        except TaskFailed as failed:
            raise TaskFailed(failed.kind, f"{name}: {failed.reason}", failed.details) from failed
        finally:
            progress.unlink(missing_ok=True)
        self._keep(run, [form])
        return form

    def measure(self, run: FinalRun, names: Sequence[str]) -> None:
        """The latencies of forms that were made: those of one runtime take turns.

        Raises:
            ModelError, WorkerLost, TaskFailed: it fails.
        """
        progress = self._files.exports(run.label) / "export.progress"
        for runtime in dict.fromkeys(FORMATS[name].runtime for name in names):
            forms = [self.known(run)[name] for name in names if FORMATS[name].runtime == runtime]
            paths = [self._path(run, form.format) for form in forms]
            heartbeat.begin(progress)
            try:
                future = self._workers.submit(time_files, Timing(self._config, runtime, paths, progress))
                measured = wait(future, lambda: self._watcher.tick({name_of(run.label): progress}))
            finally:
                progress.unlink(missing_ok=True)
            done = [
                replace(form, latency=_with_dtype(form, latency), runtime=latency.measured_in, energy_mj=spent)
                for form, (latency, spent) in zip(forms, measured, strict=True)
            ]
            self._keep(run, done)

    def _path(self, run: FinalRun, name: str) -> Path:
        if name == AS_TRAINED:
            return self._files.run(run.label, run.seed).model
        return self._files.exports(run.label) / FORMATS[name].file

    def _keep(self, run: FinalRun, forms: Sequence[Form]) -> None:
        """The table of all that was exported of this model, earlier ones included, and the names of its classes."""
        folder = self._files.exports(run.label)
        everything = list((self.known(run) | {form.format: form for form in forms}).values())
        write_forms(self._files.forms(run.label), everything)
        write_text(folder / "exports.csv", tables.to_csv(everything))
        write_text(folder / "class_names.json", json.dumps(list(run.class_names), ensure_ascii=False))


def _with_dtype(form: Form, latency: DeployedLatency) -> DeployedLatency:
    return replace(latency, dtype="int8") if form.quantised else latency


def convert_all(
    study: optuna.Study, config: StudyConfig, label: str, names: Sequence[str], watcher: StepWatcher
) -> tuple[list[Form], Path]:
    """The original and these formats of the model `label`, made anew; and the folder of files and table.

    Args:
        study: that the model is of.
        config: of the study, with the places of this machine.
        label: a trial's number, or baseline.
        names: of the formats.
        watcher: is told what is being done.

    Raises:
        BadInput: it was not evaluated, or the pictures are not those of the study.
        WorkerLost, TaskFailed: one fails; those before it are kept.
    """
    files = StudyFiles(config.study_dir)
    runs = read_runs(files, study.user_attrs[STUDY_ID])
    run = next((run for run in runs if (run.label, run.seed) == (label, 0)), None)
    if run is None:
        words = f"--trials {label}" if label.isdecimal() else ""
        raise BadInput(
            f"{name_of(label)} of study {study.study_name} was not evaluated; first: "
            f"python -m hpo.evaluate {study.study_name}{fingerprint_of(study).code_words} {words}".rstrip()
        )
    with (
        writer_lock(files.lock, config.study_name),
        Workers(min(1, config.workers), config.device, files.worker_log, CONVERTERS_NEED) as workers,
    ):
        exporter, all_names = Exporter(study, config, workers, watcher), (AS_TRAINED, *names)
        for number, name in enumerate(all_names):
            watcher.steps(number, len(all_names))
            watcher.note(f"{name}: {'measuring' if name == AS_TRAINED else 'exporting and testing'}")
            exporter.make(run, name)
        exporter.measure(run, [name for name in names if name in DEPLOYED])
        watcher.steps(len(all_names), len(all_names))
        known = exporter.known(run)
    return [known[name] for name in all_names], files.exports(label)


def make_forms(
    study: optuna.Study, config: StudyConfig, runs: Sequence[FinalRun], names: Sequence[str], watcher: StepWatcher
) -> list[str]:
    """These forms of all models, given by their first runs; what an earlier call finished is not done again.

    The caller holds the study's locks.

    Returns:
        In one line each why some failed; the others are kept.

    Raises:
        BadInput, DataError: the pictures are not those of the study, or not there.
    """
    failures: list[str] = []
    log = StudyFiles(config.study_dir).worker_log
    with Workers(min(1, config.workers), config.device, log, CONVERTERS_NEED) as workers:
        exporter = Exporter(study, config, workers, watcher)
        for number, run in enumerate(runs):
            watcher.steps(number, len(runs))
            where = f"[{number + 1}/{len(runs)}] {name_of(run.label)}"
            failures += _forms_of(exporter, run, names, where, watcher)
        watcher.steps(len(runs), len(runs))
    return failures


def _forms_of(exporter: Exporter, run: FinalRun, names: Sequence[str], where: str, watcher: StepWatcher) -> list[str]:
    """Why some failed."""
    failures, made = [], []
    for name in names:
        if known := exporter.finished(run, name):
            watcher.note(f"{where} as {name}: test accuracy {known.accuracy:.4f}, done before")
            continue
        try:
            form = exporter.tested(run, name) or exporter.make(run, name)
        except (ModelError, TaskFailed, WorkerLost) as error:
            failures.append(f"{where} as {name}: {str(error).removeprefix(f'{name}: ')}")
            continue
        made.append(name)
        watcher.note(f"{where} as {name}: test accuracy {form.accuracy:.4f}")
    try:
        exporter.measure(run, made)
    except (ModelError, TaskFailed, WorkerLost) as error:
        failures.append(f"{where} as {', '.join(made)}: {error}")
    for line in failures:
        watcher.note(line)
    return failures
