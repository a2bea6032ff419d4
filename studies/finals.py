"""Final evaluation: what a chosen model is worth on the test pictures, over several training runs."""

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import BeforeValidator, WrapSerializer, with_config

from models.candidate import AnyCandidate
from studies import strict
from studies.difference import Difference, Verdict, accuracy_interval, compare_all, graded, pool_seeds
from studies.outcomes import CheckedCandidate, DeployedLatency, Latency
from studies.paths import BASELINE, StudyFiles
from studies.scores import Scores


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
        costs: of the architecture, from the first run of each model, measured in the first of these that has this
            architecture; None in other runs.
        model_bytes: size of the `.keras` file.
        seconds: by phase: prepare (build, extract, trace), train, measure, test.
        shape: height, width and channels of a picture.
        overlap: test pictures that are among those that it was trained on.
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
    overlap: int = 0

    @property
    def n_test(self) -> int:
        """Number of test pictures."""
        return sum(self.scores.support)

    @property
    def training_seconds(self) -> float:
        """From building the network to the last epoch."""
        return self.seconds.get("prepare", 0.0) + self.seconds.get("train", 0.0)

    def to_json(self) -> str:
        """The text of a result file; that of an earlier version as it wrote it."""
        values = strict.to_values(self)
        if not self.overlap:
            del values["overlap"]
        return json.dumps(values, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "FinalRun":
        """From a result file.

        Raises:
            ValueError: it is none of this program's.
        """
        return strict.from_json(cls, text)


@dataclass(frozen=True)
class Predictions:
    """Of one run on the test pictures: probabilities (n, classes) float and labels (n,) int."""

    probabilities: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class FinalModel:
    """A model over all of its runs, beside the others.

    Attributes:
        interval: 95 % for the test accuracy, see `studies.difference.accuracy_interval`.
        best: whether it is the most accurate one on the test pictures.
        to_best: accuracy minus that of the most accurate one, corrected for all pairs of models; None for that one
            itself, and where predictions of either are missing.
        to_baseline: accuracy minus the baseline's, as the one comparison that was planned; None likewise.
        search_accuracy: val_accuracy in the search; None for a baseline that the search did not try.
    """

    label: str
    candidate: AnyCandidate
    runs: Sequence[FinalRun]
    accuracy: float
    interval: tuple[float, float]
    best: bool
    to_best: Difference | None
    to_baseline: Difference | None
    search_accuracy: float | None

    @property
    def verdict(self) -> Verdict:
        """What can be said of it beside the most accurate one."""
        if self.best:
            return Verdict.BEST
        return self.to_best.verdict if self.to_best else Verdict.UNKNOWN

    @property
    def gap(self) -> float | None:
        """Search accuracy minus test accuracy: chosen as the best of many, but trained on fewer pictures."""
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


def read_predictions(path: Path) -> Predictions | None:
    """The predictions of a run; None if the file is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return Predictions(stored["probabilities"], stored["labels"])
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None


class Guesses(NamedTuple):
    """Of one run: the true class of each test picture, (n,) int, and the one that it was taken for."""

    labels: np.ndarray
    predicted: np.ndarray

    @property
    def right(self) -> np.ndarray:
        """(n,) bool."""
        right: np.ndarray = self.predicted == self.labels
        return right


def read_guesses(files: StudyFiles, runs: Sequence[FinalRun]) -> dict[tuple[str, int], Guesses]:
    """By label and seed, what a run takes the test pictures for, the pictures in one order for all.

    A run whose predictions are missing, or are not those of its result or of the pictures of the others, is left out.
    """
    guesses: dict[tuple[str, int], Guesses] = {}
    labels = None
    for run in runs:
        found = read_predictions(files.run(run.label, run.seed).predictions)
        if found is None or found.probabilities.ndim != 2 or len(found.probabilities) != len(found.labels):
            continue
        own = Guesses(found.labels, found.probabilities.argmax(1))
        if own.right.shape != (run.n_test,) or own.right.mean() != run.scores.accuracy:
            continue
        labels = found.labels if labels is None else labels
        if np.array_equal(labels, found.labels):
            guesses[run.label, run.seed] = own
    return guesses


def read_answers(files: StudyFiles, runs: Sequence[FinalRun]) -> dict[tuple[str, int], np.ndarray]:
    """By label and seed, which test pictures a run has right, (n,) bool; those of `read_guesses`."""
    return {key: own.right for key, own in read_guesses(files, runs).items()}


def summarise(
    runs: Sequence[FinalRun],
    search: Mapping[str, float | None],
    answers: Mapping[tuple[str, int], np.ndarray] | None = None,
) -> list[FinalModel]:
    """The models of these runs, from the most to the least accurate.

    Args:
        runs: a model whose first one is missing, with which its costs were measured, is left out.
        search: the search's accuracy by label.
        answers: of the runs, see `read_answers`. Models of which some are missing are compared with none, and their
            interval takes runs to be right on the same pictures as far as they can be, which errs to a wider one.
    """
    groups: dict[str, list[FinalRun]] = {}
    for run in sorted(runs, key=lambda run: run.seed):
        groups.setdefault(run.label, []).append(run)
    kept = [own for own in groups.values() if any(run.costs is not None for run in own)]
    kept.sort(key=lambda own: -_accuracy(own))
    given = answers or {}
    known = [all((run.label, run.seed) in given for run in own) for own in kept]
    models = [
        graded(np.stack([given[run.label, run.seed] if is_known else _nested(run) for run in own]))
        for own, is_known in zip(kept, known, strict=True)
    ]
    seeds = pool_seeds(models)
    places = [place for place, is_known in enumerate(known) if is_known]
    every = {
        (places[i], places[j]): one for (i, j), one in compare_all([models[place] for place in places], seeds).items()
    }
    baseline = next((place for place, own in enumerate(kept) if own[0].label == BASELINE), -1)
    planned = {place: one.planned() for (place, other), one in every.items() if other == baseline}
    return [
        FinalModel(
            label=own[0].label,
            candidate=own[0].candidate,
            runs=own,
            accuracy=_accuracy(own),
            interval=accuracy_interval(models[place], seeds),
            best=place == 0,
            to_best=every.get((place, 0)),
            to_baseline=planned.get(place),
            search_accuracy=search.get(own[0].label),
        )
        for place, own in enumerate(kept)
    ]


def _accuracy(runs: Sequence[FinalRun]) -> float:
    return float(np.mean([run.scores.accuracy for run in runs]))


def _nested(run: FinalRun) -> np.ndarray:
    """(n,) bool with as many right as it had, the first ones: which they were is not known."""
    n = run.n_test
    return np.arange(n) < round(run.scores.accuracy * n)
