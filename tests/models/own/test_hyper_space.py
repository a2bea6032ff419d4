"""What HyperModels ask for, also where plain Python decides that."""

from __future__ import annotations

from typing import Any

import keras_tuner
import pytest

from models import ModelError
from models.own.hyper_space import Explorer, Seen, explore
from models.own.hypermodel import Hyper, load_hyper
from models.own.reference import Reference
from tests import hypermodels


def hyper(name: str) -> Hyper:
    return load_hyper("mine", Reference(hypermodels.__file__, name), "")


def conditions(described: Any) -> dict[str, list[Any]]:
    return {each["config"]["name"]: each["config"]["values"] for each in described["config"]["conditions"]}


def asked(name: str) -> list[tuple[str, str]]:
    found = explore(hyper(name), (8, 8, 1), 10).hyperparameters
    return [(each["class_name"], each["config"]["name"]) for each in found]


def test_what_stands_behind_conditions_is_found() -> None:
    found = {
        each["config"]["name"]: conditions(each) for each in explore(hyper("Layers"), (8, 8, 1), 10).hyperparameters
    }
    assert found == {
        "layers": {}, "units_0": {}, "dropout": {}, "note": {},
        "share": {"dropout": [True]}, "units_1": {"layers": [2, 3]}, "units_2": {"layers": [3]},
    }  # fmt: skip
    scoped = explore(hyper("Scoped"), (8, 8, 1), 10).hyperparameters
    units = [each["config"] for each in scoped if each["config"]["name"] == "units"]
    assert [(one["min_value"], one["conditions"][0]["config"]["values"]) for one in units] == [
        (8, ["mlp"]),
        (16, ["cnn"]),
    ]


def test_what_fit_asks_for_is_found() -> None:
    assert asked("Loop") == [("Choice", "units"), ("Int", "batch_size")]
    assert asked("Guide") == [("Int", "units"), ("Float", "rate")]
    assert explore(hyper("Loop"), (8, 8, 1), 10).fits_itself
    assert not explore(hyper("function"), (8, 8, 1), 10).fits_itself


def test_a_fit_that_fails_is_refused_before_the_first_trial() -> None:
    with pytest.raises(ModelError, match="fit of mine failed on 64 made pictures: ValueError: not today"):
        explore(hyper("BadFit"), (8, 8, 1), 10)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("odd_loss", "mine has a loss that does not take its labels: ValueError: no labels for me"),
        ("hidden_logits", "mine must end in probabilities .* or its loss say from_logits=True"),
    ],
)
def test_a_loss_that_cannot_be_is_refused_before_the_first_trial(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        explore(hyper(name), (8, 8, 1), 10)


def explored(build: Any) -> dict[str, dict[str, list[Any]]]:
    """What is found of a function of hyperparameters, without building anything."""

    def ask(values: Any) -> Seen:
        hp = keras_tuner.HyperParameters()
        hp.values = dict(values)
        build(hp)
        space = hp.get_config()["space"]
        return Seen({(each["config"]["name"], str(each["config"]["conditions"])): each for each in space}, hp.values)

    explorer = Explorer(ask)
    explorer.run()
    return {each["config"]["name"]: conditions(each) for each in explorer.found()}


def test_conditions_within_conditions() -> None:
    def build(hp: Any) -> None:
        if hp.Choice("kind", ["a", "b", "c"]) in ("b", "c") and hp.Boolean("deep"):
            for number in range(hp.Int("layers", 0, 2)):
                hp.Float(f"rate_{number}", 0.0, 1.0)

    assert explored(build) == {
        "kind": {},
        "deep": {"kind": ["b", "c"]},
        "layers": {"deep": [True]},
        "rate_0": {"layers": [1, 2]},
        "rate_1": {"layers": [2]},
    }


def test_what_one_choice_or_another_brings_is_always_searched() -> None:
    def build(hp: Any) -> None:
        wide, deep = hp.Boolean("wide"), hp.Boolean("deep")
        if wide or deep:
            hp.Int("units", 1, 100)

    assert explored(build) == {"wide": {}, "deep": {}, "units": {}}


def test_a_large_integer_stays_without_conditions_for_others() -> None:
    def build(hp: Any) -> None:
        if hp.Int("size", 1, 100) > 50:
            hp.Boolean("large")

    assert explored(build) == {"size": {}, "large": {}}


def test_choices_that_do_not_go_together_are_left_alone() -> None:
    def build(hp: Any) -> None:
        if hp.Choice("kind", ["a", "b"]) == "b":
            raise ModelError("no")

    assert explored(build) == {"kind": {}}


def test_it_ends() -> None:
    def build(hp: Any) -> None:
        for number in range(len(hp.values) + 1):  # always one more
            hp.Boolean(f"b{number}")

    assert 1 <= len(explored(build)) < 100
