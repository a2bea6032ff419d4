"""Data sets that this process was given, in place of a folder or a file that is not on its machine."""

from dataclasses import dataclass

from datasets.dataset import Dataset, DatasetFacts


@dataclass(frozen=True)
class Given:
    """The development part of a data set, read elsewhere.

    Attributes:
        name: the name or folder by which it is asked for here.
        look: what `datasets.registry.inspect` told there.
        side: height and width that its pictures were decoded to; None for those of the catalogue.
        data: what `datasets.registry.open_dataset` gave there; its pictures may be read-only.
    """

    name: str
    look: DatasetFacts
    side: int | None
    data: Dataset


_given: dict[tuple[str, int | None], Given] = {}


def give(given: Given) -> None:
    """From now on it is what this process finds under its name, at its side."""
    _given[given.name, given.side] = given


def look_of(name: str) -> DatasetFacts | None:
    """What was told of a data set; None if this process was not given it."""
    return next((each.look for each in _given.values() if each.name == name), None)


def data_of(name: str, side: int | None) -> Dataset | None:
    """A data set at a side in pixels; None if this process was not given it."""
    found = _given.get((name, side))
    return found.data if found else None


def withdraw() -> None:
    """Forget all of them."""
    _given.clear()
