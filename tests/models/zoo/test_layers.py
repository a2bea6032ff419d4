"""Layers against sums by hand, and the rule for small pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.zoo import alexnet, zfnet
from models.zoo.layers import Window, conv, first_stride, max_pool


def _run(build: Any, x: np.ndarray) -> np.ndarray:
    import keras

    inputs = keras.Input(x.shape[1:])
    return keras.ops.convert_to_numpy(keras.Model(inputs, build(inputs))(x))


@pytest.mark.parametrize(
    ("window", "side", "expected"),
    [
        (Window(3, 2), 55, 27),
        (Window(3, 2), 56, 27),
        (Window(3, 2, ceil=True), 112, 56),
        (Window(3, 2, ceil=True), 7, 3),
        (Window(3, 2, ceil=True), 2, 1),
        (Window(2, 2, ceil=True), 7, 4),
        (Window(2, 2, ceil=True), 1, 1),
        (Window(7, 2, padding=3), 224, 112),
        (Window(11, 4, padding=2), 224, 55),
        (Window(3, 2), 1, 0),
    ],
)
def test_sides(window: Window, side: int, expected: int) -> None:
    assert window.after(side) == expected


@pytest.mark.parametrize("side", range(2, 12))
@pytest.mark.parametrize("window", [Window(3, 2, ceil=True), Window(2, 2, ceil=True), Window(3, 2, padding=1)])
def test_max_pooling_keeps_the_windows_of_torch(side: int, window: Window) -> None:
    x = np.random.default_rng(side).uniform(0, 1, (1, side, side + 1, 2)).astype("float32")  # behind a ReLU
    found = _run(lambda inputs: max_pool(inputs, window, "pool"), x)
    size, stride, padding, _ = window
    for i, j in np.ndindex(*found.shape[1:3]):
        top, left = i * stride - padding, j * stride - padding
        part = x[0, max(top, 0) : top + size, max(left, 0) : left + size]
        np.testing.assert_array_equal(found[0, i, j], part.max((0, 1)))
    assert found.shape[1:3] == (window.after(side), window.after(side + 1))


def test_a_strided_convolution_is_padded_on_all_sides() -> None:
    import keras

    x = np.zeros((1, 8, 8, 1), "float32")
    x[0, 0, 0] = 1
    inputs = keras.Input((8, 8, 1))
    model = keras.Model(inputs, conv(inputs, 1, Window(3, 2, padding=1), "conv", use_bias=False))
    model.set_weights([np.arange(9, dtype="float32").reshape(3, 3, 1, 1)])
    found = keras.ops.convert_to_numpy(model(x))
    assert found.shape == (1, 4, 4, 1)
    assert found[0, 0, 0, 0] == 4  # the middle of the kernel lies on the first pixel


def test_the_published_stride_is_kept_where_it_can_be() -> None:
    shrinking = (alexnet.CONV1, alexnet.POOL, alexnet.POOL, alexnet.POOL)
    strides = {side: first_stride(side, shrinking) for side in (32, 34, 35, 62, 63, 64, 224)}
    assert strides == {32: 1, 34: 1, 35: 2, 62: 2, 63: 4, 64: 4, 224: 4}  # torchvision takes 63 pixels and more
    shrinking = (zfnet.CONV1, zfnet.POOL, zfnet.CONV2, zfnet.POOL, zfnet.POOL)
    assert [first_stride(side, shrinking) for side in (32, 64, 224)] == [1, 2, 2]
