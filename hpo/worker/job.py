"""What a worker is given to do, and where it leaves what comes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hpo.config import StudyConfig
from hpo.worker import checkpoints
from hpo.worker.facts import Facts
from models.candidate import Candidate
from studies.paths import TrialFiles


@dataclass(frozen=True)
class Job:
    """One trial for a worker, up to its next rung.

    `folder` receives the outcome, signs of life and checkpoints; `spent` are the seconds of the rungs before, by phase.
    """

    config: StudyConfig
    study_id: str
    number: int
    candidate: Candidate
    facts: Facts
    folder: Path
    spent: Mapping[str, float] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the pictures that the network gets."""
        return (self.side, self.side, self.facts.shape[2]) if self.config.decodes_each else self.facts.shape

    @property
    def side(self) -> int:
        """To which a folder's pictures are decoded for it."""
        return self.candidate.resolution if self.config.decodes_each else self.facts.resolutions[-1]

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
