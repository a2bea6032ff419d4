"""How a worker exports a final model, tests the file with its own runtime beside the original, and times it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from hpo.config import StudyConfig
from hpo.errors import BadInput
from hpo.final.training import LONG_SECONDS, classify
from hpo.worker import session
from hpo.worker.heartbeat import Beat, Heartbeat, Phase, SignOfLife, decoding
from hpo.worker.machine_lock import MachineLock
from hpo.worker.memory import to_latency
from models.export.formats import DEPLOYED
from studies.finals import FinalRun
from studies.forms import AS_TRAINED, Form, digest_of
from studies.outcomes import DeployedLatency
from studies.paired import Pairs
from studies.paths import RunFiles

CALIBRATION = 200  # training pictures from which the ranges of int8 are taken


@dataclass(frozen=True)
class Conversion:
    """One final model in one format, for a worker.

    Attributes:
        digest: of the development pictures that the study was made with, as they are at `side`.
        side: in pixels, of a folder's.
        original: the files of the run.
        name: a format, or AS_TRAINED for the model as it is.
        path: the file to write, or the model as it is.
        progress: the worker's signs of life.
    """

    config: StudyConfig
    digest: str
    side: int
    run: FinalRun
    original: RunFiles
    name: str
    path: Path
    progress: Path


@dataclass(frozen=True)
class Timing:
    """Exported files of one model for one runtime, for a worker, which measures them in turns."""

    config: StudyConfig
    runtime: str
    paths: Sequence[Path]
    progress: Path


def convert(job: Conversion) -> Form:
    """In a worker: export and test. The latency of what has a runtime of its own is left to `time_files`.

    Raises:
        BadInput: the pictures are not those of the study.
        DataError, ModelError: data or model are not there or damaged.
    """
    beat = Heartbeat(job.progress)
    try:
        return _convert(job, beat)
    finally:
        beat.end()


def _convert(job: Conversion, beat: Beat) -> Form:
    from models.device import cores, sees_gpu
    from models.export import runtimes
    from models.export.keras_file import restore
    from models.latency.call import measure_call, summarise

    config, run, here = job.config, job.run, session.current()
    side = run.shape[0]
    known = here.data(config, job.side, decoding(beat)).digest == job.digest
    data = here.data(config, side, decoding(beat))
    images, labels = here.test_data(config, side, decoding(beat))
    with np.load(job.original.predictions, allow_pickle=False) as stored:
        expected = stored["probabilities"]
        if not known or not np.array_equal(labels, stored["labels"]):
            raise BadInput(f"{config.dataset} is not what study {config.study_name} was made with")
    model = restore(run.candidate, run.shape, len(run.class_names), job.original.model)
    if job.name == AS_TRAINED:
        runner, runtime = runtimes.original(model)
    else:
        beat(SignOfLife(Phase.EXPORT))
        rows = here.split(config, side).train
        chosen = rows[np.linspace(0, len(rows) - 1, min(CALIBRATION, len(rows))).astype(int)]
        runtimes.export(model, job.name, job.path, data.images[chosen])
        runner, runtime = runtimes.load(job.name, job.path, cores())
    probabilities = classify(runner, images, lambda share: beat(SignOfLife(Phase.TEST, share=share)))
    latency = None
    if job.name not in DEPLOYED:
        picture = np.ascontiguousarray(images[:1])
        beat(SignOfLife(Phase.LATENCY))
        with MachineLock(config.cache_dir) as lock, lock.measuring():
            latency = to_latency(asdict(summarise(measure_call(lambda: runner(picture), LONG_SECONDS, sees_gpu()))))
    guess, before = probabilities.argmax(1), expected.argmax(1)
    return Form(
        study_id=run.study_id,
        label=run.label,
        run=digest_of(run),
        format=job.name,
        pairs=pair(before == labels, guess == labels),
        same_class=float((guess == before).mean()),
        max_difference=float(np.abs(probabilities - expected).max()),
        bytes=runtimes.size(job.path),
        runtime=runtime,
        latency=latency,
    )


def pair(first: np.ndarray, second: np.ndarray) -> Pairs:
    """From what two classifiers have right, (n,) bool each."""
    counted = (first & second, first & ~second, ~first & second, ~first & ~second)
    return Pairs(*(int(which.sum()) for which in counted))


def time_files(job: Timing) -> list[tuple[DeployedLatency, float | None]]:
    """In a worker: latency, and millijoules where they are counted, of each file for one picture.

    The latency is that of `models.latency.deployed`, as long as that of a final model, with the study's threads.

    Raises:
        ModelError: the runtime fails.
    """
    from models.latency import deployed, energy

    beat, threads = Heartbeat(job.progress), job.config.latency_threads
    try:
        beat(SignOfLife(Phase.LATENCY))
        with MachineLock(job.config.cache_dir) as lock:
            seconds = LONG_SECONDS / deployed.ROUNDS
            latencies = deployed.measure_files(job.paths, job.runtime, threads, seconds=seconds, alone=lock.measuring)
            with lock.measuring():
                energies = energy.of_files(job.paths, job.runtime, threads)
    finally:
        beat.end()
    return [(DeployedLatency(**asdict(one)), spent) for one, spent in zip(latencies, energies, strict=True)]
