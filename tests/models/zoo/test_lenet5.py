"""LeNet-5: maps and parameters of the paper, and what goes into C1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

MAPS = {"c1": (28, 6), "s2": (14, 6), "c3": (10, 16), "s4": (5, 16), "c5": (1, 120)}
PARAMETERS = {"c1": 156, "c3": 2_416, "c5": 48_120, "f6": 10_164, "predictions": 850}


@pytest.mark.parametrize("name", ["lenet5", "lenet5_colour"])
@pytest.mark.parametrize("resolution", [28, 29, 32])
def test_maps(resolution: int, name: str, build: Callable[..., Any]) -> None:
    base = build(name, resolution)
    assert {name: base.get_layer(name).output.shape[2:] for name in MAPS} == MAPS


def test_parameters() -> None:
    from models.backbones import with_top
    from models.catalogue import BACKBONES

    for name in ("lenet5", "lenet5_grey"):
        assert _parameters(with_top(BACKBONES[name], 32)) == PARAMETERS
    # in colour C1 has three times as many weights, and as many biases
    assert _parameters(with_top(BACKBONES["lenet5_colour"], 32)) == {**PARAMETERS, "c1": 456}


def _parameters(model: Any) -> dict[str, int]:
    return {layer.name: layer.count_params() for layer in model.layers if layer.weights}


def test_what_c1_sees(build: Callable[..., Any]) -> None:
    """One grey picture with a margin of background, from -0.1 to 1.175."""
    import keras

    base = build("lenet5", 28)
    seen = keras.Model(base.input, base.get_layer("c1").input)
    pictures = np.zeros((2, 28, 28, 3), "float32")
    pictures[0] = 255
    pictures[1, 0, 0] = 255, 0, 0
    found = keras.ops.convert_to_numpy(seen(pictures))
    assert found.shape == (2, 32, 32, 1)
    np.testing.assert_allclose(found[0, 2:30, 2:30], 1.175, atol=1e-5)
    np.testing.assert_allclose(found[0, :2], -0.1, atol=1e-6)
    np.testing.assert_allclose(found[0, 30:], -0.1, atol=1e-6)
    np.testing.assert_allclose(found[1, 2, 2], 0.299 * 1.275 - 0.1, atol=1e-6)  # pure red


def test_what_c1_sees_in_colour(build: Callable[..., Any]) -> None:
    """Red, green and blue, each from -0.1 to 1.175."""
    import keras

    base = build("lenet5_colour", 28)
    seen = keras.Model(base.input, base.get_layer("c1").input)
    pictures = np.zeros((1, 28, 28, 3), "float32")
    pictures[0, 0, 0] = 255, 0, 0
    found = keras.ops.convert_to_numpy(seen(pictures))
    assert found.shape == (1, 32, 32, 3)
    np.testing.assert_allclose(found[0, 2, 2], [1.175, -0.1, -0.1], atol=1e-6)  # pure red
    np.testing.assert_allclose(found[0, :2], -0.1, atol=1e-6)
