"""A function of the user's by its name, `my_package.my_module:build` or `path/file.py:build`, and what is beside it.

Its code is imported here and nowhere else, and only for a name that came from a command line or from Python.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from models import ModelError

FORM = "my_package.my_module:build or path/file.py:build"
_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_INSIDE = "hpo_own_"  # what the names of imported files begin with


@dataclass(frozen=True)
class Reference:
    """Where a function is.

    Attributes:
        module: dotted name, or the path of a `.py` file.
        function: its name there.
    """

    module: str
    function: str

    @property
    def is_file(self) -> bool:
        """Whether it is in a file that is named by its path."""
        return self.module.endswith(".py")

    @property
    def name(self) -> str:
        """For people: the module's last word, and the function's name unless that is `build`."""
        last = Path(self.module).stem if self.is_file else self.module.rsplit(".", 1)[-1]
        return last if self.function == "build" else f"{last}.{self.function}"


@dataclass(frozen=True)
class Own:
    """A network of the user's own.

    Attributes:
        reference: where it is.
        build: from the shape (height, width, 3) of a picture to a functional `keras.Model` without top.
        preprocess: from a Keras tensor (None, height, width, 3) float32, RGB from 0 to 255, to what `build`'s model
            takes; None where it takes that.
        source: SHA-256 of the file that was named; what it imports is not in it.
    """

    reference: Reference
    build: Callable[[tuple[int, int, int]], Any]
    preprocess: Callable[[Any], Any] | None
    source: str


def parse(text: str) -> Reference:
    """A reference from its text.

    Raises:
        ModelError: it has another form.
    """
    module, colon, function = text.rpartition(":")
    dotted = module.endswith(".py") or _NAME.fullmatch(module)
    if not colon or not dotted or not function.isidentifier():
        raise ModelError(f"a network of your own must be named as {FORM}. Received: {text}")
    return Reference(module, function)


def load(reference: Reference) -> Own:
    """Import the module and take the functions.

    Raises:
        ModelError: there is no such file, module or function, or its code fails; the message has the line.
    """
    module = _module(reference)
    build = getattr(module, reference.function, None)
    if not callable(build):
        what = "is no function" if hasattr(module, reference.function) else "is not there"
        raise ModelError(f"{reference.function} {what} in {reference.module}. Allowed: {_functions(module)}")
    preprocess = getattr(module, "preprocess", None)
    if preprocess is not None and not callable(preprocess):
        raise ModelError(f"preprocess in {reference.module} must be a function. Received: {type(preprocess).__name__}")
    if not getattr(module, "__file__", None):
        raise ModelError(f"{reference.module} is part of Python itself, not a network of your own")
    source = hashlib.sha256(Path(str(module.__file__)).read_bytes()).hexdigest()
    return Own(reference, build, preprocess, source)


def _module(reference: Reference) -> ModuleType:
    try:
        return _from_file(Path(reference.module)) if reference.is_file else importlib.import_module(reference.module)
    except ModelError:
        raise
    except ModuleNotFoundError as error:
        if not reference.is_file and str(error.name) in (reference.module, *_above(reference.module)):
            raise ModelError(f"there is no module {reference.module}; a file is named by its path: {FORM}") from error
        raise ModelError(f"{reference.module} cannot be imported: {where(error)}") from error
    except (Exception, SystemExit) as error:  # whatever the user's code raises is the user's
        raise ModelError(f"{reference.module} cannot be imported: {where(error)}") from error


def _from_file(path: Path) -> ModuleType:
    """What lies beside the file can be imported by it, after all that is installed."""
    if not path.is_file():
        raise ModelError(f"there is no file {path}")
    path = path.resolve()
    name = _INSIDE + hashlib.sha256(str(path).encode()).hexdigest()[:16]
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def where(error: BaseException) -> str:
    """An error of the user's code in one line, with the place in the user's code where it was raised."""
    words = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_installed(frame.filename)]
    if isinstance(error, SyntaxError) and error.filename:
        return f"{words} ({Path(error.filename).name}, line {error.lineno})"
    return f"{words} ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else words


def _is_installed(filename: str) -> bool:
    """Whether it is no code of the user's: ours, a library's, or Python's."""
    path = Path(filename)
    ours = Path(__file__).parent.parent.parent
    roots = (
        *(ours / room for room in ("hpo", "models", "studies", "datasets")),
        Path(sys.prefix),
        Path(sys.base_prefix),
    )
    return filename.startswith("<") or any(path.is_relative_to(root) for root in roots)


def _above(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts))]


def _functions(module: ModuleType) -> str:
    names = [
        name
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", None) == module.__name__ and not isinstance(value, type)
    ]
    return ", ".join(names) or "it has no function of its own"
