"""What can go wrong, by who must act: the user (`MISTAKES`), or nobody yet (a worker, a study)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from datasets import DataError
from models import ModelError
from studies.errors import NotComparable, NotWritable, PackageMissing, StorageError, StudyRefused

if TYPE_CHECKING:
    from studies.records import TrialRecord

__all__ = [
    "MISTAKES",
    "BadInput",
    "DataError",
    "ModelError",
    "NotComparable",
    "NotWritable",
    "PackageMissing",
    "StorageError",
    "StudyRefused",
    "StudyStopped",
    "TaskFailed",
    "WorkerLost",
]


class BadInput(ValueError):
    """A user's mistake; the message is one line that names the field, what was received and what is allowed."""


# All that a user can mend; each message is one line.
MISTAKES: tuple[type[Exception], ...] = (
    BadInput,
    DataError,
    ModelError,
    NotComparable,
    NotWritable,
    PackageMissing,
    StudyRefused,
)


class TaskFailed(RuntimeError):
    """A task raised in a worker something that is not the user's mistake.

    Attributes:
        kind: groups failures that are alike.
        reason: one line, the message.
        details: the traceback in the worker.
    """

    def __init__(self, kind: str, reason: str, details: str = ""):
        super().__init__(kind, reason, details)  # what pickle calls the class with again
        self.kind, self.reason, self.details = kind, reason, details

    def __str__(self) -> str:
        return self.reason


class WorkerLost(RuntimeError):
    """A worker died, or gave no sign of life; the message is one line. `stalled` tells which."""

    def __init__(self, reason: str, stalled: bool = False):
        super().__init__(reason)
        self.stalled = stalled


class StudyStopped(RuntimeError):
    """The study cannot go on; the message is one line with the reason, `records` are its trials so far."""

    def __init__(self, reason: str, records: "Sequence[TrialRecord]"):
        super().__init__(reason)
        self.records = list(records)
