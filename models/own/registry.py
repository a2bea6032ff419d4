"""The networks of the user's own that this process, and those that it starts, may build: each by its name.

One is here because a command line or Python named its code. A database, a preset or a folder only ever has names, which
are looked up here, so that nothing in them can make code be imported. Importing is left to the processes that build.
"""

from __future__ import annotations

import functools
import json
import os
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models import ModelError
from models.catalogue import BACKBONES
from models.own.reference import LEAST_SIDE, NATIVE_SIDE, SAVED, Own, Reference, function_of, load, parse, source_of

if TYPE_CHECKING:
    from models.own.hypermodel import Hyper

VARIABLE = "HPO_OWN_NETWORKS"  # in the environment of processes that we start: what this one knows
NAME = re.compile(r"\w[\w.+-]{0,99}")  # of a network: names of studies and folders are made of it


@dataclass(frozen=True)
class Settings:
    """What Python says of a network, in place of what stands beside its function."""

    preprocess: Reference | None = None
    min_resolution: int = LEAST_SIDE
    native_resolution: int = NATIVE_SIDE


@dataclass(frozen=True)
class Registered:
    """Where the code of a network is.

    Attributes:
        code: what builds it.
        settings: what else was said of it, if it was named in Python.
        source: that it must have, see `models.own.reference.Own`; empty where any will do.
        hypermodel: whether it is a HyperModel of KerasTuner, and not a network.
        state: of an instance of one that Python handed over, see `models.own.hypermodel.state_of`.
    """

    code: Reference
    settings: Settings | None = None
    source: str = ""
    hypermodel: bool = False
    state: str = ""


_known: dict[str, Registered] = {}  # what was named in this process


def register(name: str, network: Registered) -> None:
    """Allow this process, and those that it starts, to build a network of the user's own.

    Raises:
        ModelError: the name cannot be that of a network, or is another one's.
    """
    if not NAME.fullmatch(name):
        raise ModelError(
            "the name of a network must be 1 to 100 letters, digits and . _ + -, and begin with a letter, a digit or "
            f"_. Received: {name}"
        )
    if name in BACKBONES:
        raise ModelError(f"{network.code} would be called {name}, which is one of ours: give it another name")
    known = _registered().get(name, network)
    if (known.code, known.state) != (network.code, network.state):
        other = f"another {known.code}" if known.code == network.code else known.code
        raise ModelError(f"{network.code} would be called {name}, which {other} is called: give it another name")
    _known[name] = network


def pin(name: str, source: str) -> None:
    """From now on the code of a network must be this one, in processes that are started later, too."""
    _known[name] = replace(_registered()[name], source=source)


def variables() -> dict[str, str]:
    """What has to stand in the environment of a process that is to know the same networks."""
    known = {name: asdict(network) for name, network in _registered().items()}
    return {VARIABLE: json.dumps(known)} if known else {}


def code_of(name: str) -> str:
    """Where the code of a network of the user's own is, as a command line here names it; empty of any other."""
    known = _registered().get(name)
    if known is None:
        return ""
    code = known.code
    if code.is_preset:
        return str(replace(code, function=_from_here(code.function)))
    return str(replace(code, module=_from_here(code.module)) if code.is_file else code)


def _from_here(path: str) -> str:
    """A path below this folder as it is typed here; anything else as it is."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def is_registered(name: str) -> bool:
    """Whether it is the name of a network of the user's own that was named here."""
    return name in _registered()


def is_hypermodel(name: str) -> bool:
    """Whether it is the name of a HyperModel that was named here."""
    known = _registered().get(name)
    return known is not None and known.hypermodel


def named(text: str, name: str = "", hypermodel: bool = False) -> str:
    """The name of a network as a command line has it; one of the user's own may be built from now on.

    Args:
        text: the name of one of ours, or code, such as path/file.py:build.
        name: that it is to have; default one made from its code.
        hypermodel: whether it is a HyperModel of KerasTuner, which is always code.

    Raises:
        ModelError: there is no such file, or its name cannot be that of a network.
    """
    if ":" not in text and not text.endswith((".py", SAVED)) and not hypermodel:
        return text
    code = parse(text)
    if hypermodel and (code.is_preset or not code.function):
        raise ModelError(f"a HyperModel must be named as my_module:Class or path/file.py:Class. Received: {text}")
    if code.is_file:
        path = Path(code.module).expanduser()
        if not path.is_file():
            raise ModelError(f"there is no file {path}")
        code = Reference(str(path.resolve()), code.function)
    elif code.is_preset:
        folder = Path(code.function).expanduser()
        code = Reference(code.module, str(folder.resolve()) if folder.is_dir() else code.function)
    else:
        code = Reference(code.module, code.function, os.getcwd())
    register(name or code.name, Registered(code, hypermodel=hypermodel))
    return name or code.name


def own_of(name: str) -> Own:
    """The network of a name, its code imported.

    Raises:
        ModelError: its code was not named, cannot be used, or is not the one that it must be.
    """
    network = _named(name)
    own = _loaded(name, replace(network, source=""))
    _check_source(name, own.source, network.source)
    return own


def hyper_of(name: str) -> Hyper:
    """The HyperModel of a name, its code imported.

    Raises:
        ModelError: as `own_of`.
    """
    network = _named(name)
    own = _loaded_hyper(name, network.code, network.state)
    _check_source(name, own.source, network.source)
    return own


def _named(name: str) -> Registered:
    known = _registered()
    if name not in known:
        raise ModelError(
            f"the code of {name}, a network of your own, was not named: --backbone or --hypermodel CODE does that"
        )
    return known[name]


def _check_source(name: str, source: str, wanted: str) -> None:
    if wanted and source != wanted:
        raise ModelError(f"the code of {name} has changed. Received: {source}. Begun with: {wanted}")


@functools.lru_cache(maxsize=16)
def _loaded_hyper(name: str, code: Reference, state: str) -> Hyper:
    from models.own.hypermodel import load_hyper

    return load_hyper(name, code, state)


@functools.lru_cache(maxsize=16)
def _loaded(name: str, network: Registered) -> Own:
    if not network.code.function:
        from models.own.saved import load_saved

        return replace(load_saved(Path(network.code.module)), name=name)
    if network.code.is_preset:
        from models.own.hub import load_preset

        return replace(load_preset(network.code.function), name=name)
    settings = network.settings
    if settings is None:
        return replace(load(network.code), name=name)
    beside = [settings.preprocess] if settings.preprocess else []
    build, *preprocess = map(function_of, (network.code, *beside))
    source, sides = source_of(network.code, *beside), (settings.min_resolution, settings.native_resolution)
    return Own(name, build, preprocess[0] if preprocess else None, source, network.code.function, *sides)


def _registered() -> dict[str, Registered]:
    stored = json.loads(os.environ.get(VARIABLE) or "{}")
    inherited = {name: _restored(**values) for name, values in stored.items()}
    return inherited | _known


def _restored(code: dict[str, str], settings: dict | None, **others: Any) -> Registered:
    found = None
    if settings is not None:
        beside = settings["preprocess"]
        found = Settings(**settings | {"preprocess": beside and Reference(**beside)})
    return Registered(Reference(**code), found, **others)
