"""A function of the user's by its name, `my_package.my_module:build` or `path/file.py:build`, and what is beside it.

Its code is imported here and nowhere else, and only for what `models.own.registry` was told.
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

FORM = "my_package.my_module:build, path/file.py:build, path/file.keras or keras_hub:PRESET"
SAVED = ".keras"
HUB = "keras_hub"  # in place of a module: what follows is a preset of that library
LEAST_SIDE, NATIVE_SIDE, MOST_SIDE = 32, 224, 4096  # pixels; the first two where the code does not say
_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
INSIDE = "hpo_own_"  # what the names of imported files begin with


@dataclass(frozen=True)
class Reference:
    """Where a function is, or a model.

    Attributes:
        module: dotted name, or the path of a `.py` or `.keras` file; `keras_hub` for a preset of that library.
        function: its name there; empty for a model; a preset's name, handle or folder.
        folder: that a dotted module is looked for in, behind all that is installed.
    """

    module: str
    function: str
    folder: str = ""

    def __str__(self) -> str:
        return f"{self.module}:{self.function}" if self.function else self.module

    @property
    def is_file(self) -> bool:
        """Whether it is in a file that is named by its path."""
        return self.module.endswith((".py", SAVED))

    @property
    def is_preset(self) -> bool:
        """Whether it is a preset of keras-hub."""
        return self.module == HUB

    @property
    def name(self) -> str:
        """For people: the module's last word, and the function's name unless that is `build`; a preset's last word."""
        if self.is_preset:
            parts = self.function.rstrip("/").split("/")
            return parts[5] if parts[0] == "kaggle:" and len(parts) > 6 else parts[-1]  # the last one is the version
        last = Path(self.module).stem if self.is_file else self.module.rsplit(".", 1)[-1]
        return last if self.function in ("build", "") else f"{last}.{self.function}"


@dataclass(frozen=True)
class Own:
    """A network of the user's own, its code imported.

    Attributes:
        name: of the network.
        build: from the shape (height, width, 3) of a picture to a functional `keras.Model` without top.
        preprocess: from a Keras tensor (None, height, width, 3) float32, RGB from 0 to 255, to what `build`'s model
            takes; None where it takes that.
        source: which code it is: file and function, and the SHA-256 of the file; so of `preprocess`. What they import
            is not in it.
        function: what messages call `build`.
        min_resolution: smallest side of a picture, in pixels.
        native_resolution: side that its weights were trained at, in pixels.
        patch: of which sides are multiples, in pixels: of a transformer its patches, or those of its last stage.
    """

    name: str
    build: Callable[[tuple[int, int, int]], Any]
    preprocess: Callable[[Any], Any] | None
    source: str
    function: str = "build"
    min_resolution: int = LEAST_SIDE
    native_resolution: int = NATIVE_SIDE
    patch: int = 1


def parse(text: str) -> Reference:
    """A reference from its text.

    Raises:
        ModelError: it has another form.
    """
    if text.endswith(SAVED):
        return Reference(text, "")
    if text.startswith(f"{HUB}:") and text.rstrip("/") != f"{HUB}:":
        return Reference(HUB, text.partition(":")[2])
    module, colon, function = text.rpartition(":")
    dotted = module.endswith(".py") or _NAME.fullmatch(module)
    if not colon or not dotted or not function.isidentifier() or module == HUB:
        raise ModelError(f"a network of your own must be named as {FORM}. Received: {text}")
    return Reference(module, function)


def load(reference: Reference) -> Own:
    """Import the module and take the function, and `preprocess`, `min_resolution`, `native_resolution` beside it.

    Raises:
        ModelError: there is no such file, module or function, or its code fails; the message has the line.
    """
    module = module_of(reference)
    build, preprocess = function_of(reference), getattr(module, "preprocess", None)
    if preprocess is not None and not callable(preprocess):
        raise ModelError(f"preprocess in {reference.module} must be a function. Received: {type(preprocess).__name__}")
    least = _side(module, "min_resolution", LEAST_SIDE)
    native = _side(module, "native_resolution", max(NATIVE_SIDE, least))
    if native < least:
        raise ModelError(f"native_resolution in {reference.module} must be at least {least} px. Received: {native}")
    beside = [Reference(reference.module, "preprocess", reference.folder)] if preprocess else []
    return Own(reference.name, build, preprocess, source_of(reference, *beside), reference.function, least, native)


def function_of(reference: Reference) -> Callable[..., Any]:
    """The function itself.

    Raises:
        ModelError: as `load`.
    """
    module = module_of(reference)
    function = getattr(module, reference.function, None)
    if not callable(function):
        what = "is no function" if hasattr(module, reference.function) else "is not there"
        raise ModelError(f"{reference.function} {what} in {reference.module}. Allowed: {_functions(module)}")
    return function


def member_of(reference: Reference) -> Any:
    """What a reference names, a function or not.

    Raises:
        ModelError: there is no such file, module or name, or its code fails.
    """
    module = module_of(reference)
    if not hasattr(module, reference.function):
        raise ModelError(f"{reference.function} is not there in {reference.module}")
    return getattr(module, reference.function)


def source_of(*references: Reference) -> str:
    """Which code they are, see `Own.source`: the same for a module and for its file, wherever it lies.

    Raises:
        ModelError: one has no file.
    """
    found = []
    for each in references:
        file = getattr(module_of(each), "__file__", None)
        if not file:
            raise ModelError(f"{each.module} is part of Python itself, not a network of your own")
        found.append(f"{Path(file).name}:{each.function} {hashlib.sha256(Path(file).read_bytes()).hexdigest()}")
    return " and ".join(found)


def _side(module: ModuleType, name: str, default: int) -> int:
    side = getattr(module, name, default)
    if type(side) is not int or not 1 <= side <= MOST_SIDE:
        raise ModelError(f"{name} in {module.__name__} must be from 1 to {MOST_SIDE} px. Received: {side}")
    return side


def module_of(reference: Reference) -> ModuleType:
    """The module, imported.

    Raises:
        ModelError: there is none, or its code fails; the message has the line.
    """
    try:
        if reference.is_file:
            return _from_file(Path(reference.module))
        _add_to_path(reference.folder)
        return importlib.import_module(reference.module)
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
    name = INSIDE + hashlib.sha256(str(path).encode()).hexdigest()[:16]
    for known in (name, "__mp_main__", "__main__"):  # a script that is run is not run again
        file = getattr(sys.modules.get(known), "__file__", None)
        if file and Path(file).resolve() == path:
            return sys.modules[known]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    _add_to_path(str(path.parent))
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _add_to_path(folder: str) -> None:
    """Behind all that is installed, so that nothing of the user's is taken for what others import."""
    if folder and folder not in sys.path:
        sys.path.append(folder)


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
