"""A folder of pictures as a data set: its typical size, its development part and its test split, decoded."""

import warnings
from collections.abc import Callable, Sequence

import numpy as np

from datasets import DataError
from datasets.decoded_cache import Decoded, decode_all, missing_bytes
from datasets.decoding import UnreadableError, shorter_side
from datasets.folder_layout import Folder, PictureFile
from datasets.store import ArrayStore
from datasets.wording import counted, printable

_SAMPLE = 200
OnStep = Callable[[float], None]  # called with the share that is done


def typical_side(folder: Folder) -> int:
    """The median of the shorter sides of at most 200 development pictures, read from their headers."""
    files = folder.development
    picked = sorted({int(index) for index in np.linspace(0, len(files) - 1, min(_SAMPLE, len(files)))})
    sides = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for index in picked:
            try:
                sides.append(shorter_side(folder.path / files[index].relative))
            except UnreadableError:
                continue  # all are checked, and named, when they are decoded
    if not sides:
        raise DataError(f"none of {counted(len(picked), 'picture')} looked at in {printable(folder.path)} can be read")
    return int(np.median(sides))


def decode_development(
    folder: Folder, side: int, store: ArrayStore, skip_unreadable: bool, on_step: OnStep
) -> tuple[Decoded, np.ndarray | None]:
    """The development part, and the rows of it that are the folder's own validation split, if it has one."""
    decoded = _decode(folder, folder.development, side, store, skip_unreadable, on_step, need_two=folder.val is None)
    if folder.val is None:
        return decoded, None
    in_val = decoded.readable >= len(folder.train)
    for part, chosen in (("train", ~in_val), ("val", in_val)):
        _check_classes_left(folder, decoded.labels[chosen], part, 1)
    return decoded, np.flatnonzero(in_val).astype(np.int64)


def check_room(folder: Folder, sides: Sequence[int], store: ArrayStore) -> None:
    """Raises DataError where there is no room for the development part at all of these sides in pixels."""
    try:
        room = store.room()  # first: it removes what killed processes left
    except OSError:
        return  # whoever opens it says why it cannot be used
    needed = missing_bytes(folder.path, folder.development, folder.class_names, sides, store)
    if needed > room:
        raise DataError(
            f"the cache folder {store.folder} has room for {room / 2**20:,.1f} MiB; "
            f"{counted(len(folder.development), 'picture')} decoded to {counted(len(sides), 'size')} take "
            f"{needed / 2**20:,.1f} MiB more; make room, choose another with --cache-dir, name fewer --resolutions, or "
            "decode once with --decode largest"
        )


def decode_test(folder: Folder, side: int, store: ArrayStore, skip_unreadable: bool, on_step: OnStep) -> Decoded:
    """The test split. To be called by `datasets.registry.open_test` alone."""
    if folder.test is None:
        raise DataError(f"{printable(folder.path)} has no test split: it has train/ but no test/")
    return _decode(folder, folder.test, side, store, skip_unreadable, on_step, need_two=False)


def _decode(
    folder: Folder,
    files: tuple[PictureFile, ...],
    side: int,
    store: ArrayStore,
    skip_unreadable: bool,
    on_step: OnStep,
    need_two: bool,
) -> Decoded:
    decoded = decode_all(folder.path, files, folder.class_names, side, store, on_step)
    if decoded.left_out and not skip_unreadable:
        named = "; ".join(f"{printable(files[index].relative)}: {reason}" for index, reason in decoded.left_out[:3])
        more = f"; and {len(decoded.left_out) - 3} more" if len(decoded.left_out) > 3 else ""
        raise DataError(
            f"{counted(len(decoded.left_out), 'picture')} of {len(files)} in {printable(folder.path)} cannot be read "
            f"({named}{more}); mend or remove them, or leave them out with --skip-unreadable"
        )
    _check_classes_left(folder, decoded.labels, "", 2 if need_two else 1)
    return decoded


def _check_classes_left(folder: Folder, labels: np.ndarray, part: str, least: int) -> None:
    counts = np.bincount(labels, minlength=len(folder.class_names))
    if counts.min() < least:
        name = printable("/".join(filter(None, (part, folder.class_names[int(counts.argmin())]))))
        raise DataError(
            f"class {name!r} of {printable(folder.path)} has {counted(int(counts.min()), 'readable picture')}; "
            f"at least {least} {'is' if least == 1 else 'are'} needed"
        )
