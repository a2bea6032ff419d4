"""What a preview shows: sample pictures of each class, and how many pictures the classes have."""

from typing import NamedTuple

import numpy as np

from datasets.augmentation import augmentation
from datasets.dataset import Dataset, DatasetFacts
from datasets.wording import counted, printable

MAX_CLASSES = 100  # more rows nobody reads
MAX_SLICES = 12
_LEAST_SHARE = 0.01  # a thinner slice of a pie cannot be labelled
CHANGED = 4  # changed copies of a class's first sample
_SEED = 0


class ClassRow(NamedTuple):
    """A class: its name, how many pictures it has, and some of them."""

    name: str
    pictures: int
    samples: np.ndarray  # (k, h, w, c) uint8
    changed: np.ndarray  # (0 or CHANGED, h, w, c) uint8: the first sample after augmentation


class Preview(NamedTuple):
    """What is drawn. `rows` are the first `MAX_CLASSES` classes; `counts` are those of all."""

    facts: DatasetFacts
    side: int  # of the pictures as they come, for a folder a typical one; they may be shown smaller
    digest: str
    rows: tuple[ClassRow, ...]
    counts: tuple[int, ...]
    slices: tuple[tuple[str, int], ...]  # (label, pictures), largest first, what is left over last
    augment: str

    @property
    def n(self) -> int:
        """Number of pictures."""
        return sum(self.counts)


def to_preview(data: Dataset, side: int, per_class: int, augment: str, dataset: str) -> Preview:
    """Samples of the development part, drawn with a fixed seed; the test split is not looked at.

    `side` is that of the pictures before they were decoded to the size of `data`, `augment` one of `AUGMENTATIONS`,
    `dataset` the name that was asked for.
    """
    names = data.facts.class_names
    counts = np.bincount(data.labels, minlength=len(names))
    change = augmentation(augment, dataset, names)
    rows = []
    for label, name in enumerate(names[:MAX_CLASSES]):
        rng = np.random.default_rng([_SEED, label])
        members = np.flatnonzero(data.labels == label)
        samples = data.images[np.sort(rng.permutation(members)[:per_class])]
        first = np.repeat(samples[:1], CHANGED, axis=0)
        changed = first[:0] if change is None or not len(first) else change(first, rng)
        rows.append(ClassRow(name, int(counts[label]), np.asarray(samples), changed))
    slices = to_slices(names, counts.tolist())
    return Preview(data.facts, side, data.digest, tuple(rows), tuple(counts.tolist()), slices, augment)


def to_slices(names: tuple[str, ...], counts: list[int]) -> tuple[tuple[str, int], ...]:
    """The largest classes and one slice for all others, so that each can be labelled."""
    order = sorted(range(len(names)), key=lambda label: -counts[label])
    large = [label for label in order if counts[label] >= _LEAST_SHARE * sum(counts)]
    if len(order) - len(large) == 1 or (len(large) == len(order) <= MAX_SLICES):
        large = order
    if len(large) > MAX_SLICES or len(large) < len(order):
        large = large[: MAX_SLICES - 1]
    rest = order[len(large) :]
    slices = [(names[label], counts[label]) for label in large]
    if rest:
        what = f"{len(rest):,} other classes" if large else f"{len(rest):,} classes, each below {_LEAST_SHARE:.0%}"
        slices.append((what, sum(counts[label] for label in rest)))
    return tuple(slices)


def heading(preview: Preview) -> str:
    """`cifar10: 50,000 pictures, 10 classes, 32 x 32 pixels, colour`."""
    return (
        f"{printable(preview.facts.name)}: {counted(preview.n, 'picture')}, {len(preview.counts):,} classes, "
        f"{size(preview)}"
    )


def size(preview: Preview) -> str:
    """`32 x 32 pixels, colour`, or for a folder `about 160 x 160 pixels (shown at 96 x 96), colour`."""
    facts = preview.facts
    sides = f"{facts.height} x {facts.width}"
    if facts.height != preview.side:
        sides = f"about {preview.side} x {preview.side} pixels (shown at {sides})"
    else:
        sides += " pixels"
    return f"{sides}, {'colour' if facts.channels == 3 else 'grey'}"


def balance(preview: Preview) -> str:
    """`5,000 of each class`, or `from 10 (cat) to 30 (dog) of a class`."""
    counts, names = preview.counts, preview.facts.class_names
    least, most = min(counts), max(counts)
    if least == most:
        return f"{most:,} of each class"
    few, many = (printable(names[counts.index(number)]) for number in (least, most))
    return f"from {least:,} ({few}) to {most:,} ({many}) of a class"


def about_test(preview: Preview) -> str:
    """Where the test pictures come from and how many there are, which the preview does not look at."""
    facts = preview.facts
    number = "" if facts.n_test is None else f"; {counted(facts.n_test, 'picture')}, not among these"
    return facts.test_split + number
