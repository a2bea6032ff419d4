"""What a worker is given to do, and where it leaves what comes of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hpo.config import StudyConfig
from hpo.worker import checkpoints
from hpo.worker.facts import Facts
from models.candidate import AnyCandidate, Candidate
from studies.outcomes import Measurement
from studies.paths import TrialFiles


@dataclass(frozen=True)
class Measured:
    """What a job's architecture costs, from a task that did nothing else, and the seconds that it took, by phase."""

    measurement: Measurement
    spent: Mapping[str, float]


@dataclass(frozen=True)
class Job:
    """One trial for a worker, up to its next rung.

    `folder` receives the outcome, signs of life and checkpoints; `spent` are the seconds of the rungs before, by phase.
    `judge` says why the trial stops behind an epoch, of an accuracy and what it costs: then it is trained in one go.
    `measurement` is what was measured before, where training is a task of its own, for a worker on any device.
    """

    config: StudyConfig
    study_id: str
    number: int
    candidate: AnyCandidate
    facts: Facts
    folder: Path
    spent: Mapping[str, float] = field(default_factory=dict)
    judge: Callable[[int, float, Measurement], str] | None = None
    measurement: Measurement | None = None

    @property
    def of_backbone(self) -> Candidate:
        """Its candidate, where that is one of a backbone."""
        assert isinstance(self.candidate, Candidate)
        return self.candidate

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the pictures that the network gets."""
        return (self.side, self.side, self.facts.shape[2]) if self.config.decodes_each else self.facts.shape

    @property
    def side(self) -> int:
        """To which a folder's pictures are decoded for it."""
        if self.config.decodes_each and isinstance(self.candidate, Candidate):
            return self.candidate.resolution
        return self.facts.resolutions[-1]

    @property
    def features(self) -> tuple[str, ...]:
        """What it can use if trials before it stored it where it runs, the most useful first: its cut, its pictures."""
        if not isinstance(self.candidate, Candidate):
            return ()
        side, kept = self.candidate.resolution, self.candidate.keep_blocks
        return (f"{side} px, {kept} kept, {self.candidate.unfreeze_depth} free", f"{side} px")

    @property
    def files(self) -> TrialFiles:
        """Where the trial leaves its result, or its error."""
        return TrialFiles(self.folder, self.number)

    @property
    def checkpoint_path(self) -> Path:
        """Where it stands at a rung."""
        return checkpoints.path_of(self.folder, self.study_id, self.candidate)

    @property
    def seed(self) -> int:
        """The study's: all candidates see one order of pictures and one dropout noise, and differ by what they are."""
        return self.config.seed
