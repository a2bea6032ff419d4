"""How a worker trains a chosen model for good: on train and validation pictures, tested once, saved to be used."""

import json
import os
import traceback
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from datasets.registry import open_test
from datasets.splits import Split
from hpo.evaluation import explain
from hpo.facts import Facts, check_unchanged, split_of
from hpo.job import Job
from hpo.learning import recipe_of
from hpo.measurements import write_atomically
from hpo.networks import task
from hpo.progress import Progress, peak_memory_mib, reset_peak_memory, timed
from hpo.sources import Sources
from models.candidate import Candidate
from studies.finals import FinalRun
from studies.scores import score

if TYPE_CHECKING:
    from models.build import Network
    from models.training import State, Trainer

LONG_SECONDS = 5.0  # of measured runs for the final latency
THROUGHPUT_BATCHES = (32, 256)
PREDICTION_BATCH = 128
CLASS_NAMES = "class_names.json"  # inside the .keras file, which is a zip archive


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
    job, facts = final.job, final.job.facts
    check_unchanged(job.config, facts)
    reset_peak_memory()
    own = replace(job, config=job.config.model_copy(update={"seed": final.seed}))
    parts = split_of(job.config, facts.resolutions[-1])
    everything = Split(np.sort(np.concatenate([parts.train, parts.val])), np.empty(0, np.int64))
    seconds: dict[str, float] = {}
    with timed("prepare", seconds) as clock:

        def on_step(*where: float) -> None:
            clock.now("train")
            alive("train", *where)

        network, trainer, state = _trained(final, own, everything, on_step, lambda *where: alive("extract", *where))
    trainer.restore(state)
    memory = peak_memory_mib()
    alive("measure")
    probabilities, labels = _predict(own, network, facts, alive)
    final.folder.mkdir(parents=True, exist_ok=True)
    size = save_model(network.model, facts.class_names, final.folder / "model.keras")
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
        costs=_costs(network) if final.measure else {},
        model_bytes=size,
        seconds=seconds,
        peak_memory_mib=memory,
        machine=facts.machine,
    )
    write_atomically(final.result_path, run.to_json())


def _trained(
    final: FinalJob, own: Job, parts: Split, on_step: Any, on_extract: Any
) -> "tuple[Network, Trainer, State]":
    """A network of its own, trained from where the planner says: nothing is shared with other runs but the store."""
    from models.build import build_network
    from models.features import PICTURES, cut_tensors
    from models.training import Trainer

    sets = Sources(own, parts)
    start, train_set, val_set, _ = sets.start(on_extract)
    network = build_network(own.candidate, task(own), final.seed)
    trainer = Trainer(network, cut_tensors(network)[start], own.candidate.optimizer)
    state = trainer.begin()
    recipe = replace(recipe_of(own), plateaus=final.plateaus)
    transform = sets.transform if start == PICTURES else None
    trainer.run(state, train_set, val_set, recipe, final.epochs, on_step, transform=transform)
    return network, trainer, state


def _predict(job: Job, network: "Network", facts: Facts, alive: Progress) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, classes) float32 and labels (n,) of the test pictures, each seen once."""
    from models.backend import forward

    config = job.config
    images, labels = open_test(
        config.dataset, config.data_dir, config.cache_dir, facts.resolutions[-1], config.skip_unreadable
    )
    run = forward(network.model)
    found = []
    for begin in range(0, len(images), PREDICTION_BATCH):
        batch = images[begin : begin + PREDICTION_BATCH]
        short = PREDICTION_BATCH - len(batch)
        padded = np.concatenate([batch, np.repeat(batch[-1:], short, axis=0)]) if short else batch
        found.append(run(padded)[: len(batch)])
        alive("measure", begin / len(images))
    return both_classes(np.concatenate(found)), labels


def both_classes(probabilities: np.ndarray) -> np.ndarray:
    """(n, classes): of a model for two classes, which gives that of the second alone, both."""
    if probabilities.shape[1] > 1:
        return probabilities
    return np.concatenate([1 - probabilities, probabilities], axis=1)


def _costs(network: "Network") -> dict[str, Any]:
    from models import flops
    from models.latency import measure

    cost = flops.count(network.model)
    latency = measure(network.model, run_seconds=LONG_SECONDS)
    rates = {}
    for batch in THROUGHPUT_BATCHES:
        rates[str(batch)] = 1e3 * batch / measure(network.model, batch).median_ms
    return {
        "parameters": network.model.count_params(),
        "macs": cost.macs,
        "flops": cost.flops,
        "latency": asdict(latency),
        "throughput": rates,
    }


def save_model(model: Any, class_names: Sequence[str], path: Path) -> int:
    """Write the `.keras` file with the class names inside, in one step; returns its size in bytes.

    It takes raw uint8 pictures in the data set's size and gives probabilities, and loads with plain
    `keras.saving.load_model`, which leaves the entry `class_names.json` of the archive alone.
    """
    part = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        model.save(part)
        with zipfile.ZipFile(part, "a") as archive:
            archive.writestr(CLASS_NAMES, json.dumps(list(class_names), ensure_ascii=False))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path.stat().st_size


def _save_predictions(path: Path, probabilities: np.ndarray, labels: np.ndarray) -> None:
    part = path.with_name(f".{os.getpid()}.{path.name}")
    np.savez_compressed(part, probabilities=probabilities, labels=labels)
    part.replace(path)


def baseline_of(candidate: Candidate, resolution: int) -> Candidate:
    """The pretrained network as it is, with a linear head: what anything else has to beat."""
    return Candidate(candidate.backbone, 0, 0, 0.2, 3e-3, "cosine", resolution)
