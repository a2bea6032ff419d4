"""Data sets that are arrays: CIFAR, MNIST and Fashion-MNIST from a file or through Keras, digits from scikit-learn.

Each function takes `classes`, the sorted numbers of those that are wanted, or None for all (see `datasets.subset`).
"""

import contextlib
import math
import os
import struct
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format

from datasets import DataError
from datasets.catalogue import DatasetInfo
from datasets.splits import held_out_fifth
from datasets.subset import only
from datasets.synthetic import draw

_MEMBERS = ("x_train", "y_train", "x_test", "y_test")
# What the readers of zip archives, and of array headers, which are Python literals, raise on any bytes.
_UNREADABLE = (
    ValueError, OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError, SyntaxError, tokenize.TokenError,
    TypeError, KeyError, struct.error, OverflowError, MemoryError,
)  # fmt: skip


def npz_path(info: DatasetInfo, data_dir: Path | None) -> Path | None:
    """`<data_dir>/<name>.npz` if it is there. Raises DataError if `data_dir` is given and is not a folder."""
    if data_dir is None:
        return None
    if not data_dir.is_dir():
        raise DataError(f"--data-dir must be a folder. Received: {data_dir}")
    path = data_dir / f"{info.name}.npz"
    return path if path.is_file() and info.download else None


def count(info: DatasetInfo, data_dir: Path | None, classes: Sequence[int] | None = None) -> tuple[int, int | None]:
    """(n_train, n_test) from a file's headers, else the official numbers. n_test is None if its header is damaged.

    For some classes of a file its labels are counted, those of the test part too; no picture is read.
    """
    path = npz_path(info, data_dir)
    if path is None:
        if classes is None:
            return info.n_train, info.n_test
        train, test = info.per_class()
        return sum(train[number] for number in classes), sum(test[number] for number in classes)
    with _opened(path) as archive:
        n_train = _checked_header(info, path, archive, "x_train")[0]
        if classes is not None:
            _checked_header(info, path, archive, "y_train")
            n_train = int(np.isin(archive["y_train"], classes).sum())
        try:
            n_test: int | None = _header(archive, "y_test")[0][0]
            if classes is not None:
                n_test = int(np.isin(archive["y_test"], classes).sum())
        except (*_UNREADABLE, IndexError):
            n_test = None  # the search does not need it; open_test says what is wrong with it
    return n_train, n_test


def read_train(
    info: DatasetInfo, data_dir: Path | None, classes: Sequence[int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The development part: (n, h, w, c) uint8 and (n,) int64. The test members of a file are not read.

    Keras' and scikit-learn's loaders can only give both parts; the test part is dropped at once.
    """
    return _read(info, data_dir, "train", classes)


def read_test(
    info: DatasetInfo, data_dir: Path | None, classes: Sequence[int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The test split, in the same form. To be called by `datasets.registry.open_test` alone."""
    return _read(info, data_dir, "test", classes)


def _read(
    info: DatasetInfo, data_dir: Path | None, part: str, classes: Sequence[int] | None
) -> tuple[np.ndarray, np.ndarray]:
    path = npz_path(info, data_dir)
    if path is not None:
        with _opened(path) as archive:
            _checked_header(info, path, archive, f"x_{part}")
            _checked_header(info, path, archive, f"y_{part}")
            images, labels = archive[f"x_{part}"], archive[f"y_{part}"]
        where = f"{path}, {part} part"
    elif info.name == "digits":
        images, labels = _digits(part)
        where = "scikit-learn's digits"
    elif info.name == "fake":
        (images, labels), where = draw(info, part), "fake"
    else:
        images, labels = _through_keras(info, data_dir)[0 if part == "train" else 1]
        where = f"keras.datasets.{info.name}, {part} part"
    images = np.ascontiguousarray(images).reshape(-1, info.height, info.width, info.channels)
    labels = np.asarray(labels).reshape(-1).astype(np.int64)
    if len(images) != len(labels):
        raise DataError(f"{where}: {len(images)} pictures but {len(labels)} labels")
    if labels.min() < 0 or labels.max() >= len(info.class_names):
        wrong = int(labels.min() if labels.min() < 0 else labels.max())
        raise DataError(f"{where}: labels must lie in 0..{len(info.class_names) - 1}. Received: {wrong}")
    missing = [info.class_names[number] for number in classes or () if number not in labels]
    if missing:
        raise DataError(f"{where}: no picture of the class {missing[0]!r}")
    if part == "train" and labels.min() == labels.max():
        name = info.class_names[int(labels[0])]
        raise DataError(f"{where}: all pictures are of one class, {name!r}; at least 2 are needed")
    return (images, labels) if classes is None else only(images, labels, classes)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[np.lib.npyio.NpzFile]:
    """An .npz with the four members, never unpickled; whatever is wrong with it becomes one DataError."""
    try:
        with path.open("rb") as stream:  # np.load(path) leaves the file open when it is no whole archive
            archive = np.load(stream, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise DataError(f"{path} is not an .npz archive")
            with archive:
                missing = [name for name in _MEMBERS if name not in archive.files]
                if missing:
                    raise DataError(f"{path} must hold {', '.join(_MEMBERS)}; missing: {', '.join(missing)}")
                yield archive
    except DataError:
        raise
    except MemoryError as error:
        raise DataError(f"{path} does not fit into the memory of this machine: {_one_line(error)}") from error
    except _UNREADABLE as error:
        reason = "not a whole .npz archive" if "pickle" in str(error) else _one_line(error)
        raise DataError(f"{path} cannot be read: {reason}") from error


def _header(archive: np.lib.npyio.NpzFile, member: str) -> tuple[tuple[int, ...], np.dtype]:
    assert archive.zip is not None
    with archive.zip.open(f"{member}.npy") as stream:
        version = npy_format.read_magic(stream)
        read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
        shape, _, dtype = read(stream)
    return shape, dtype


def _checked_header(info: DatasetInfo, path: Path, archive: np.lib.npyio.NpzFile, member: str) -> tuple[int, ...]:
    """The member's shape, seen before its content is read, if it is the shape and dtype it must be."""
    shape, dtype = _header(archive, member)
    picture = (info.height, info.width, info.channels)
    if member.startswith("x_"):
        fits = dtype == np.uint8 and (shape[1:] == picture or (info.channels == 1 and shape[1:] == picture[:2]))
        expected = f"uint8 (n, {', '.join(map(str, picture))})"
    else:
        fits = dtype.kind in "iu" and (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1))
        expected = "integers (n,)"
    if not fits or not shape or shape[0] == 0:
        raise DataError(f"{path}: {member} must be {expected} with n > 0. Received: {dtype} {shape}")
    assert archive.zip is not None
    claimed, held = math.prod(shape) * dtype.itemsize, archive.zip.getinfo(f"{member}.npy").file_size
    if claimed > held:
        raise DataError(f"{path}: {member} says that it has {claimed:,} bytes, and has no more than {held:,}")
    return shape


def _digits(part: str) -> tuple[np.ndarray, np.ndarray]:
    """8x8 grey pictures, 0..16 scaled to 0..255; a stratified fifth of them is the test split."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError("the data set digits needs scikit-learn (pip install scikit-learn)") from error
    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)  # (1797, 8, 8)
    labels = np.asarray(bunch.target)
    test = held_out_fifth(labels)
    chosen = test if part == "test" else np.setdiff1d(np.arange(len(labels)), test)
    return images[chosen], labels[chosen]


def _through_keras(info: DatasetInfo, data_dir: Path | None) -> tuple:
    import keras

    loader = getattr(keras.datasets, info.name)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # Keras prints its progress to stdout
            return loader.load_data()
    except Exception as error:  # get_file raises a plain Exception when a download fails
        url, file = info.download or ("its source", info.name)
        home = os.environ.get("KERAS_HOME", "~/.keras")
        folder = data_dir if data_dir is not None else "DIR"
        raise DataError(
            f"{info.name} is not on this machine and Keras could not download it from {url}: {_one_line(error)}. "
            f"Ways out: a network; {folder}/{info.name}.npz with --data-dir {folder}; the downloaded file as "
            f"{os.path.join(home, 'datasets', file)}, or KERAS_HOME set to a folder that has it"
        ) from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
