"""A network of one's own as Python hands it to a study."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models import ModelError
from models.own.reference import INSIDE, LEAST_SIDE, MOST_SIDE, NATIVE_SIDE, Reference, parse
from models.own.registry import Registered, Settings, is_registered, named, pin, register


@dataclass(frozen=True)
class Backbone:
    """A network of your own, as in `StudyConfig(backbone=Backbone("mine", build))`.

    Its functions must stand in a file, at the top level of a module or of the script that is run: worker processes
    import them from there.

    Attributes:
        name: that the study, its tables and its files have for it.
        build: from the shape (height, width, 3) of a picture to a functional `keras.Model` without its top, from
            pictures to a feature map (height, width, channels). With the same weights in each call, unless the study
            begins with `weights="none"` or a file.
        preprocess: from a Keras tensor (None, height, width, 3) float32, RGB from 0 to 255, to what the model takes;
            None where it takes that.
        min_resolution: smallest side of a picture that it can take, in pixels.
        native_resolution: side that its weights were trained at, in pixels.

    Raises:
        ModelError: a side is out of range, or there is no file to import a function from.
    """

    name: str
    build: Callable[[tuple[int, int, int]], Any]
    preprocess: Callable[[Any], Any] | None = None
    min_resolution: int = LEAST_SIDE
    native_resolution: int = NATIVE_SIDE

    def __post_init__(self) -> None:
        sides = self.min_resolution, self.native_resolution
        if not all(type(side) is int for side in sides) or not 1 <= sides[0] <= sides[1] <= MOST_SIDE:
            raise ModelError(
                f"min_resolution and native_resolution must be from 1 to {MOST_SIDE} px, the first not above the "
                f"second. Received: {sides[0]} and {sides[1]}"
            )
        self._registered()

    def register(self) -> str:
        """Allow this process and its workers to build it; returns the name, by which it is known from then on.

        Raises:
            ModelError: the name is another network's, or cannot be one.
        """
        register(self.name, self._registered())
        return self.name

    def _registered(self) -> Registered:
        beside = None if self.preprocess is None else _reference(self.preprocess, "preprocess")
        settings = Settings(beside, self.min_resolution, self.native_resolution)
        return Registered(_reference(self.build, "build"), settings)


def register_hypermodel(instance: Any) -> str:
    """Allow this process and its workers to build with a `keras_tuner.HyperModel`; returns the name that it has.

    That is the instance's own `name`, or its class's.

    Raises:
        ModelError: it is none, or worker processes could not have it.
    """
    from models.own.hypermodel import state_of

    kind = type(instance)
    if not any(each.__name__ == "HyperModel" and each.__module__.startswith("keras_tuner") for each in kind.__mro__):
        raise ModelError(f"hypermodel must be an instance of keras_tuner.HyperModel. Received: {kind.__name__}")
    name = getattr(instance, "name", None) or kind.__name__
    register(name, Registered(_reference(kind, "hypermodel"), hypermodel=True, state=state_of(instance)))
    return name


def allow(name: str, source: str, given: Any, hypermodel: bool = False) -> None:
    """Allow the network of a study to be built again, if its code is still the same.

    Args:
        name: that the study has for it.
        source: that it was begun with.
        given: the network, or its code as `--backbone` names it; of several separated by commas the one of this name is
            taken, and one alone whatever its file is called. Or a HyperModel, an instance or its code.
        hypermodel: whether the study is of one.

    Raises:
        ModelError: there is no such file, or the name cannot be that of a network of the user's own.
    """
    if isinstance(given, Backbone):
        given.register()
    elif not isinstance(given, str):
        register_hypermodel(given)
    elif hypermodel:
        named(given, name, hypermodel=True)
    else:
        codes = [part.strip() for part in given.split(",") if part.strip()]
        fitting = [code for code in codes if parse(code).name == name] or codes
        if len(fitting) == 1 or len(fitting) < len(codes):
            named(fitting[0], name)
    if is_registered(name):
        pin(name, source)


def _reference(function: Callable[..., Any], field: str) -> Reference:
    """Where other processes find a function."""
    name, home = getattr(function, "__qualname__", ""), getattr(function, "__module__", None) or ""
    module = sys.modules.get(home)
    if not name.isidentifier() or getattr(module, name, None) is not function:
        raise ModelError(
            f"{field} must be a function at the top level of a module or script, where worker processes can import it. "
            f"Received: {name or type(function).__name__}"
        )
    file = getattr(module, "__file__", None)
    if not file or not Path(file).is_file():
        raise ModelError(
            f"{field} must stand in a file, from which worker processes can import it. Received: {name}, typed in"
        )
    path = Path(file).resolve()
    if home in ("__main__", "__mp_main__") or home.startswith(INSIDE):
        return Reference(str(path), name)
    depth = home.count(".") + (path.name == "__init__.py")
    return Reference(home, name, str(path.parents[depth]))
