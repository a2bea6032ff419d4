"""What a trial keeps beside its values, checked by type where it is read: the database may be anyone's.

The names of the fields are those of `studies.attributes`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ConfigDict, with_config

from studies import strict

# Attributes that are not read here, or are of another version, do no harm.
_LENIENT = ConfigDict(strict=True, extra="ignore")


@with_config(_LENIENT)
@dataclass(frozen=True)
class KeptFailure:
    """Why a trial failed."""

    kind: str
    reason: str


@with_config(_LENIENT)
@dataclass(frozen=True)
class Kept:
    """Of one trial; None, or nothing, where it is not kept."""

    candidate: dict[str, Any] | None = None
    architecture: str = ""
    measurement: dict[str, Any] | None = None
    trainable_parameters: int | None = None
    best_epoch: int | None = None
    learning_curve: list[dict[str, float | None]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    val_right: str = ""
    failure: KeptFailure | None = None
    stopped: str | None = None
    duplicate_of: int | None = None
    retry_of: int | None = None


def kept(attributes: Mapping[str, Any]) -> Kept:
    """From a trial's user attributes.

    Raises:
        ValueError: one of them is of another type; one line that names it.
    """
    return strict.from_values(Kept, attributes)


def kept_if_readable(attributes: Mapping[str, Any]) -> Kept:
    """The same; nothing of a trial that is unreadable."""
    try:
        return kept(attributes)
    except ValueError:
        return Kept()
