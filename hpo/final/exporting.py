"""Final models for other runtimes: exported, loaded again with that runtime, and measured again beside the original."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from hpo.config import StudyConfig
from hpo.errors import BadInput, TaskFailed
from hpo.final.evaluation import StepWatcher
from hpo.final.training import LONG_SECONDS, classify
from hpo.worker import heartbeat, session
from hpo.worker.heartbeat import Heartbeat, Phase, SignOfLife
from hpo.worker.machine_lock import MachineLock
from hpo.worker.pool import Workers, wait
from models.export.formats import FORMATS, check_installed
from studies.attributes import STUDY_ID
from studies.finals import FinalRun, read_runs
from studies.fingerprint import fingerprint_of
from studies.paths import RunFiles, StudyFiles, name_of, write_text
from studies.storage import writer_lock
from studies.tables.table import Table, of_texts, records_to_csv

ORIGINAL = "keras"
CALIBRATION = 200  # training pictures from which the ranges of int8 are taken
CONVERTERS_NEED = {"KERAS_BACKEND": "tensorflow"}
HEADS = ("format", "test accuracy", "same class", "latency ms (p90)", "MiB", "runtime")


@dataclass(frozen=True)
class Conversion:
    """One final model in one format, for a worker.

    Attributes:
        digest: of the development pictures that the study was made with.
        original: the files of the run.
        name: a format, or ORIGINAL for the model as it is.
        path: the file to write, or the model as it is.
        progress: the worker's signs of life.
    """

    config: StudyConfig
    digest: str
    run: FinalRun
    original: RunFiles
    name: str
    path: Path
    progress: Path


@dataclass(frozen=True)
class Converted:
    """An exported file in numbers.

    Attributes:
        accuracy: on the test pictures, 0 to 1.
        same_class: share of the test pictures of which it says what the original says.
        max_difference: largest difference of a probability to the original's.
        latency_ms, p90_ms: of one picture, from an array of the host to an array of the host; else by the protocol of
            `models.latency.call`, which leaves the picture on the device.
        bytes: on disk.
        runtime: what ran it.
    """

    format: str
    accuracy: float
    same_class: float
    max_difference: float
    latency_ms: float
    p90_ms: float
    bytes: int
    runtime: str


def convert(job: Conversion) -> Converted:
    """In a worker: export and measure.

    Raises:
        BadInput: the pictures are not those of the study.
        DataError, ModelError: data or model are not there or damaged.
    """
    beat = Heartbeat(job.progress)
    try:
        return _convert(job, beat)
    finally:
        beat.end()


def _convert(job: Conversion, beat: Heartbeat) -> Converted:
    from models.device import cores
    from models.export import runtimes
    from models.export.keras_file import restore
    from models.latency.call import measure_call

    config, run, here = job.config, job.run, session.current()
    side = run.shape[0]
    data = here.data(config, side)
    images, labels = here.test_data(config, side)
    with np.load(job.original.predictions, allow_pickle=False) as stored:
        expected = stored["probabilities"]
        if data.digest != job.digest or not np.array_equal(labels, stored["labels"]):
            raise BadInput(f"{config.dataset} is not what study {config.study_name} was made with")
    model = restore(run.candidate, run.shape, len(run.class_names), job.original.model)
    if job.name == ORIGINAL:
        runner, runtime = runtimes.original(model)
    else:
        beat(SignOfLife(Phase.EXPORT))
        rows = here.split(config, side).train
        chosen = rows[np.linspace(0, len(rows) - 1, min(CALIBRATION, len(rows))).astype(int)]
        runtimes.export(model, job.name, job.path, data.images[chosen])
        runner, runtime = runtimes.load(job.name, job.path, cores())
    probabilities = classify(runner, images, lambda share: beat(SignOfLife(Phase.TEST, share=share)))
    picture = np.ascontiguousarray(images[:1])
    beat(SignOfLife(Phase.LATENCY))
    with MachineLock(config.cache_dir) as lock, lock.measuring():
        times = measure_call(lambda: runner(picture), LONG_SECONDS)
    return Converted(
        format=job.name,
        accuracy=float((probabilities.argmax(1) == labels).mean()),
        same_class=float((probabilities.argmax(1) == expected.argmax(1)).mean()),
        max_difference=float(np.abs(probabilities - expected).max()),
        latency_ms=float(np.percentile(times, 50)),
        p90_ms=float(np.percentile(times, 90)),
        bytes=runtimes.size(job.path),
        runtime=runtime,
    )


def convert_all(
    study: optuna.Study, config: StudyConfig, label: str, names: Sequence[str], watcher: StepWatcher
) -> tuple[list[Converted], Path]:
    """The original and these formats of the model `label`, one after the other; and the folder of files and table.

    Args:
        study: that the model is of.
        config: of the study, with the places of this machine.
        label: a trial's number, or baseline.
        names: of the formats.
        watcher: is told what is being done.

    Raises:
        BadInput: it was not evaluated, or the pictures are not those of the study.
        ModelError: what a format needs is not installed.
        WorkerLost, TaskFailed: one fails; those before it are kept.
    """
    check_installed(names)
    files = StudyFiles(config.study_dir)
    runs = read_runs(files, study.user_attrs[STUDY_ID])
    run = next((run for run in runs if (run.label, run.seed) == (label, 0)), None)
    if run is None:
        words = f"--trials {label}" if label.isdecimal() else ""
        raise BadInput(
            f"{name_of(label)} of study {study.study_name} was not evaluated; first: "
            f"python -m hpo.evaluate {study.study_name} {words}".rstrip()
        )
    folder, original = files.exports(label), files.run(run.label, run.seed)
    digest, progress = fingerprint_of(study).dataset_digest, folder / "export.progress"
    converted: list[Converted] = []
    with (
        writer_lock(files.lock, config.study_name),
        Workers(min(1, config.workers), config.device, files.worker_log, CONVERTERS_NEED) as workers,
    ):
        for number, name in enumerate((ORIGINAL, *names)):
            watcher.steps(number, 1 + len(names))
            path = folder / FORMATS[name].file if name in FORMATS else original.model
            watcher.note(f"{name}: {'measuring' if name == ORIGINAL else 'exporting and measuring'}")
            job = Conversion(config, digest, run, original, name, path, progress)
            converted.append(_answer(workers, job, watcher))
            _write(converted, run.class_names, folder)
        watcher.steps(1 + len(names), 1 + len(names))
    return converted, folder


def _answer(workers: Workers, job: Conversion, watcher: StepWatcher) -> Converted:
    heartbeat.begin(job.progress)
    try:
        return wait(workers.submit(convert, job), lambda: watcher.tick({job.name: job.progress}))
    except TaskFailed as failed:
        raise TaskFailed(failed.kind, f"{job.name}: {failed.reason}", failed.details) from failed
    finally:
        job.progress.unlink(missing_ok=True)


def _write(converted: Sequence[Converted], class_names: Sequence[str], folder: Path) -> None:
    """The table of all that was exported of this model, earlier ones included, and the names of its classes."""
    rows: dict[str, Mapping[str, Any]] = {}
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # the first one, or not ours
        rows = {row["format"]: row for row in json.loads((folder / "exports.json").read_text(encoding="utf-8"))}
    rows |= {entry.format: asdict(entry) for entry in converted}
    write_text(folder / "exports.csv", records_to_csv(list(rows.values())))
    write_text(folder / "exports.json", json.dumps(list(rows.values()), indent=1))
    write_text(folder / "class_names.json", json.dumps(list(class_names), ensure_ascii=False))


def cells(converted: Converted) -> tuple[str, ...]:
    """The texts under `HEADS`."""
    return (
        converted.format,
        f"{converted.accuracy:.4f}",
        f"{converted.same_class:.4f}",
        f"{converted.latency_ms:.3g} ({converted.p90_ms:.3g})",
        f"{converted.bytes / 2**20:.2f}",
        converted.runtime,
    )


def to_table(converted: Sequence[Converted]) -> Table:
    """A row for each format, in the order in which they were made."""
    return of_texts("exports", "", HEADS, map(cells, converted), left=("format", "runtime"))
