"""Some classes of a data set: `cifar10:cat,dog` is a two-class problem, `FOLDER:cat,dog` another.

What stands before the colon is a name of the catalogue or a folder, and what exists under the whole text goes first: a
folder may have a colon in its name, as every Windows path has. Labels are numbered anew in the order of the data set,
not in that of the text, so `cifar10:dog,cat` is the same data set. A subset is a restriction: its test pictures are
those of the whole that belong to its classes.
"""

import difflib
import hashlib
import os
import re
from collections.abc import Sequence

import numpy as np

from datasets import DataError
from datasets.catalogue import DATASETS
from datasets.wording import first_names, printable

_SHOWN = 10  # class names in a message
_NAME_LENGTH = 80  # characters of a subset's name before its classes are only counted


def cut_name(name_or_folder: str) -> tuple[str, str | None]:
    """What stands before the colon, and what after it; None where nothing is chosen.

    The longest beginning that is a name of the catalogue or an existing folder is cut off. If there is none the text
    is given back whole.
    """
    if name_or_folder in DATASETS or os.path.exists(name_or_folder):
        return name_or_folder, None
    for colon in (match.start() for match in reversed(list(re.finditer(":", name_or_folder)))):
        base = name_or_folder[:colon]
        if base in DATASETS or os.path.isdir(base):
            return base, name_or_folder[colon + 1 :]
    return name_or_folder, None


def base_name(name_or_folder: str) -> str:
    """The data set or folder without its chosen classes and options: `mnist` of `mnist:3,5`."""
    return cut_name(name_or_folder)[0]


def choose(text: str, class_names: Sequence[str], base: str) -> tuple[int, ...]:
    """The sorted numbers of the classes that `text` names, separated by commas, among `class_names`.

    Names are matched exactly, then without regard to case; a name that holds commas is matched as a whole. Raises
    DataError for an unknown or ambiguous name, for one given twice and for fewer than two.
    """
    pieces = text.split(",")
    chosen: list[int] = []
    while pieces:
        number, taken = _first(pieces, class_names, base, text)
        if number in chosen:
            raise DataError(
                f"{printable(base)}: class {printable(class_names[number])!r} is named twice. "
                f"Received: {printable(text)}"
            )
        chosen.append(number)
        pieces = pieces[taken:]
    if len(chosen) < 2:
        raise DataError(
            f"{printable(base)}: at least 2 classes must be named after the colon, separated by commas. "
            f"Received: {printable(text)}. Allowed: {_some(class_names)}"
        )
    return tuple(sorted(chosen))


def _first(pieces: list[str], class_names: Sequence[str], base: str, text: str) -> tuple[int, int]:
    """(number of the class, how many pieces its name takes) at the beginning of `pieces`."""
    for taken in range(len(pieces), 0, -1):
        whole = ",".join(pieces[:taken])
        for name in (whole, whole.strip()):
            if name in class_names:
                return class_names.index(name), taken
    name = pieces[0].strip()
    alike = [number for number, other in enumerate(class_names) if other.casefold() == name.casefold()]
    if len(alike) == 1:
        return alike[0], 1
    if not name:
        raise DataError(
            f"{printable(base)}: class names separated by commas must follow the colon. "
            f"Received: {printable(text)!r}. Allowed: {_some(class_names)}"
        )
    close = [class_names[number] for number in alike] or _close(name, class_names)
    guess = f" Did you mean {' or '.join(map(printable, close))}?" if close else ""
    raise DataError(f"{printable(base)} has no class {printable(name)!r}.{guess} Allowed: {_some(class_names)}")


def _close(name: str, class_names: Sequence[str]) -> list[str]:
    by_lower = {other.casefold(): other for other in class_names}
    return [by_lower[close] for close in difflib.get_close_matches(name.casefold(), by_lower, n=3)]


def _some(class_names: Sequence[str]) -> str:
    if len(class_names) <= _SHOWN:
        return ", ".join(map(printable, class_names))
    return first_names(list(class_names))


def only(images: np.ndarray, labels: np.ndarray, chosen: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """The pictures (n, h, w, c) and labels (n,) of the sorted classes `chosen`, numbered 0, 1, ... in their order."""
    rows = np.flatnonzero(np.isin(labels, chosen))
    return images[rows], np.searchsorted(np.asarray(chosen), labels[rows]).astype(np.int64)


def subset_name(base: str, class_names: Sequence[str]) -> str:
    """`cifar10_cat_dog`: safe in file and study names, and another one for other classes.

    Where names hold other characters than letters, digits, `.` and `-`, or are too many, a digest tells them apart.
    """
    plain = "_".join([base, *(re.sub(r"[^A-Za-z0-9._-]+", "-", name) for name in class_names)])
    if len(plain) <= _NAME_LENGTH and all(re.fullmatch(r"[A-Za-z0-9.-]+", name) for name in class_names):
        return plain
    mark = hashlib.sha256("\n".join(class_names).encode("utf-8", "surrogateescape")).hexdigest()[:8]
    short = plain if len(plain) <= _NAME_LENGTH else f"{base}_{len(class_names)}_classes"
    return f"{short}-{mark}"
