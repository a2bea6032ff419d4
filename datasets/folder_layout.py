"""What a folder of pictures holds, from its file names alone: FOLDER/<class>/* or FOLDER/{train,val,test}/<class>/*.

A class is a folder, and its name the class's. Hidden files, Thumbs.db and desktop.ini are ignored; anything else that
is no picture is an error, or left out and counted with `skip_unreadable`. Links that lead out of the folder are an
error too, unless they are to be followed: who hands over a folder does not decide what else is read here.
"""

import os
import stat
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets import DataError
from datasets.decoding import FORMATS, SUFFIXES
from datasets.splits import held_out_fifth
from datasets.subset import choose
from datasets.wording import counted, first_names, is_text, printable

_PART_NAMES = {"train": "train", "val": "val", "validation": "val", "valid": "val", "test": "test"}
_IGNORED = {"thumbs.db", "desktop.ini"}
_LAYOUTS = "FOLDER/<class>/* or FOLDER/{train,val,test}/<class>/*"


@dataclass(frozen=True)
class PictureFile:
    """One file: path below the folder, class index, size in bytes and time of change; size -1 if it has none.

    `link`: it is one; size and time are those of what it leads to.
    """

    relative: str
    label: int
    size: int
    mtime_ns: int
    link: bool = False


@dataclass(frozen=True)
class Folder:
    """What listing a folder tells; no picture has been opened. Files are sorted by class, then by name.

    Where classes were chosen it holds these alone, and only their files are looked at.
    """

    path: Path
    class_names: tuple[str, ...]
    train: tuple[PictureFile, ...]
    val: tuple[PictureFile, ...] | None  # None: the folder brings no validation split
    test: tuple[PictureFile, ...] | None  # None: there is no test split
    test_split: str
    foreign: int  # files that are no pictures, left out
    chosen: bool = False  # these are not all of its classes

    @property
    def development(self) -> tuple[PictureFile, ...]:
        """All pictures that are not test pictures: those to train on and those to validate on."""
        return self.train + (self.val or ())


def list_folder(
    path: Path, skip_unreadable: bool = False, classes: str | None = None, follow_links: bool = False
) -> Folder:
    """List all files, or those of `classes` (see `datasets.subset`), and check the layout.

    Raises DataError in one line for every way it can be wrong.
    """
    if not path.is_dir():
        raise DataError(f"{printable(path)} is not a folder")
    foreign: list[str] = []
    try:
        parts = _parts(path, foreign)
        names = _entries(path / parts.get("train", ""))[0]
        chosen = set(names if classes is None else [names[number] for number in choose(classes, names, str(path))])
        listed = {part: _list_part(path, folder, foreign, chosen) for part, folder in parts.items()}
    except OSError as error:
        raise DataError(f"{printable(str(error.filename or path))} cannot be listed: {error.strerror}") from error
    if foreign and not skip_unreadable:
        raise DataError(
            f"{printable(path)} holds {counted(len(foreign), 'file')} that {'is' if len(foreign) == 1 else 'are'} no "
            f"{', '.join(FORMATS)} picture in a class folder, the first is {printable(min(foreign))}; "
            "move such files out, or leave them out with --skip-unreadable"
        )
    wanted = {
        part: {name: relatives for name, relatives in by_name.items() if classes is None or name in chosen}
        for part, by_name in listed.items()
    }
    class_names = _class_names(path, wanted, "" if "" in parts else "train")
    files = {part: _stat_all(path, by_name, class_names) for part, by_name in wanted.items()}
    if not follow_links:
        _check_links(path, {file.relative: file.link for listed in files.values() for file in listed})
    _check_counts(path, class_names, files)
    subset = len(class_names) < len(names)
    if "" not in parts:
        test_split = "the folder's own test split" if "test" in files else "none: the folder has no test pictures"
        return Folder(
            path, class_names, files["train"], files.get("val"), files.get("test"), test_split, len(foreign), subset
        )
    apart = _apart(listed[""])
    train = tuple(file for file in files[""] if file.relative not in apart)
    test = tuple(file for file in files[""] if file.relative in apart)
    test_split = (
        "a stratified fifth of the folder, drawn with the fixed seed 0 and set apart; the folder has no test split"
    )
    return Folder(path, class_names, train, None, test, test_split, len(foreign), subset)


def _apart(listed: dict[str, list[str]]) -> set[str]:
    """The test pictures of a flat folder: the same whatever classes are chosen."""
    labels = np.repeat(np.arange(len(listed)), [len(relatives) for relatives in listed.values()])
    everything = [relative for relatives in listed.values() for relative in relatives]
    return {everything[index] for index in held_out_fifth(labels)}


def _parts(path: Path, foreign: list[str]) -> dict[str, str]:
    """Part -> its folder's name; {"": ""} for a flat folder."""
    folders, files = _entries(path)
    foreign.extend(files)
    if not folders:
        what = f"{counted(len(files), 'file')} but no class folders" if files else "nothing"
        raise DataError(f"{printable(path)} holds {what}; expected {_LAYOUTS}")
    named = [name for name in folders if name.lower() in _PART_NAMES]
    # A class may be called "train": beside other classes it is a split only if it holds folders itself.
    splits = [name for name in named if len(named) == len(folders) or _entries(path / name)[0]]
    if not splits:
        return {"": ""}
    others = [name for name in folders if name not in splits]
    if others:
        raise DataError(
            f"{printable(path)} mixes two layouts: the split {splits[0]}/ and {first_names(others)} beside it; "
            f"expected {_LAYOUTS}"
        )
    parts: dict[str, str] = {}
    for name in splits:
        part = _PART_NAMES[name.lower()]
        if part in parts:
            raise DataError(f"{printable(path)} holds both {parts[part]}/ and {name}/, which mean the same split")
        parts[part] = name
    if "train" not in parts:
        raise DataError(f"{printable(path)} holds {first_names(splits)} but no train/")
    return parts


def _list_part(path: Path, part: str, foreign: list[str], chosen: set[str]) -> dict[str, list[str]]:
    """Class name -> its pictures' paths below `path`, sorted. Other files in a chosen one go to `foreign`."""
    prefix = f"{part}/" if part else ""
    folders, files = _entries(path / part)
    if part:
        foreign.extend(prefix + name for name in files)
    if not folders:
        raise DataError(f"{printable(path)} has no class folders in {part}/; expected {_LAYOUTS}")
    classes: dict[str, list[str]] = {}
    for name in folders:
        inner, names = _entries(path / part / name)
        pictures = [file for file in names if os.path.splitext(file)[1].lower() in SUFFIXES]
        if name in chosen:
            foreign.extend(f"{prefix}{name}/{other}" for other in (*inner, *(set(names) - set(pictures))))
        classes[name] = [f"{prefix}{name}/{file}" for file in pictures]
    return classes


def _entries(path: Path) -> tuple[list[str], list[str]]:
    """Sorted names of folders and of everything else, without what is hidden."""
    names = sorted(name for name in os.listdir(path) if not name.startswith(".") and name.lower() not in _IGNORED)
    folders = [name for name in names if os.path.isdir(path / name)]  # False for a circle of symbolic links
    inside = set(folders)
    return folders, [name for name in names if name not in inside]


def _class_names(path: Path, listed: dict[str, dict[str, list[str]]], main: str) -> tuple[str, ...]:
    names = tuple(listed[main])
    for name in names:
        if not is_text(name):
            raise DataError(
                f"{printable(path)}: the name of the class folder {printable(name)!r} is not UTF-8; rename it"
            )
    if len(names) < 2:
        raise DataError(f"{printable(path)} has one class only, {printable(names[0])!r}; at least 2 are needed")
    for part, classes in listed.items():
        for left, right, has, lacks in (
            (set(names), set(classes), main, part),
            (set(classes), set(names), part, main),
        ):
            if left - right:
                raise DataError(
                    f"{printable(path)}: {has}/ and {lacks}/ must have the same classes; "
                    f"only in {has}/: {first_names(sorted(left - right))}"
                )
    return names


def _check_counts(path: Path, class_names: tuple[str, ...], files: dict[str, tuple[PictureFile, ...]]) -> None:
    """Every class must give a picture to each split that is to be cut from its part."""
    wanted = {"": (3, "one each to train, to validate and to test"), "train": (2, "one to train and one to validate")}
    if "val" in files:
        del wanted["train"]
    for part, listed in files.items():
        least, purpose = wanted.get(part, (1, ""))
        counts = Counter(file.label for file in listed)
        for label, name in enumerate(class_names):
            shown = printable("/".join(filter(None, (part, name))))
            if counts[label] == 0:
                raise DataError(f"class {shown!r} of {printable(path)} is empty: it holds no pictures")
            if counts[label] < least:
                raise DataError(
                    f"class {shown!r} of {printable(path)} has {counted(counts[label], 'picture')}; "
                    f"at least {least} are needed, {purpose}"
                )


def _stat_all(path: Path, by_name: dict[str, list[str]], class_names: tuple[str, ...]) -> tuple[PictureFile, ...]:
    numbers = {name: index for index, name in enumerate(class_names)}
    return tuple(_stat(path, relative, numbers[name]) for name, relatives in by_name.items() for relative in relatives)


def _stat(path: Path, relative: str, label: int) -> PictureFile:
    link = False
    try:
        status = os.lstat(path / relative)
        if link := stat.S_ISLNK(status.st_mode):
            status = os.stat(path / relative)
    except OSError:  # a link to nowhere or in a circle: named with the unreadable ones
        return PictureFile(relative, label, -1, 0, link)
    return PictureFile(relative, label, status.st_size, status.st_mtime_ns, link)


def _check_links(path: Path, links: dict[str, bool]) -> None:
    """Raises where a class folder or a picture is a link that leads out of the folder.

    Args:
        path: of the folder, which may be a link itself.
        links: of each picture, whether it is a link.
    """
    home = os.path.join(os.path.realpath(path), "")

    def leads_out(relative: str) -> bool:
        return not os.path.join(os.path.realpath(path / relative), "").startswith(home)

    folders = [folder for folder in dict.fromkeys(map(os.path.dirname, links)) if leads_out(folder)]
    outside = folders or [relative for relative, link in links.items() if link and leads_out(relative)]
    if outside:
        target = os.path.realpath(path / outside[0])
        raise DataError(
            f"{printable(path)} holds links that lead out of it, the first is {printable(outside[0])} to "
            f"{printable(target)}; put the pictures there, or follow such links with --follow-links"
        )
