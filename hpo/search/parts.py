"""What a search is put together from: who watches it, what its workers do, and a trial on its way."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import optuna

from hpo.config import StudyConfig
from hpo.search.hyperspace import AnySpace
from hpo.search.mapping import ProbeSide
from hpo.search.stopping import Decision, decide
from hpo.worker.executor import Watcher
from hpo.worker.facts import Facts
from hpo.worker.hypermodel import explore
from hpo.worker.job import Job, Measured
from hpo.worker.mapping import probe_side
from hpo.worker.remeasure import measure_again
from hpo.worker.rungs import FIRST_RUNG
from hpo.worker.session import prepare
from hpo.worker.trial import attempt, measure
from models.candidate import AnyArchitecture, AnyCandidate, Candidate
from studies.outcomes import Failure, Latency, Outcome
from studies.records import TrialRecord

if TYPE_CHECKING:
    from models.own.hyper_space import Asked


class Display(Watcher, Protocol):
    """Whoever is told how the search goes."""

    def prepared(self, config: StudyConfig, facts: Facts, records: list[TrialRecord]) -> None:
        """Data, weights and machine were looked at, and what an earlier run left was settled."""

    def told(self, record: TrialRecord, records: list[TrialRecord]) -> None:
        """A trial ended; `records` are all of the study's."""


def first_candidates(space: AnySpace) -> Sequence[AnyCandidate]:
    """Those that a study without a map begins with."""
    return space.first_candidates()


@dataclass(frozen=True)
class Parts:
    """What a search is put together from; tests hand over others.

    Attributes:
        prepare, explore, probe_side, measure, attempt, measure_again: what workers are given to do; `explore` for a
            HyperModel, `measure` where some workers only train.
        first_candidates: those that a study without a map begins with.
        decide: whether a trial goes on from a rung.
        first_rung: epochs before the first decision.
    """

    prepare: Callable[[StudyConfig], Facts] = prepare
    explore: Callable[[StudyConfig], "Asked"] = explore
    probe_side: ProbeSide = probe_side
    measure: Callable[[Sequence[Job]], list[Measured | Failure]] = measure
    attempt: Callable[[Sequence[Job], int], list[Outcome | Failure]] = attempt
    measure_again: Callable[[Sequence[Job], Sequence[AnyArchitecture]], Mapping[str, Latency]] = measure_again
    first_candidates: Callable[[AnySpace], Sequence[AnyCandidate]] = first_candidates
    decide: Callable[..., Decision] = decide
    first_rung: int = FIRST_RUNG


REAL = Parts()


@dataclass(frozen=True)
class Leg:
    """A trial on its way to its next rung, or to its end."""

    trial: optuna.Trial
    job: Job
    until: int  # epoch
    alone: bool = False  # it was interrupted: if it is the cause, no other trial is to suffer for it

    def joins(self, other: "Leg") -> bool:
        """Whether the two can be trained together: heads on the same features, equally far."""
        mine, theirs = self.job.candidate, other.job.candidate
        if not (isinstance(mine, Candidate) and isinstance(theirs, Candidate) and mine.joins_heads):
            return False
        alike = mine.shared_by_heads() == theirs.shared_by_heads()
        equally_far = self.until == other.until and (self.job.measurement is None) == (other.job.measurement is None)
        return alike and equally_far and not (self.alone or other.alone)
