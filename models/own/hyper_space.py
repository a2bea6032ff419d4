"""What a HyperModel asks for, found by building it with one value after another.

KerasTuner's conditional scopes say under which values a hyperparameter is active; plain Python, such as
`for i in range(hp.Int("layers", 1, 3))`, does not. So what is asked for under some values of another hyperparameter
and not under others gets that as its condition: else values that nothing asks for would be drawn and compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models import ModelError
from models.own.hyper_loss import loss_of
from models.own.hyper_network import accepted, build
from models.own.hypermodel import Hyper
from models.own.reference import where

MOST_BUILDS = 48  # in which hyperparameters are looked for
MOST_VALUES = 8  # of one whose values are tried each
ALMOST = 1e-3  # that the shares of a picture may miss 1 by: outputs may be float16
TRIED_ON = 64  # made pictures, for what a `fit` asks for

Described = Mapping[str, Any]  # a hyperparameter as KerasTuner describes it
Identity = tuple[str, str]  # name and conditions: the same name under others is another hyperparameter


@dataclass(frozen=True)
class Asked:
    """What a HyperModel asks for.

    Attributes:
        hyperparameters: as KerasTuner describes them, each behind those that its conditions name.
        fits_itself: whether it has a `fit` of its own.
    """

    hyperparameters: Sequence[Described]
    fits_itself: bool


@dataclass(frozen=True)
class Seen:
    """What was asked for with some values: by identity, and all values then."""

    asked: Mapping[Identity, Described]
    values: Mapping[str, Any]


def explore(own: Hyper, shape: tuple[int, int, int], n_classes: int) -> Asked:
    """The hyperparameters that a HyperModel asks for.

    It is built with its defaults, with each other choice alone, with all integers at their largest (a number of layers
    asks for those of each), and again with what that has brought, at most `MOST_BUILDS` times. A `fit` of the user's is
    called once, on a few made pictures. What is still not found stays at its default in trials.

    Raises:
        ModelError: it cannot be built with its defaults, or its `fit` fails.
    """

    def ask(values: Mapping[str, Any]) -> Seen:
        asked = build(own, values, shape, n_classes, 0).values
        return Seen({_identity(each): each for each in asked.get_config()["space"]}, dict(asked.values))

    explorer = Explorer(ask)
    explorer.run()
    built = build(own, {}, shape, n_classes, 0)
    _check_given(own.name, built, shape, n_classes)
    if built.fits_itself:
        _fit_once(own.name, built, shape, n_classes)
        explorer.take({_identity(each): each for each in built.values.get_config()["space"]})
    return Asked(tuple(explorer.found()), built.fits_itself)


@dataclass
class Explorer:
    """Asks with one value after another.

    Attributes:
        ask: what is asked for with values; others are at their defaults.
    """

    ask: Callable[[Mapping[str, Any]], Seen]
    _known: dict[Identity, Described] = field(default_factory=dict)
    _families: list[tuple[str, dict[Any, Seen]]] = field(default_factory=list)  # a name, and what its values brought
    _seen: dict[str, Seen | None] = field(default_factory=dict)

    def run(self) -> None:
        """Find what can be found.

        Raises:
            ModelError: nothing can be built with the defaults.
        """
        waiting: list[Mapping[str, Any]] = [{}]
        while waiting:
            seen = self._look(waiting.pop(0))
            if seen is None:
                continue
            new = self.take(seen.asked)
            for each in new:
                waiting += self._vary(seen, each["config"]["name"], _choices(each))
            if any(each["class_name"] == "Int" for each in new):
                waiting += self._raise(seen)

    def take(self, asked: Mapping[Identity, Described]) -> list[Described]:
        """Remember what was asked for; what was not known before."""
        new = {identity: each for identity, each in asked.items() if identity not in self._known}
        self._known |= new
        return list(new.values())

    def found(self) -> list[Described]:
        """All, with the conditions that follow from which values brought them."""
        described: list[Described] = []
        for identity, each in self._known.items():
            settings = dict(each["config"])
            settings["conditions"] = [*settings["conditions"], *self._conditions(identity)]
            described.append({**each, "config": settings})
        return described

    def _conditions(self, identity: Identity) -> list[dict[str, Any]]:
        under: dict[str, list[Any]] = {}
        for name, family in self._families:
            brought = [value for value, seen in family.items() if identity in seen.asked]
            if brought and len(brought) < len(family):
                known = under.setdefault(name, [])
                known += [value for value in brought if value not in known]
        for seen in filter(None, self._seen.values()):
            met = all(seen.values.get(name) in own for name, own in under.items())
            if identity in seen.asked and not met:
                return []  # one value or another brings it: what holds together is not known, so it is always searched
        return [{"class_name": "Parent", "config": {"name": name, "values": own}} for name, own in under.items()]

    def _look(self, values: Mapping[str, Any]) -> Seen | None:
        key = repr(sorted(values.items(), key=lambda pair: pair[0]))
        if key not in self._seen:
            if len(self._seen) >= MOST_BUILDS:
                return None
            try:
                self._seen[key] = self.ask(values)
            except ModelError:
                if not values:
                    raise
                self._seen[key] = None  # some choices may not go together: a trial that makes them says so
        return self._seen[key]

    def _vary(self, base: Seen, name: str, values: Sequence[Any]) -> list[Mapping[str, Any]]:
        """Ask with each value of one hyperparameter; those values that brought something new."""
        if len(values) < 2:
            return []
        tried = {value: self._look({**base.values, name: value}) for value in values}
        family = {value: seen for value, seen in tried.items() if seen is not None}
        self._families.append((name, family))
        return [{**base.values, name: value} for value, seen in family.items() if self._brings(seen)]

    def _raise(self, base: Seen) -> list[Mapping[str, Any]]:
        """The same of integers, if all at their largest bring something new; of few values each is tried."""
        integers = [each["config"] for each in base.asked.values() if each["class_name"] == "Int"]
        largest = {**base.values, **{each["name"]: each["max_value"] for each in integers}}
        seen, found = self._look(largest), list[Mapping[str, Any]]()
        if seen is None or not self._brings(seen):
            return found
        for each in integers:
            alone = self._look({**base.values, each["name"]: each["max_value"]})
            if alone is not None and self._brings(alone):
                found += self._vary(base, each["name"], _integers(each))
        return [*found, largest]

    def _brings(self, seen: Seen) -> bool:
        return any(identity not in self._known for identity in seen.asked)


def _choices(described: Described) -> Sequence[Any]:
    """The values of a choice, each of which may ask for more."""
    if described["class_name"] == "Boolean":
        return (False, True)
    return tuple(dict.fromkeys(described["config"]["values"])) if described["class_name"] == "Choice" else ()


def _integers(settings: Mapping[str, Any]) -> Sequence[int]:
    """Of an integer with few values on a line all of them; else none: it stays without conditions for others."""
    values = range(settings["min_value"], settings["max_value"] + 1, settings["step"] or 1)
    return values if settings["sampling"] == "linear" and len(values) <= MOST_VALUES else ()


def _identity(described: Described) -> Identity:
    return described["config"]["name"], str(described["config"]["conditions"])


def _check_given(name: str, built: Any, shape: tuple[int, int, int], n_classes: int) -> None:
    """Make sure that its loss takes the labels, and that what it gives are probabilities.

    Raises:
        ModelError: they are not, or it does not.
    """
    pictures, labels = _made(shape, n_classes)
    x, y = built.prepare(pictures), built.targets(labels)
    if loss_of(built.model) is not None:
        try:
            built.model.compute_loss(x, y, built.model(x, training=False))
        except Exception as error:  # whatever a loss says
            raise ModelError(f"{name} has a loss that does not take its labels: {where(error)}") from error
    shares = built.judge(pictures)
    if not (shares.min() >= -ALMOST and abs(shares.sum(axis=1) - 1).max() <= ALMOST):
        raise ModelError(
            f"{name} must end in probabilities (softmax, or sigmoid of one output), or its loss say from_logits=True. "
            f"Received: outputs of {np.round(shares[0], 3).tolist()} for a picture"
        )


def _made(shape: tuple[int, int, int], n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Made pictures, and labels."""
    pictures = np.random.default_rng(0).integers(0, 256, (TRIED_ON, *shape), np.uint8)
    return pictures, np.arange(TRIED_ON) % n_classes


def _fit_once(name: str, built: Any, shape: tuple[int, int, int], n_classes: int) -> None:
    """One epoch of the user's `fit`, on made pictures."""
    pictures, labels = _made(shape, n_classes)
    x, y = built.prepare(pictures), built.targets(labels)
    others = {"validation_data": (x, y), "epochs": 1, "callbacks": [], "verbose": 0}
    try:
        built.hypermodel.fit(built.values, built.model, x, y, **accepted(built.hypermodel.fit, others))
    except (Exception, SystemExit) as error:  # whatever the user's code raises is the user's
        raise ModelError(f"fit of {name} failed on {TRIED_ON} made pictures: {where(error)}") from error
