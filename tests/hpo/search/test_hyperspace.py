"""The space of a HyperModel, from what KerasTuner says of its hyperparameters."""

from __future__ import annotations

from typing import Any

import keras_tuner
import optuna
import pytest

from hpo.search.hyperspace import HyperSpace
from models.candidate import HyperCandidate
from models.own.hyper_space import Asked


def asked() -> keras_tuner.HyperParameters:
    hp = keras_tuner.HyperParameters()
    hp.Choice("kind", ["mlp", "cnn"])
    with hp.conditional_scope("kind", ["mlp"]):
        hp.Int("units", 8, 32, step=8)
    with hp.conditional_scope("kind", ["cnn"]):
        hp.Int("units", 16, 64, sampling="log", default=32)
    hp.Boolean("dropout", default=True)
    hp.Float("rate", 1e-4, 1e-2, sampling="log")
    hp.Float("momentum", 0.0, 0.9, step=0.3)
    hp.Int("batch", 16, 128, sampling="log", step=2)
    hp.Fixed("note", "mine")
    return hp


SPACE = HyperSpace.of("lab.Net", Asked(asked().get_config()["space"], fits_itself=False))


def test_it_is_described_in_words() -> None:
    assert SPACE.describe() == {
        "kind": "mlp, cnn",
        "units (kind = mlp)": "8 to 32 in steps of 8",
        "units (kind = cnn)": "16 to 64, logarithmic",
        "dropout": "False, True",
        "rate": "0.0001 to 0.01, logarithmic",
        "momentum": "0 to 0.9 in steps of 0.3",
        "batch, step": "0 to 3",
        "note": "fixed: mine",
    }


def test_it_begins_with_kerastuners_defaults() -> None:
    (first,) = SPACE.first_candidates()
    assert first.settings() == {
        "kind": "mlp", "units": 8, "dropout": True, "rate": 1e-4, "momentum": 0.0, "batch": 16,
    }  # fmt: skip
    assert {name: first.settings()[name] for name in ("kind", "units", "dropout")} == {
        name: asked().values[name] for name in ("kind", "units", "dropout")
    }


def drawn(seed: int) -> tuple[optuna.Trial, HyperCandidate]:
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed)).ask()
    return trial, SPACE.suggest(trial)


@pytest.mark.parametrize("seed", range(8))
def test_what_is_drawn_is_within_and_meets_its_conditions(seed: int) -> None:
    trial, candidate = drawn(seed)
    values = candidate.settings()
    assert list(values) == ["kind", "units", "dropout", "rate", "momentum", "batch"]
    assert values["units"] in ({8, 16, 24, 32} if values["kind"] == "mlp" else range(16, 65))
    assert values["batch"] in (16, 32, 64, 128)
    assert f"units (kind = {values['kind']})" in trial.params and len(trial.params) == 6


@pytest.mark.parametrize("seed", range(8))
def test_what_it_would_have_to_draw_gives_the_candidate(seed: int) -> None:
    trial, candidate = drawn(seed)
    parameters = SPACE.parameters(candidate)
    assert parameters == pytest.approx(trial.params)
    again: Any = SPACE.suggest(optuna.trial.FixedTrial(parameters))
    assert again.settings() == pytest.approx(candidate.settings())


def test_what_stands_under_a_fixed_one_is_searched() -> None:
    hp = keras_tuner.HyperParameters()
    hp.Fixed("kind", "a")
    with hp.conditional_scope("kind", ["a"]):
        hp.Int("units", 4, 8)
    space = HyperSpace.of("lab.Net", Asked(hp.get_config()["space"], fits_itself=False))
    (first,) = space.first_candidates()
    assert first.settings() == {"units": 4}
    assert space.parameters(first) == {"units (kind = a)": 4}
    assert space.suggest(optuna.create_study().ask()).settings()["units"] in range(4, 9)
