"""Final models for other runtimes: exported, loaded again with that runtime, and measured again beside the original."""

import contextlib
import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from hpo.config import StudyConfig
from hpo.errors import BadInput
from hpo.worker.costs import Gate, write_atomically
from studies.attributes import STUDY_ID

if TYPE_CHECKING:
    from studies.finals import FinalRun

ORIGINAL = "keras"
CALIBRATION = 200  # training pictures from which the ranges of int8 are taken
CONVERTERS_NEED = {"KERAS_BACKEND": "tensorflow"}
HEADS = ("format", "test accuracy", "same class", "latency ms (p90)", "MiB", "runtime")


@dataclass(frozen=True)
class Conversion:
    """One final model in one format, for a worker. `name` is a format, or ORIGINAL for the model as it is."""

    config: StudyConfig
    digest: str  # of the development pictures that the study was made with
    run: "FinalRun"
    model_path: Path
    name: str
    path: Path


@dataclass(frozen=True)
class Converted:
    """An exported file in numbers.

    Attributes:
        accuracy: on the test pictures, 0 to 1.
        same_class: share of the test pictures of which it says what the original says.
        max_difference: largest difference of a probability to the original's.
        latency_ms, p90_ms: of one picture, from an array of the host to an array of the host; else by the protocol of
            `models.latency`, which leaves the picture on the device.
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


def convert(job: Conversion) -> Converted | str:
    """In a worker: export and measure; what went wrong, if it is not the user's mistake.

    Errors: BadInput, DataError, ModelError.
    """
    from datasets import DataError
    from hpo.worker.trial import explain
    from models import ModelError

    try:
        return _convert(job)
    except (BadInput, DataError, ModelError):
        raise
    except Exception as error:  # of a converter or a runtime: it must not reach the parent
        return explain(error)[1]


def _convert(job: Conversion) -> Converted:
    from datasets.registry import open_test
    from hpo.final.training import LONG_SECONDS, classify
    from hpo.worker.facts import opened, split_of
    from models.export import runtimes
    from models.export.keras_file import restore
    from models.latency import measure_call

    config, run = job.config, job.run
    side = run.shape[0]
    data = opened(config, side)
    images, labels = open_test(config.dataset, config.data_dir, config.cache_dir, side, config.skip_unreadable)
    with np.load(job.model_path.with_name("predictions.npz"), allow_pickle=False) as kept:
        expected = kept["probabilities"]
        if data.digest != job.digest or not np.array_equal(labels, kept["labels"]):
            raise BadInput(f"{config.dataset} is not what study {config.study_name} was made with")
    model = restore(run.candidate, run.shape, len(run.class_names), job.model_path)
    if job.name == ORIGINAL:
        runner, runtime = runtimes.original(model)
    else:
        rows = split_of(config, side).train
        chosen = rows[np.linspace(0, len(rows) - 1, min(CALIBRATION, len(rows))).astype(int)]
        runtimes.export(model, job.name, job.path, data.images[chosen])
        runner, runtime = runtimes.load(job.name, job.path, len(os.sched_getaffinity(0)))
    found = classify(runner, images)
    picture = np.ascontiguousarray(images[:1])
    with Gate(config.cache_dir) as gate, gate.measuring():
        times = measure_call(lambda: runner(picture), LONG_SECONDS)
    return Converted(
        format=job.name,
        accuracy=float((found.argmax(1) == labels).mean()),
        same_class=float((found.argmax(1) == expected.argmax(1)).mean()),
        max_difference=float(np.abs(found - expected).max()),
        latency_ms=float(np.percentile(times, 50)),
        p90_ms=float(np.percentile(times, 90)),
        bytes=runtimes.size(job.path),
        runtime=runtime,
    )


def convert_all(study: Any, config: StudyConfig, label: str, names: Sequence[str]) -> tuple[list[Converted], Path]:
    """The original and these formats of the model `label`, one after the other; and the folder of files and table.

    Errors: BadInput if it was not evaluated; what a worker raises; `hpo.evaluate.NoAnswer` if one fails.
    """
    from hpo.evaluate import NoAnswer, wait
    from hpo.final.prediction import path_of
    from hpo.worker.pool import Workers
    from models.export.formats import FORMATS, check_installed
    from studies.finals import name_of, read_runs
    from studies.fingerprint import fingerprint_of
    from studies.storage import writer_lock

    check_installed(names)
    runs = read_runs(config.study_dir / "final", study.user_attrs[STUDY_ID])
    run = next((one for one in runs if (one.label, one.seed) == (label, 0)), None)
    if run is None:
        words = f"--trials {label}" if label.isdecimal() else ""
        raise BadInput(
            f"{name_of(label)} of study {study.study_name} was not evaluated; first: "
            f"python -m hpo.evaluate {study.study_name} {words}".rstrip()
        )
    folder = config.study_dir / "exports" / name_of(label).replace(" ", "-")
    digest, model_path = fingerprint_of(study).dataset_digest, path_of(config.study_dir, run)
    log, found = config.study_dir / "worker.log", []
    with (
        writer_lock(config.study_dir / ".lock", config.study_name),
        Workers(min(1, config.workers), config.device, log, CONVERTERS_NEED) as workers,
    ):
        for name in (ORIGINAL, *names):
            path = folder / FORMATS[name].file if name in FORMATS else model_path
            click.echo(f"{name}: {'measuring' if name == ORIGINAL else 'exporting and measuring'}")
            result = wait(workers.submit(convert, Conversion(config, digest, run, model_path, name, path)))
            if isinstance(result, str):
                raise NoAnswer(f"{name}: {result}")
            found.append(result)
            _write(found, run.class_names, folder)
    return found, folder


def _write(found: Sequence[Converted], class_names: Sequence[str], folder: Path) -> None:
    """The table of all that was exported of this model, earlier ones included, and the names of its classes."""
    rows: dict[str, Mapping[str, Any]] = {}
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # the first one, or not ours
        rows = {row["format"]: row for row in json.loads((folder / "exports.json").read_text(encoding="utf-8"))}
    rows |= {one.format: asdict(one) for one in found}
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Converted)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows.values())
    write_atomically(folder / "exports.csv", text.getvalue())
    write_atomically(folder / "exports.json", json.dumps(list(rows.values()), indent=1))
    write_atomically(folder / "class_names.json", json.dumps(list(class_names), ensure_ascii=False))


def cells(one: Converted) -> tuple[str, ...]:
    """The texts under `HEADS`."""
    return (
        one.format,
        f"{one.accuracy:.4f}",
        f"{one.same_class:.4f}",
        f"{one.latency_ms:.3g} ({one.p90_ms:.3g})",
        f"{one.bytes / 2**20:.2f}",
        one.runtime,
    )
