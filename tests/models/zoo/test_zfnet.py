"""The sizes of ZFNet's maps are those of figure 3 of the paper."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MAPS = {"conv1": 110, "pool1": 55, "conv2": 26, "pool2": 13, "conv3": 13, "conv4": 13, "conv5": 13, "pool5": 6}


def test_maps(build: Callable[..., Any]) -> None:
    base = build("zfnet", 224)
    assert {name: base.get_layer(name).output.shape[1] for name in MAPS} == MAPS
    assert {name: base.get_layer(name).output.shape[3] for name in ("conv1", "conv2", "conv3", "conv4", "conv5")} == {
        "conv1": 96, "conv2": 256, "conv3": 384, "conv4": 384, "conv5": 256,
    }  # fmt: skip
