"""JSON both ways by type: nothing is converted, nothing unknown is let in, nothing missing is made up."""

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from studies.wording import printable

# For `pydantic.with_config` on a frozen dataclass.
STRICT = ConfigDict(strict=True, extra="forbid")

T = TypeVar("T")
_adapter: Callable[[Any], TypeAdapter[Any]] = functools.cache(TypeAdapter)


def to_values(record: Any) -> dict[str, Any]:
    """A dataclass as nested dicts that `json.dumps` takes."""
    return _adapter(type(record)).dump_python(record)


def to_json(record: Any) -> str:
    """A dataclass as the text of a file."""
    return json.dumps(to_values(record), indent=1)  # not pydantic's, which makes null of an infinite loss


def from_json(kind: type[T], text: str) -> T:
    """A dataclass from the text of a file.

    Raises:
        ValueError: it is no JSON, or a field is missing, unknown or of another type; one line that names the first.
    """
    try:
        return _adapter(kind).validate_json(text)
    except ValidationError as error:
        raise _explained(kind, error) from error


def from_values(kind: type[T], values: Mapping[str, Any]) -> T:
    """As `from_json`, from what JSON has of the dataclass."""
    return from_json(kind, json.dumps(dict(values)))  # a strict check of Python's values would want tuples and enums


def _explained(kind: type, error: ValidationError) -> ValueError:
    first = error.errors()[0]
    field = ".".join([kind.__name__, *map(str, first["loc"])])
    words = f"{field}: {first['msg'][0].lower()}{first['msg'][1:]}"
    return ValueError(printable(words))  # a field may be called anything
