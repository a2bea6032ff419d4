"""How a worker trains a chosen model for good: on train and validation pictures, tested once, saved to be used."""

import os
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from datasets.registry import open_test
from datasets.splits import Split
from hpo.config import StudyConfig
from hpo.worker.costs import Gate, write_atomically
from hpo.worker.facts import Facts, check_unchanged, prepare, split_of
from hpo.worker.heartbeat import Progress, peak_memory_mib, reset_peak_memory, timed
from hpo.worker.inputs import Sources
from hpo.worker.job import Job
from hpo.worker.networks import task
from hpo.worker.training import recipe_of
from hpo.worker.trial import explain
from studies.finals import FinalCosts, FinalRun
from studies.outcomes import Latency
from studies.scores import score

if TYPE_CHECKING:
    from models.build import Network
    from models.training.trainer import State, Trainer

LONG_SECONDS = 5.0  # of measured runs for the final latency
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
        measure: latency and throughput too.
    """

    job: Job
    label: str
    seed: int
    epochs: int
    plateaus: tuple[float, ...]
    measure: bool

    @property
    def folder(self) -> Path:
        return self.job.folder / self.label / f"seed-{self.seed}"

    @property
    def result_path(self) -> Path:
        return self.folder / "result.json"

    @property
    def model_path(self) -> Path:
        return self.folder / "model.keras"


def look(config: StudyConfig) -> Facts:
    """`hpo.worker.facts.prepare`, and whether there are test pictures: found out before anything is trained for them.

    Errors: as `prepare`; DataError if there is no test split.
    """
    facts = prepare(config)
    _test_part(config, facts)
    return facts


def train_final(final: FinalJob) -> str:
    """Train, test, save model, predictions and result under `final.folder`; returns why it failed, or nothing.

    The result is written last: where it is, all the rest is. An exception of a backend must not reach the parent.
    """
    progress = Progress(final.job.progress_path)
    try:
        _train_final(final, progress)
        return ""
    except Exception as error:
        write_atomically(final.folder / "error.txt", "".join(traceback.format_exception(error)))
        return explain(error)[1]
    finally:
        progress.end()


def _train_final(final: FinalJob, alive: Progress) -> None:
    from models.export.keras_file import save

    job, facts = final.job, final.job.facts
    check_unchanged(job.config, facts)
    reset_peak_memory()
    final.folder.mkdir(parents=True, exist_ok=True)
    for left in final.folder.glob(".*"):  # of a run that was killed while it wrote
        left.unlink()
    own = replace(job, config=job.config.model_copy(update={"seed": final.seed}))
    parts = split_of(job.config, facts.resolutions[-1])
    everything = Split(np.sort(np.concatenate([parts.train, parts.val])), np.empty(0, np.int64))
    seconds: dict[str, float] = {}
    with Gate(job.config.cache_dir) as gate:
        with timed("prepare", seconds) as clock, gate.training():

            def on_step(*where: float) -> None:
                clock.now("train")
                gate.give_way()
                alive("train", *where)

            network, trainer, state = _trained(final, own, everything, on_step, lambda *where: alive("extract", *where))
        trainer.restore(state)
        memory = peak_memory_mib()
        with gate.measuring():
            costs = _costs(network, alive) if final.measure else None
    probabilities, labels = _predict(job.config, network, facts, alive)
    size = save(network.model, facts.class_names, final.model_path)
    _save_predictions(final.folder / "predictions.npz", probabilities, labels)
    run = FinalRun(
        study_id=job.study_id,
        label=final.label,
        seed=final.seed,
        candidate=job.candidate,
        epochs=final.epochs,
        n_train=len(everything.train),
        curve=[asdict(point) for point in state.curve],
        scores=score(probabilities, labels),
        costs=costs,
        model_bytes=size,
        seconds=seconds,
        peak_memory_mib=memory,
        machine=facts.machine,
        shape=facts.shape,
        class_names=facts.class_names,
    )
    write_atomically(final.result_path, run.to_json())


def _trained(
    final: FinalJob, own: Job, parts: Split, on_step: Any, on_extract: Any
) -> "tuple[Network, Trainer, State]":
    """A network of its own, trained from where the planner says: nothing is shared with other runs but the store."""
    from models.build import build_network
    from models.reuse.features import PICTURES, cut_tensors
    from models.training.trainer import Trainer

    sets = Sources(own, parts)
    start, train_set, val_set, _ = sets.start(on_extract)
    network = build_network(own.candidate, task(own), final.seed)
    trainer = Trainer(network, cut_tensors(network)[start], own.candidate.optimizer)
    state = trainer.begin()
    recipe = replace(recipe_of(own), plateaus=final.plateaus)
    transform = sets.transform if start == PICTURES else None
    trainer.run(state, train_set, val_set, recipe, final.epochs, on_step, transform=transform)
    return network, trainer, state


def _test_part(config: StudyConfig, facts: Facts) -> tuple[np.ndarray, np.ndarray]:
    """(n, h, w, c) uint8 and (n,) int64."""
    side = facts.resolutions[-1]
    return open_test(config.dataset, config.data_dir, config.cache_dir, side, config.skip_unreadable)


def _predict(config: StudyConfig, network: "Network", facts: Facts, alive: Progress) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, classes) float32 and labels (n,) of the test pictures, each seen once."""
    from models.training.backend import forward

    images, labels = _test_part(config, facts)
    return classify(forward(network.model), images, lambda share: alive("test", share)), labels


def classify(
    run: Callable[[np.ndarray], np.ndarray], images: np.ndarray, on_batch: Callable[[float], None] = lambda share: None
) -> np.ndarray:
    """Probabilities (n, classes) of pictures (n, h, w, c), by batches of one size, so that `run` is traced once."""
    found = []
    for begin in range(0, len(images), PREDICTION_BATCH):
        batch = images[begin : begin + PREDICTION_BATCH]
        short = PREDICTION_BATCH - len(batch)
        padded = np.concatenate([batch, np.repeat(batch[-1:], short, axis=0)]) if short else batch
        found.append(run(padded)[: len(batch)])
        on_batch(begin / len(images))
    return both_classes(np.concatenate(found))


def both_classes(probabilities: np.ndarray) -> np.ndarray:
    """(n, classes): of a model for two classes, which gives that of the second alone, both."""
    if probabilities.shape[1] > 1:
        return probabilities
    return np.concatenate([1 - probabilities, probabilities], axis=1)


def _costs(network: "Network", alive: Progress) -> FinalCosts:
    from models import flops
    from models.latency import measure

    cost = flops.count(network.model)
    alive("latency")
    latency = measure(network.model, run_seconds=LONG_SECONDS)
    alive("throughput")
    return FinalCosts(
        parameters=network.model.count_params(),
        macs=cost.macs,
        flops=cost.flops,
        latency=Latency(**asdict(latency)),
        throughput=throughput(lambda batch: measure(network.model, batch).median_ms / 1e3, latency.median_ms / 1e3),
    )


def throughput(seconds_of: Callable[[int], float], seconds_of_one: float) -> dict[str, float | None]:
    """Pictures a second for each of `THROUGHPUT_BATCHES`; None where a call would last too long or memory runs out.

    `seconds_of` measures a call on a batch; how long that will last is known from the batch before it.
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
            if explain(error)[0] != "out of memory":
                raise
            continue
        rates[str(batch)] = 1 / per_picture
    return rates


def _save_predictions(path: Path, probabilities: np.ndarray, labels: np.ndarray) -> None:
    part = path.with_name(f".{os.getpid()}.{path.name}")
    np.savez_compressed(part, probabilities=probabilities, labels=labels)
    part.replace(path)
