"""Which HyperModels can be named, and what becomes of them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from models import ModelError
from models.own import registry
from models.own.backbone import register_hypermodel
from models.own.hypermodel import load_hyper, state_of
from models.own.reference import Reference
from models.own.registry import code_of, hyper_of, is_hypermodel, named, variables
from tests import hypermodels

FILE = Path(hypermodels.__file__)
DIGEST = hashlib.sha256(FILE.read_bytes()).hexdigest()


def made(name: str) -> Any:
    return load_hyper("mine", Reference(str(FILE), name), "").make((8, 8, 1), 10)


def test_a_class_gets_what_the_data_decides() -> None:
    found = made("Layers")
    assert (found.input_shape, found.classes) == ((8, 8, 1), 10)
    assert type(made("Scoped")).__name__ == "Scoped"


def test_an_instance_and_a_function() -> None:
    assert made("instance").units == 5
    import keras_tuner

    hp = keras_tuner.HyperParameters()
    assert made("function").build(hp).count_params() > 0
    assert list(hp.values) == ["filters"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Needs", "cannot be made without units: of a class only input_shape, classes and num_classes are known"),
        ("number", "must be a keras_tuner.HyperModel, an instance of one, or a function .* Received: int"),
        ("Path", "is not there in"),
    ],
)
def test_what_cannot_be_one_is_refused_in_a_line(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        made(name)
    assert "\n" not in str(caught.value)


def test_its_code_is_what_it_is_known_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FILE.parent)
    assert named("hypermodels.py:Scoped", hypermodel=True) == "hypermodels.Scoped"
    assert is_hypermodel("hypermodels.Scoped") and not is_hypermodel("vgg16")
    assert hyper_of("hypermodels.Scoped").source == f"hypermodels.py:Scoped {DIGEST}"
    assert code_of("hypermodels.Scoped") == "hypermodels.py:Scoped"


@pytest.mark.parametrize("text", ["keras_hub:resnet", "mine.keras", "mine", "mine.py"])
def test_what_is_no_code_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match="must be named as"):
        named(text, hypermodel=True)


@pytest.fixture
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_known", {})
    monkeypatch.delenv(registry.VARIABLE, raising=False)


@pytest.mark.usefixtures("nothing_known")
class TestInstance:
    def test_it_is_made_again_elsewhere(self) -> None:
        assert register_hypermodel(hypermodels.Needs(6)) == "Needs"
        mine = hyper_of("Needs")
        assert mine.make((8, 8, 1), 10).units == 6
        code, settings = mine.source.split(" and settings ")
        assert code == f"hypermodels.py:Needs {DIGEST}"
        state = state_of(hypermodels.Needs(6))
        assert state == "{'name': None, 'tunable': True, 'units': 6}"
        assert settings == hashlib.sha256(state.encode()).hexdigest()
        assert '"hypermodel": true' in variables()["HPO_OWN_NETWORKS"]

    def test_one_name_stands_for_one_instance(self) -> None:
        register_hypermodel(hypermodels.Needs(6))
        register_hypermodel(hypermodels.Needs(6))
        with pytest.raises(
            ModelError, match="would be called Needs, which another .*:Needs is called: give it another"
        ):
            register_hypermodel(hypermodels.Needs(7))
        other = hypermodels.Needs(7)
        other.name = "seven"
        assert register_hypermodel(other) == "seven"
        assert [hyper_of(name).make((8, 8, 1), 10).units for name in ("Needs", "seven")] == [6, 7]

    @pytest.mark.parametrize("value", [lambda: 6, {1, 2}, float("nan"), [object()], {"a": {3}}, b"x"])
    def test_what_has_no_text_of_its_own_is_refused(self, value: Any) -> None:
        odd = hypermodels.Needs(6)
        odd.units = value
        with pytest.raises(ModelError, match=r"name an instance at the top level .* Received: units of class \w+"):
            register_hypermodel(odd)

    def test_more_than_an_environment_takes_is_refused(self) -> None:
        odd = hypermodels.Needs(6)
        odd.units = [1.5] * 20_000  # type: ignore[assignment]
        with pytest.raises(ModelError, match="more than 50000 letters"):
            register_hypermodel(odd)

    def test_what_is_none_is_refused(self) -> None:
        with pytest.raises(ModelError, match="must be an instance of keras_tuner.HyperModel. Received: int"):
            register_hypermodel(5)
