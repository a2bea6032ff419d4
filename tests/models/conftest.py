"""Networks that the tests of `models` share."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture
def build() -> Callable[..., Any]:
    """`build(name, resolution)` -> Model(pictures, feature map); names of layers start from zero each time."""
    import keras

    from models.backbones import features
    from models.catalogue import BACKBONES

    def _build(name: str, resolution: int | None = None) -> Any:
        keras.backend.clear_session()
        backbone = BACKBONES[name]
        side = resolution or backbone.min_resolution
        inputs = keras.Input((side, side, 3))
        return keras.Model(inputs, features(backbone, inputs))

    return _build
