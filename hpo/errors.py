"""What can go wrong, by who must act: the user (`MISTAKES`), or nobody yet (a worker, a study)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import ValidationError

from datasets import DataError
from datasets.wording import printable
from models import ModelError
from studies.errors import NotComparable, NotWritable, PackageMissing, StorageError, StudyRefused

if TYPE_CHECKING:
    from studies.records import TrialRecord

__all__ = [
    "MISTAKES",
    "BadField",
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


class BadField(BadInput):
    """One field or argument is wrong. The message begins with its name; a command shows it as its option.

    Attributes:
        field: its name, such as "max_latency_ms".
        text: the rest of the message: "must be ... Received: ..."
    """

    def __init__(self, field: str, text: str):
        super().__init__(field, text)  # what pickle calls the class with again
        self.field, self.text = field, text

    def __str__(self) -> str:
        return f"{self.field} {self.text}"

    @property
    def as_option(self) -> str:
        """The message for a command line: `--max-latency-ms must ...`."""
        return f"--{self.field.replace('_', '-')} {self.text}"


# What a user got wrong; each message is one line. What the machine refuses is a StorageError.
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


# By pydantic's type of an error; what is in braces is its context.
WORDS = {
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "greater_than": "must be above {gt}",
    "int_parsing": "must be an integer",
    "int_type": "must be an integer",
    "int_from_float": "must be an integer",
    "int_parsing_size": "must be an integer of a sensible size",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be finite",
    "literal_error": "must be one of {expected}",
    "string_type": "must be text",
    "tuple_type": "must be a list",
    "path_type": "must be a path",
    "too_short": "must name at least one",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "extra_forbidden": "is not a field of StudyConfig",
}


def explain_field(error: ValidationError) -> BadField:
    """The first wrong field of a configuration: its name, what is allowed, what was received."""
    first = error.errors()[0]
    context, words = first.get("ctx", {}), WORDS.get(first["type"])
    cause = context.get("error")
    if isinstance(cause, BadField):
        return cause
    name = str(first["loc"][0])
    text = words.format(**context).replace("'", "") if words else str(cause or first["msg"])
    if "Received" not in text:
        text = f"{text}. Received: {str(first['input'])[:200]}"
    name, text = printable(name), printable(text)  # a database or a file may have given them
    return BadField(name, text.removeprefix(f"{name} "))  # a check that is not of this configuration names its subject
