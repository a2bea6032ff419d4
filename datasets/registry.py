"""Data sets by name or by folder: what there is, what one look tells, and the two doors to the pictures.

`open_dataset` gives the development part, which is all that a search may read. `open_test` is the only way to the
test split. A name of the catalogue goes before a folder of the same name; `./mnist` means the folder. Either may be
followed by a colon and the classes that are wanted, see `datasets.subset`.
"""

import difflib
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from datasets import DataError, arrays, given, image_folder
from datasets.catalogue import DATASETS, DatasetInfo
from datasets.dataset import Dataset, DatasetFacts
from datasets.digest import digest
from datasets.folder_layout import Folder, list_folder
from datasets.store import ArrayStore
from datasets.subset import choose, cut_name, subset_name
from datasets.synthetic import fake_info, fake_name
from datasets.wording import printable

__all__ = [
    "DATASETS",
    "Dataset",
    "DatasetFacts",
    "DatasetInfo",
    "check_name",
    "inspect",
    "open_dataset",
    "open_test",
    "safe_name",
]


def check_name(name_or_folder: str) -> None:
    """Raises DataError unless this is a name of the catalogue or an existing folder, with known classes or options.

    Reads nothing: the classes chosen of a folder are looked for when it is listed.
    """
    base, rest = cut_name(name_or_folder)
    if base in DATASETS:
        _array(base, rest)
        return
    if os.path.isdir(base):
        return
    name = name_or_folder.partition(":")[0]
    close = difflib.get_close_matches(name.lower().replace("-", "_"), DATASETS, n=1)
    guess = f" Did you mean {close[0]}?" if close else ""
    kind = "is a file, not a folder" if os.path.exists(name_or_folder) else "is neither a known name nor a folder"
    raise DataError(
        f"--dataset must be one of {', '.join(DATASETS)}, or a folder of pictures with one folder for each class; "
        "some classes of either are chosen by NAME:class,class. "
        f"Received: {printable(name_or_folder)!r}, which {kind}.{guess}"
    )


def inspect(
    name_or_folder: str, data_dir: Path | None, skip_unreadable: bool = False, follow_links: bool = False
) -> DatasetFacts:
    """Facts from headers and file names alone: no picture is decoded, nothing is downloaded. Raises DataError.

    For classes chosen of a catalogue's data set that is a file, its labels are read to be counted.
    """
    told = given.look_of(name_or_folder)
    if told is not None:
        return told
    check_name(name_or_folder)
    base, rest = cut_name(name_or_folder)
    if base in DATASETS:
        return _array_facts(*_array(base, rest), data_dir)
    folder = list_folder(Path(base), skip_unreadable, rest, follow_links)
    return _folder_facts(folder, image_folder.typical_side(folder))


def open_dataset(
    name_or_folder: str,
    data_dir: Path | None,
    store: ArrayStore,
    side: int | None,
    skip_unreadable: bool = False,
    follow_links: bool = False,
    on_step: Callable[[float], None] = lambda share: None,
) -> Dataset:
    """Read the development part.

    Args:
        name_or_folder: a name of the catalogue, or a folder of pictures; with `:class,class,...` only these classes
            of it (see `datasets.subset`), with `fake:` the options of `datasets.synthetic`.
        data_dir: folder that may hold `<name>.npz`; without such a file Keras' loaders are asked.
        store: where a folder's decoded pictures are kept, such as `models.reuse.store.picture_store(cache_dir)`.
        side: height and width that a folder's pictures are decoded to; None for their typical size. Data sets
            of the catalogue keep their own size.
        skip_unreadable: leave out, and count, what cannot be read in a folder.
        follow_links: also those that lead out of a folder.
        on_step: called with the share that is done while a folder's pictures are decoded.

    Raises:
        DataError: whatever is wrong with the data, the options or the store, in one line.
    """
    data = given.data_of(name_or_folder, side)
    if data is not None:
        return data
    check_name(name_or_folder)
    base, rest = cut_name(name_or_folder)
    if base in DATASETS:
        info, classes = _array(base, rest)
        facts = _array_facts(info, classes, data_dir)
        images, labels = arrays.read_train(info, data_dir, classes)
        return Dataset(facts, images, labels, None, digest(images, labels, facts.class_names))
    folder = list_folder(Path(base), skip_unreadable, rest, follow_links)
    side = _checked_side(folder, side)
    decoded, fixed_val = image_folder.decode_development(folder, side, store, skip_unreadable, on_step)
    facts = _folder_facts(folder, side, decoded.readable, len(decoded.left_out))
    return Dataset(facts, decoded.images, decoded.labels, fixed_val, decoded.digest, decoded.files)


def check_room(
    name_or_folder: str,
    store: ArrayStore,
    sides: Sequence[int],
    skip_unreadable: bool = False,
    follow_links: bool = False,
) -> None:
    """Raises DataError where a folder's pictures, decoded to all of these sides in pixels, do not fit into the store.

    Arguments are those of `open_dataset`; what is in the store already takes no more room.
    """
    if given.look_of(name_or_folder) is not None:
        return  # it was decoded elsewhere
    base, rest = cut_name(name_or_folder)
    image_folder.check_room(list_folder(Path(base), skip_unreadable, rest, follow_links), sides, store)


def open_test(
    name_or_folder: str,
    data_dir: Path | None,
    store: ArrayStore,
    side: int | None,
    skip_unreadable: bool = False,
    follow_links: bool = False,
    on_step: Callable[[float], None] = lambda share: None,
) -> tuple[np.ndarray, np.ndarray]:
    """The test split: (n, h, w, c) uint8 and (n,) int64. Arguments and errors are those of `open_dataset`.

    THE ONLY reader of the test split. It is meant to be called once, after the search.
    """
    check_name(name_or_folder)
    base, rest = cut_name(name_or_folder)
    if base in DATASETS:
        info, classes = _array(base, rest)
        return arrays.read_test(info, data_dir, classes)
    folder = list_folder(Path(base), skip_unreadable, rest, follow_links)
    decoded = image_folder.decode_test(folder, _checked_side(folder, side), store, skip_unreadable, on_step)
    return decoded.images, decoded.labels


def _array(base: str, rest: str | None) -> tuple[DatasetInfo, tuple[int, ...] | None]:
    """A data set of the catalogue and the sorted numbers of the chosen classes; None for all."""
    if base == "fake":
        return fake_info(rest), None
    info = DATASETS[base]
    classes = None if rest is None else choose(rest, info.class_names, base)
    return info, None if classes is not None and len(classes) == len(info.class_names) else classes


def _array_facts(info: DatasetInfo, classes: tuple[int, ...] | None, data_dir: Path | None) -> DatasetFacts:
    n_train, n_test = arrays.count(info, data_dir, classes)
    path = arrays.npz_path(info, data_dir)
    if info.name == "digits":
        test_split = (
            "a stratified fifth, drawn with the fixed seed 0 and set apart; the data has no official test split"
        )
    elif info.name == "fake":
        test_split = "a fifth, drawn from a fixed seed of its own"
    elif n_test is None:
        test_split = f"unknown: the test part of {path} cannot be read"
    else:
        test_split = "the official test split" if path is None else f"the test part of {path.name}"
    return DatasetFacts(
        name=_array_name(info, classes),
        class_names=info.class_names if classes is None else tuple(info.class_names[number] for number in classes),
        height=info.height,
        width=info.width,
        channels=info.channels,
        n_train=n_train,
        n_val=None,
        n_test=n_test,
        source=info.source if path is None else str(path),
        test_split=test_split,
        skipped=0,
    )


def _array_name(info: DatasetInfo, classes: tuple[int, ...] | None) -> str:
    if info.name == "fake":
        return fake_name(info)
    return info.name if classes is None else subset_name(info.name, [info.class_names[number] for number in classes])


def _folder_facts(folder: Folder, side: int, readable: np.ndarray | None = None, unreadable: int = 0) -> DatasetFacts:
    n_train = len(folder.train)
    readable = np.arange(len(folder.development)) if readable is None else readable
    return DatasetFacts(
        name=subset_name(_folder_name(folder.path), folder.class_names) if folder.chosen else _folder_name(folder.path),
        class_names=folder.class_names,
        height=side,
        width=side,
        channels=3,
        n_train=int((readable < n_train).sum()),
        n_val=None if folder.val is None else int((readable >= n_train).sum()),
        n_test=None if folder.test is None else len(folder.test),
        source=f"pictures in {printable(folder.path)}",
        test_split=folder.test_split,
        skipped=folder.foreign + unreadable,
    )


def safe_name(name_or_folder: str) -> str:
    """A name for studies, with letters, digits and `._-` only: `cifar10`, `cifar10_cat_dog`, a folder's base name.

    Raises DataError for unknown classes or options of a data set of the catalogue. A folder is not looked into: its
    chosen classes are taken as they are given, sorted.
    """
    base, rest = cut_name(name_or_folder)
    if base in DATASETS:
        return _array_name(*_array(base, rest))
    name = _folder_name(Path(base))
    return name if rest is None else subset_name(name, sorted(part.strip() for part in rest.split(",")))


def _folder_name(path: Path) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", os.path.basename(os.path.abspath(path))).strip(".-") or "folder"
    return f"{name}-folder" if name in DATASETS else name


def _checked_side(folder: Folder, side: int | None) -> int:
    if side is not None and side < 1:
        raise DataError(f"the size that pictures are decoded to must be at least 1. Received: {side}")
    return image_folder.typical_side(folder) if side is None else side
