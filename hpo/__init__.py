"""Turn a pretrained Keras network into a classifier for your own pictures, under a latency budget.

    from hpo import StudyConfig, run_study

    if __name__ == "__main__":
        study = run_study(StudyConfig(backbone="custom_cnn", dataset="digits", trials=10))
        print(study.best)

Names are loaded when they are first used: importing this package costs nothing.
"""

import functools
import importlib
import importlib.util
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpo import errors
    from hpo.config import StudyConfig
    from hpo.study import Study, compare_studies, load_study, map_networks, run_study
    from models.own.backbone import Backbone

__version__ = "0.2.0"
__all__ = [
    "Backbone",
    "Study",
    "StudyConfig",
    "__version__",
    "compare_studies",
    "errors",
    "load_study",
    "map_networks",
    "run_study",
]

_HOMES = {
    "Backbone": "models.own.backbone",
    "Study": "hpo.study",
    "StudyConfig": "hpo.config",
    "compare_studies": "hpo.study",
    "load_study": "hpo.study",
    "map_networks": "hpo.study",
    "run_study": "hpo.study",
}

_OURS = "keras_hpo"  # this distribution
_NAMES = ("datasets", "models", "studies")  # its packages whose names others may have too


def __getattr__(name: str) -> Any:
    if name == "errors":
        return importlib.import_module("hpo.errors")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class NameTaken(ImportError):
    """Another distribution has a package of the same name as one of ours; the message is one line with the way out."""


def check_names() -> None:
    """Make sure that nobody gets another's package for his own, before anything of the project is imported.

    What is looked at: where each name is found, and which distributions in the folders of `sys.path` own one. Takes
    little time, since only lists of files are read and no package is imported.

    Raises:
        NameTaken: ours are hidden, or would hide those of another distribution.
    """
    home = os.path.realpath(Path(__file__).parent.parent)
    for name in _NAMES:
        folder = _folder_of(name)
        if folder is not None and folder != home:
            owners = _owners(folder, name)
            if not owners:  # a file or folder of the user's own, such as models.py beside his script
                raise NameTaken(
                    f"{name!r} in {folder} hides keras-hpo's package of that name: rename it, or import keras-hpo from "
                    "another folder",
                    name="hpo",
                )
            raise _taken(name, f"{owners[0]} in {folder}, which is found first")
    for folder in dict.fromkeys(os.path.realpath(entry) for entry in sys.path):
        for name in _NAMES:
            if _has_package(folder, name):
                for owner in _owners(folder, name):
                    raise _taken(name, f"{owner} in {folder}")


def _taken(name: str, owner: str) -> NameTaken:
    message = (
        f"the package {name!r} is keras-hpo's and also that of {owner}: only one can be imported, so give keras-hpo an "
        "environment of its own (python -m venv)"
    )
    return NameTaken(message, name="hpo")  # with this name `python -m` shows the message alone, without a traceback


def _folder_of(name: str) -> str | None:
    """The folder that a top-level package is, or was, imported from; None if there is none."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        return None
    return os.path.realpath(Path(spec.origin).parents[1 if spec.submodule_search_locations else 0])


def _has_package(folder: str, name: str) -> bool:
    return any(os.path.isfile(os.path.join(folder, file)) for file in (f"{name}/__init__.py", f"{name}.py"))


def _owners(folder: str, name: str) -> list[str]:
    """Distributions in a folder, but ours, that bring a top-level package: `datasets 4.4.1`."""
    return [owner for owner, packages in _distributions(folder) if name in packages]


@functools.cache
def _distributions(folder: str) -> list[tuple[str, set[str]]]:
    """All but ours with their top-level packages. From the files: importlib.metadata takes 0.25 s for a hundred."""
    distributions = []
    for about in sorted(path for kind in ("dist-info", "egg-info") for path in Path(folder).glob(f"*.{kind}")):
        distribution, _, version = about.stem.partition("-")
        packages = {distribution}
        for listing in ("top_level.txt", "RECORD"):  # setuptools writes the first, every installer the second
            if (about / listing).is_file():
                text = (about / listing).read_text(encoding="utf-8", errors="replace")
                packages = {line.split("/", 1)[0] for line in text.splitlines()}
                break
        if distribution.lower() != _OURS:
            distributions.append((f"{distribution} {version}".strip(), packages))
    return distributions


def _end_quietly() -> None:
    """Ctrl-C while a command is still being imported ends it without a traceback: there is nothing to keep yet.

    `models.command.OneLineCommand` takes over when the command begins.
    """
    prefix, _, command = Path(sys.argv[0]).name.partition("-") if sys.argv else ("", "", "")
    is_script = prefix == "hpo" and (Path(__file__).parent / f"{command}.py").is_file()  # as installed: hpo-run
    is_command = is_script or _module().partition(".")[0] in ("hpo", *_NAMES)
    if threading.current_thread() is not threading.main_thread() or not is_command:
        return
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _module() -> str:
    """What `python -m` was given; nothing where it runs a script."""
    words = iter(sys.orig_argv[1:])
    for word in words:
        if word == "-m":
            return next(words, "")
        if word in ("-X", "-W"):
            next(words, "")
        elif not word.startswith("-") or word == "-c":
            break
    return ""


_end_quietly()
check_names()
