"""Which models of a study get the final training, and what each of their runs is given to do."""

from collections.abc import Sequence
from dataclasses import dataclass

from hpo.config import StudyConfig
from hpo.errors import BadField, BadInput
from hpo.final.training import FinalJob
from hpo.worker.facts import Facts
from hpo.worker.job import Job
from models.candidate import AnyCandidate, Candidate
from models.training import schedules
from studies.fingerprint import Fingerprint
from studies.pareto import front
from studies.paths import BASELINE, StudyFiles
from studies.recommendation import ends_and_recommended
from studies.records import CompleteTrial, TrialRecord, complete, linear_probe
from studies.rules import default_rule


@dataclass(frozen=True)
class Finalist:
    """A model to be evaluated.

    Attributes:
        label: the trial's number as a text, or BASELINE.
        number: of the trial; of a baseline that was never tried, the next one.
        epochs: as many as were best in the search.
        plateaus: the factors that reduce_on_plateau had in each epoch of the search.
        search_accuracy: val_accuracy in the search; None if it was never tried.
    """

    label: str
    number: int
    candidate: AnyCandidate
    epochs: int
    plateaus: tuple[float, ...]
    search_accuracy: float | None


def choose(records: Sequence[TrialRecord], pick: str, trials: str | None, fingerprint: Fingerprint) -> list[Finalist]:
    """The trials to evaluate: the front, or its two ends and the recommended one (`pick` few), or those named.

    Args:
        records: all trials of the study.
        pick: "front" or "few".
        trials: numbers separated by commas; None to follow `pick`.
        fingerprint: of the study, for what is recommended.

    Raises:
        BadInput: a number is not that of a complete trial, or there is no complete trial at all.
    """
    trained = {record.number: record for record in complete(records)}
    if not trained:
        raise BadInput("the study has no complete trial: there is nothing to evaluate")
    if trials is None:
        rule = default_rule(fingerprint.max_latency_ms, fingerprint.max_gflops)
        few = ends_and_recommended(records, rule, fingerprint.val_size)
        return [_of(record) for record in (front(records) if pick == "front" else few)]
    words = [word.strip() for word in trials.split(",") if word.strip()]
    if not words or not all(word.isdecimal() and int(word) in trained for word in words):
        there = ", ".join(map(str, trained))
        raise BadField("trials", f"must be numbers of complete trials ({there}). Received: {trials}")
    return [_of(trained[number]) for number in dict.fromkeys(int(word) for word in words)]


def baseline(records: Sequence[TrialRecord], config: StudyConfig, resolution: int) -> Finalist | None:
    """The pretrained network with all of it frozen and a linear head: what everything else has to beat.

    The best such trial of the search; where there is none, one with usual values at this resolution, in pixels. None
    where training is from scratch, or a HyperModel decides what it begins with.
    """
    if config.weights == "none" or config.is_hypermodel:
        return None
    tried = linear_probe(records)
    if tried is not None:
        return _of(tried, BASELINE)
    usual = Candidate(
        backbone=config.backbone,
        unfreeze_depth=0,
        head_width=0,
        dropout=0.2,
        learning_rate=3e-3,
        lr_schedule="cosine",
        resolution=resolution,
        batch_size=config.batch_size,
    )
    return Finalist(BASELINE, len(records), usual, config.epochs, (), None)


def beside_baseline(finalists: Sequence[Finalist], beside: Finalist | None, *, named: bool) -> list[Finalist]:
    """The models and the baseline; a trial that is the baseline itself is not trained twice unless it was `named`."""
    if beside is None:
        return list(finalists)
    return [*(one for one in finalists if named or one.candidate != beside.candidate), beside]


def jobs_for(
    finalists: Sequence[Finalist], seeds: int, config: StudyConfig, facts: Facts, study_id: str, overlap: int = 0
) -> list[FinalJob]:
    """All runs, those of one model one after the other; costs are measured in the first of each."""
    folder = StudyFiles(config.study_dir).final
    return [
        FinalJob(job, finalist.label, seed, finalist.epochs, finalist.plateaus, seed == 0, overlap=overlap)
        for finalist in finalists
        for job in (Job(config, study_id, finalist.number, finalist.candidate, facts, folder),)
        for seed in range(seeds)
    ]


def _of(record: CompleteTrial, label: str | None = None) -> Finalist:
    losses = [point["val_loss"] for point in record.learning_curve]
    plateaus: tuple[float, ...] = ()
    if isinstance(record.candidate, Candidate) and record.candidate.lr_schedule == "reduce_on_plateau":
        plateaus = tuple(schedules.plateau_scale(losses[:epoch]) for epoch in range(len(losses)))
    return Finalist(
        label or str(record.number), record.number, record.candidate, record.best_epoch, plateaus, record.val_accuracy
    )
