"""How a worker gives a chosen model its final training: on train and validation pictures, tested once, then saved."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from datasets.overlap import shared
from datasets.splits import Split
from hpo.config import StudyConfig
from hpo.worker import session
from hpo.worker.accounting import peak_memory_mib, reset_peak_memory, timed
from hpo.worker.boundary import OUT_OF_MEMORY, explain
from hpo.worker.facts import Facts, check_unchanged
from hpo.worker.heartbeat import Beat, Heartbeat, Phase, SignOfLife, decoding
from hpo.worker.hypermodel import train_hyper
from hpo.worker.inputs import Sources
from hpo.worker.job import Job
from hpo.worker.machine_lock import MachineLock
from hpo.worker.memory import to_latency
from hpo.worker.session import Session
from hpo.worker.start import first_head
from hpo.worker.training import recipe_of, training
from models.candidate import HyperCandidate
from models.training.recipe import Epoch
from studies.finals import FinalCosts, FinalRun
from studies.fingerprint import KERAS
from studies.overlap import Overlap
from studies.paths import RunFiles, run_name, write_arrays, write_text
from studies.scores import score

LONG_SECONDS = 3.0  # of measured runs for the final latency
LONG_CALL_SECONDS = 10.0  # a batch that takes longer than this is not measured: the protocol needs some twenty calls
THROUGHPUT_BATCHES = (32, 256)
PREDICTION_BATCH = 128


@dataclass(frozen=True)
class FinalJob:
    """One run of one model.

    Attributes:
        job: of the study; its number is the trial's.
        label: the trial's number as a text, or "baseline".
        seed: of initial weights, order of pictures, dropout and augmentation.
        epochs: the epoch that was best in the search.
        plateaus: the factors that reduce_on_plateau had there.
        measure: its result needs costs: FLOPs, latency, throughput.
        costs: those of another run's network of the same architecture, if they are known.
        overlap: test pictures that are among those that it is trained on.
    """

    job: Job
    label: str
    seed: int
    epochs: int
    plateaus: tuple[float, ...]
    measure: bool
    costs: FinalCosts | None = None
    overlap: int = 0

    @property
    def files(self) -> RunFiles:
        """Where the run leaves its model, predictions and result."""
        return RunFiles(self.job.folder / self.label / run_name(self.seed))


def look(config: StudyConfig) -> tuple[Facts, Overlap]:
    """What the study's data, weights and machine are, and how many test pictures are among those to train on.

    That is found out before anything is trained for them.

    Raises:
        DataError: there is no test split, or as `hpo.worker.session.prepare`.
    """
    here = session.current()
    facts = here.facts(config)
    side = facts.resolutions[-1]
    images, _ = here.test_data(config, side)
    parts = here.split(config, side)
    trained = here.data(config, side).images[np.concatenate([parts.train, parts.val])]
    return facts, Overlap(shared(trained, images), len(images))


def train_final(final: FinalJob) -> None:
    """Train, test, save model, predictions and result as `final.files`.

    The result is written last: where it is, all the rest is.
    """
    heartbeat = Heartbeat(final.job.files.progress)
    try:
        _train_final(final, heartbeat, session.current())
    finally:
        heartbeat.end()


def _train_final(final: FinalJob, beat: Beat, here: Session) -> None:
    from models.export.keras_file import save

    job, facts, files = final.job, final.job.facts, final.files
    check_unchanged(here.facts(job.config), facts)
    reset_peak_memory()
    files.folder.mkdir(parents=True, exist_ok=True)
    for left in files.folder.glob(".*"):  # of a run that was killed while it wrote
        left.unlink()
    seconds: dict[str, float] = {}
    with MachineLock(job.config.cache_dir) as lock:
        with timed("prepare", seconds) as clock, lock.training():

            def on_step(sign: SignOfLife) -> None:
                if sign.phase is Phase.TRAIN:
                    clock.now("train")
                lock.give_way()
                beat(sign)

            parts = session.split_of(job, here, decoding(on_step))
            everything = Split(np.sort(np.concatenate([parts.train, parts.val])), np.empty(0, np.int64))
            model, curve = _trained(final, everything, on_step, here)
        memory = peak_memory_mib()
        with timed("measure", seconds):
            costs = final.costs or (_costs(final, model, here, beat, lock) if final.measure else None)
    with timed("test", seconds):
        probabilities, labels = _predict(job, model, beat, here)
    size = save(model, facts.class_names, files.model)
    write_arrays(files.predictions, probabilities=probabilities, labels=labels)
    run = FinalRun(
        study_id=job.study_id,
        label=final.label,
        seed=final.seed,
        candidate=job.candidate,
        epochs=final.epochs,
        n_train=len(everything.train),
        curve=[point.numbers() for point in curve],
        scores=score(probabilities, labels),
        costs=costs,
        model_bytes=size,
        seconds=seconds,
        peak_memory_mib=memory,
        machine=facts.machine,
        shape=job.shape,
        class_names=facts.class_names,
        overlap=final.overlap,
    )
    write_text(files.result, run.to_json())


def _trained(final: FinalJob, parts: Split, beat: Beat, here: Session) -> tuple[Any, Sequence[Epoch]]:
    """A `keras.Model` of its own, from pictures to probabilities, and its curve."""
    # The seed rules this run alone: data and split stay those that are open, which are the study's.
    own = replace(final.job, config=final.job.config.model_copy(update={"seed": final.seed}))
    if isinstance(own.candidate, HyperCandidate):
        return train_hyper(own, parts, final.epochs, beat, here)
    return _trained_backbone(final, own, parts, beat, here)


def _trained_backbone(
    final: FinalJob, own: Job, parts: Split, beat: Beat, here: Session
) -> tuple[Any, Sequence[Epoch]]:
    """Trained from where the planner says: nothing is shared with other runs but the store."""
    from models.build import build_network
    from models.reuse.features import PICTURES, cut_tensors
    from models.training.trainer import Trainer

    sources = Sources(own, here, parts)
    start, train_set, val_set, _ = sources.start(beat)
    network = build_network(own.of_backbone, here.task(own), final.seed)
    trainer = Trainer(network, cut_tensors(network)[start], own.of_backbone.optimizer)
    state = trainer.begin(first_head(sources, beat))
    recipe = replace(recipe_of(own), plateaus=final.plateaus)
    transform = sources.transform if start == PICTURES else None
    trainer.run(state, train_set, val_set, recipe, final.epochs, training(beat), transform=transform)
    trainer.restore(state)
    return network.model, state.curve


def _predict(job: Job, model: Any, beat: Beat, here: Session) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, classes) float32 and labels (n,) of the test pictures, each seen once."""
    from models.training.backend import forward

    images, labels = here.test_data(job.config, job.side, decoding(beat))

    def on_batch(share: float) -> None:
        beat(SignOfLife(Phase.TEST, share=share))

    return classify(forward(model), images, on_batch), labels


def classify(
    run: Callable[[np.ndarray], np.ndarray], images: np.ndarray, on_batch: Callable[[float], None] = lambda share: None
) -> np.ndarray:
    """Probabilities (n, classes) of pictures (n, h, w, c), by batches of one size, so that `run` is traced once."""
    batches = []
    for begin in range(0, len(images), PREDICTION_BATCH):
        batch = images[begin : begin + PREDICTION_BATCH]
        short = PREDICTION_BATCH - len(batch)
        padded = np.concatenate([batch, np.repeat(batch[-1:], short, axis=0)]) if short else batch
        batches.append(run(padded)[: len(batch)])
        on_batch(begin / len(images))
    return np.concatenate(batches)


def _costs(final: FinalJob, model: Any, here: Session, beat: Beat, lock: MachineLock) -> FinalCosts:
    """Measured as the study's latencies are, but longer, and never put together from parts."""
    from models import flops
    from models.latency import call, deployed
    from models.latency.conversion import convert

    job, machine = final.job, final.job.facts.machine
    cost = flops.count(model)
    beat(SignOfLife(Phase.LATENCY))
    runtime, path = machine.get("latency_runtime", KERAS), final.files.folder / ".latency"
    if runtime != KERAS:
        with lock.training():
            convert(model, runtime, job.candidate.architecture, here.task(job), path)
    with lock.measuring():
        beat(SignOfLife(Phase.LATENCY))
        if runtime == KERAS:
            latency = call.measure(model, run_seconds=LONG_SECONDS)
        else:
            seconds = LONG_SECONDS / deployed.ROUNDS
            (latency,) = deployed.measure_files([path], runtime, machine["latency_threads"], seconds=seconds)
            path.unlink()
        beat(SignOfLife(Phase.THROUGHPUT))
        measured = to_latency(asdict(latency))
        rates = throughput(lambda batch: call.measure(model, batch).median_ms / 1e3, measured.record_ms / 1e3)
    return FinalCosts(
        parameters=model.count_params(),
        macs=cost.macs,
        flops=cost.flops,
        latency=measured,
        throughput=rates,
    )


def throughput(seconds_of: Callable[[int], float], seconds_of_one: float) -> dict[str, float | None]:
    """Pictures a second for each of `THROUGHPUT_BATCHES`; None where a call would last too long or memory runs out.

    `seconds_of` measures a call on a batch; how long that will last is estimated from the batch before it, and of the
    first one from the latency of one picture, `seconds_of_one`.
    """
    rates: dict[str, float | None] = {}
    per_picture = seconds_of_one
    for batch in THROUGHPUT_BATCHES:
        rates[str(batch)] = None
        if batch * per_picture > LONG_CALL_SECONDS:
            continue
        try:
            per_picture = seconds_of(batch) / batch
        except Exception as error:
            if explain(error)[0] != OUT_OF_MEMORY:
                raise
            continue
        rates[str(batch)] = 1 / per_picture
    return rates
