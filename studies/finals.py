"""Final evaluation: what a chosen model is worth on the test pictures, over several training runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, WrapSerializer, with_config

from models.candidate import Candidate
from studies import strict
from studies.outcomes import CheckedCandidate, DeployedLatency, Latency
from studies.paths import StudyFiles
from studies.scores import Scores, accuracy_interval


@with_config(strict.STRICT)
@dataclass(frozen=True)
class FinalCosts:
    """What a final model costs at inference.

    Attributes:
        latency: of one picture.
        throughput: pictures a second for batches of "32" and "256", None where that could not be measured.
    """

    parameters: int
    macs: int
    flops: int
    latency: DeployedLatency | Latency
    throughput: Mapping[str, float | None]


# In a file no costs are {}.
Costs = Annotated[
    FinalCosts | None,
    BeforeValidator(lambda value: None if value == {} else value),
    WrapSerializer(lambda value, serialise: {} if value is None else serialise(value)),
]


@with_config(strict.STRICT)
@dataclass(frozen=True)
class FinalRun:
    """One model trained on train and validation pictures and evaluated once on the test pictures.

    Attributes:
        label: the trial's number as a text, or BASELINE.
        epochs: passes over the pictures; the schedule is that of the whole search.
        curve: one dict for each epoch, without validation.
        costs: of the architecture, from the first run of each model; None in other runs.
        model_bytes: size of the `.keras` file.
        seconds: of training, by phase: prepare (build, extract, trace), train.
        shape: height, width and channels of a picture.
    """

    study_id: str
    label: str
    seed: int
    candidate: CheckedCandidate
    epochs: int
    n_train: int
    curve: Sequence[Mapping[str, Any]]
    scores: Scores
    costs: Costs
    model_bytes: int
    seconds: Mapping[str, float]
    peak_memory_mib: float
    machine: Mapping[str, Any]
    shape: Sequence[int] = ()
    class_names: Sequence[str] = ()

    def to_json(self) -> str:
        """The text of a result file."""
        return strict.to_json(self)

    @classmethod
    def from_json(cls, text: str) -> "FinalRun":
        """From a result file.

        Raises:
            ValueError: it is none of this program's.
        """
        return strict.from_json(cls, text)


@dataclass(frozen=True)
class FinalModel:
    """A model over all of its runs, beside the others.

    Attributes:
        interval: 95 % for the test accuracy, see `studies.scores.accuracy_interval`.
        tied: whether its interval overlaps that of the most accurate model.
        search_accuracy: val_accuracy in the search; None for a baseline that the search did not try.
    """

    label: str
    candidate: Candidate
    runs: Sequence[FinalRun]
    accuracy: float
    interval: tuple[float, float]
    tied: bool
    search_accuracy: float | None

    @property
    def gap(self) -> float | None:
        """What the search was too optimistic by: search accuracy minus test accuracy."""
        return None if self.search_accuracy is None else self.search_accuracy - self.accuracy

    @property
    def costs(self) -> FinalCosts:
        """Measured once, in one of its runs."""
        return next(run.costs for run in self.runs if run.costs is not None)

    def mean(self, name: str) -> float | None:
        """Of a number of `Scores` over the runs; None where it is None."""
        numbers = [getattr(run.scores, name) for run in self.runs]
        return None if numbers[0] is None else float(np.mean(numbers))

    def confusion(self) -> np.ndarray:
        """(classes, classes): pictures of all runs together, rows are true classes."""
        total: np.ndarray = np.sum([run.scores.confusion for run in self.runs], axis=0)
        return total


def read_runs(files: StudyFiles, study_id: str) -> list[FinalRun]:
    """The runs of this study that are finished and readable; by label and seed."""
    runs = []
    for run_files in files.runs():
        try:
            run = FinalRun.from_json(run_files.result.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # of another version of this program, or not ours
        if run.study_id == study_id and run_files == files.run(run.label, run.seed):
            runs.append(run)
    return sorted(runs, key=lambda run: (run.label, run.seed))


def summarise(runs: Sequence[FinalRun], search: Mapping[str, float | None]) -> list[FinalModel]:
    """The models of these runs, from the most to the least accurate; `search` has the search's accuracy by label.

    A model whose first run is missing, with which its costs were measured, is left out.
    """
    groups: dict[str, list[FinalRun]] = {}
    for run in sorted(runs, key=lambda run: run.seed):
        groups.setdefault(run.label, []).append(run)
    models = []
    for label, own in groups.items():
        if all(run.costs is None for run in own):
            continue
        accuracies = [run.scores.accuracy for run in own]
        interval = accuracy_interval(accuracies, sum(own[0].scores.support))
        mean = float(np.mean(accuracies))
        models.append(FinalModel(label, own[0].candidate, own, mean, interval, False, search.get(label)))
    if not models:
        return []
    models.sort(key=lambda model: -model.accuracy)
    best = models[0].interval
    return [
        FinalModel(**{**vars(model), "tied": model.interval[1] >= best[0] and model.interval[0] <= best[1]})
        for model in models
    ]
