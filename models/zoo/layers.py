"""Layers that count as torch and Caffe do, and the rule for small pictures.

Keras pads a strided convolution more at the bottom and right ("same"), torch equally on all sides; and Keras has
no pooling that keeps an incomplete last window (`ceil_mode`). So padding is a layer of its own here. It pads with
zeros, before a max pooling too: every pooling in these networks follows a ReLU, where zero is as good as -inf.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple


class Window(NamedTuple):
    """A convolution or pooling that shrinks the map, along one side."""

    size: int
    stride: int
    padding: int = 0  # on both ends
    ceil: bool = False  # whether an incomplete last window counts

    def after(self, side: int) -> int:
        """The side of the map behind it; below 1 if nothing is left."""
        steps = side + 2 * self.padding - self.size
        return (-(-steps // self.stride) if self.ceil else steps // self.stride) + 1


def first_stride(side: int, shrinking: Sequence[Window]) -> int:
    """The stride of the first layer at this size of pictures: the rule for small ones.

    It is the published stride wherever that leaves at least one pixel of the last map. Else it is halved until it does
    (4, 2, 1), so AlexNet takes pictures of 32 pixels, not just those from 63 on. All else is as published. No
    weight depends on it, so published weights fit at every size, and neither do the blocks.

    Args:
        side: the shorter side of the pictures, in pixels.
        shrinking: all layers that shrink the map, the first one first.
    """
    first, *others = shrinking
    stride = first.stride
    while stride > 1 and _last_side(side, [first._replace(stride=stride), *others]) < 1:
        stride //= 2
    return stride


def _last_side(side: int, shrinking: Sequence[Window]) -> int:
    for window in shrinking:
        side = max(window.after(side), 0)
    return side


def conv(x: Any, filters: int, window: Window, name: str, use_bias: bool = True) -> Any:
    """Convolution with the same zero padding on all sides, without activation."""
    from keras import layers

    size, stride, padding, _ = window
    same = stride == 1 and size == 2 * padding + 1  # here Keras pads as torch does
    if padding and not same:
        x = layers.ZeroPadding2D(padding, name=f"{name}_pad")(x)
    return layers.Conv2D(
        filters,
        size,
        stride,
        padding="same" if same else "valid",
        use_bias=use_bias,
        kernel_initializer="he_normal",  # He et al. 2015, https://arxiv.org/abs/1502.01852, as all stand before ReLU
        name=name,
    )(x)


def relu(x: Any, name: str) -> Any:
    """A ReLU layer of this name on `x`."""
    from keras import layers

    return layers.ReLU(name=name)(x)


def conv_relu(x: Any, filters: int, window: Window, name: str) -> Any:
    """A convolution with bias, and ReLU."""
    return relu(conv(x, filters, window, name), f"{name}_relu")


def batch_norm(x: Any, name: str, epsilon: float = 1e-5) -> Any:
    """Batch normalisation with torch's defaults: its momentum of 0.1 is 0.9 in Keras."""
    from keras import layers

    return layers.BatchNormalization(momentum=0.9, epsilon=epsilon, name=name)(x)


def max_pool(x: Any, window: Window, name: str) -> Any:
    """Max pooling of what is never negative. Padding by 0 stays in the graph: the same layers at every size."""
    from keras import layers

    size, stride, padding, ceil = window
    if padding or ceil:
        ends = []
        for side in x.shape[1:3]:
            covered = (window.after(side) - 1) * stride + size  # by all windows; they may end before the map does
            ends.append((padding, max(covered - side - padding, 0)))
        x = layers.ZeroPadding2D(tuple(ends), name=f"{name}_pad")(x)
    return layers.MaxPooling2D(size, stride, name=name)(x)
