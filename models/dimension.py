"""What can be said of a dimension of the search: how it is searched, and how people read it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

PARTS = ("input", "backbone", "head", "training")  # what a dimension is about, from the picture on


class Searched(StrEnum):
    """When a study searches a dimension."""

    ALWAYS = "always"
    ON_REQUEST = "on request"  # if --search names it
    LISTED = "listed"  # if an option of its own lists more than one of its choices


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included: integers `step` apart, without it any number between."""

    low: float
    high: float
    step: int | None = None
    log: bool = False


Values = Range | tuple[Any, ...]  # a tuple has choices


def among(value: Any, values: Values) -> bool:
    """Whether a value is one of the choices, or within the range."""
    return value in values if isinstance(values, tuple) else values.low <= value <= values.high


def share(one: Values, other: Values) -> bool:
    """Whether any value is among both."""
    if isinstance(one, tuple):
        return any(among(value, other) for value in one)
    if isinstance(other, tuple):
        return share(other, one)
    return max(one.low, other.low) <= min(one.high, other.high)


@dataclass(frozen=True)
class Check:
    """What a field may be, wherever it comes from: more than is searched."""

    passes: Callable[[Any], bool]
    allowed: str


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """One thing that a trial decides: how it is searched, what it is a part of, and how people read it.

    Attributes:
        name: of the field of `Candidate`, and of the parameter in Optuna.
        values: to search.
        of_study: whether backbone and data of a study say which of them; of choices they say all.
        check: of the field, if it may be more than one of `values`.
        searched: always, on request or listed.
        option: field of the study's configuration that has the value where it is not searched, or lists the values.
        default: of the field; None where a value must be given.
        first: the value of a study's first candidates if it is searched; None for the default, or the first listed.
        sets: the field that it decides, if that has another name.
        under: drawn only where these fields have one of these values.
        only: where that is, in words.
        part: one of `PARTS`.
        key: its piece of `architecture_key`, left out for the default; only of what changes inference.
        each_head: whether heads that are trained together may differ in it.
        title: of an axis, with the unit; "" for the name.
        words: for a candidate in one line, a format of the candidate or a function of it.
        unit: behind values, with a space before it.
        zero: what 0 means.
        meanings: of its choices.
    """

    name: str
    values: Values
    of_study: bool = False
    check: Check | None = None
    searched: Searched = Searched.ALWAYS
    option: str = ""
    default: Any = None
    first: Any = None
    sets: str = ""
    under: Mapping[str, Values] = field(default_factory=dict)
    only: str = ""
    part: Literal["input", "backbone", "head", "training"]
    key: str = ""
    each_head: bool = False
    title: str = ""
    words: str | Callable[[Any], str] = ""
    unit: str = ""
    zero: str = ""
    meanings: Mapping[str, str] = field(default_factory=dict)

    @property
    def field(self) -> str:
        """The field of a candidate that it decides."""
        return self.sets or self.name

    @property
    def log(self) -> bool:
        """Whether it is searched on a logarithmic scale."""
        return isinstance(self.values, Range) and self.values.log

    @property
    def changes_inference(self) -> bool:
        """Whether latency and FLOPs depend on it."""
        return self.key != ""

    @property
    def valid(self) -> Check:
        """What values are allowed, and how that is said."""
        choices = self.values if isinstance(self.values, tuple) else ()
        return self.check or Check(lambda value: value in choices, f"one of {', '.join(choices)}")

    def applies(self, values: Mapping[str, Any]) -> bool:
        """Whether it is drawn for a candidate with these fields."""
        return all(among(values[name], allowed) for name, allowed in self.under.items())

    def say(self, candidate: object) -> str:
        """Its words for a candidate."""
        return self.words.format(candidate) if isinstance(self.words, str) else self.words(candidate)
