"""LeNet-5, as used today: for pictures of 32 pixels, such as MNIST's 28 with a margin of 2; grey, or in colour.

LeCun et al., "Gradient-Based Learning Applied to Document Recognition", 1998, section II.B. 61,706 parameters with
ten classes, 50,692 without F6 and output:

| layer | map at 32 | parameters |
| C1, 5x5 | 28 x 28 x 6 | 156 |
| S2, average of 2x2 | 14 x 14 | |
| C3, 5x5 | 10 x 10 x 16 | 2,416 |
| S4, average of 2x2 | 5 x 5 | |
| C5, 5x5 | 1 x 1 x 120 | 48,120 |
| F6 | 84 | 10,164 |
| output | 10 | 850 |

As used today means: C3 sees all maps of S2 (the paper's table I leaves some out), averages have no coefficients to
learn, ReLU stands for tanh (with 10,000 pictures of MNIST and 8 epochs of SGD 0.982 right instead of 0.976), and the
output is a softmax instead of distances to drawn characters. No weights are published.

In colour C1 sees three maps instead of one, which is 300 parameters and 235,200 multiplications more; all else is the
same. The paper's pictures are grey.
"""

from __future__ import annotations

from typing import Any

N_CLASSES = 10  # digits
LEAST_SIDE = 32  # what C1 gets at least; C5 then gives one pixel
GREY = (0.299, 0.587, 0.114)  # shares of red, green and blue in brightness, ITU-R BT.601
BLACK, WHITE = -0.1, 1.175  # section III.A: mean about 0 and variance about 1 over MNIST's pictures


def features(x: Any, colour: bool = False) -> Any:
    """Three convolutions with ReLU, the first two closed by averages.

    Args:
        x: Keras tensor, (None, r, r, 3) float, RGB from 0 to 255, r at least 28. Below 32 pixels a margin of
            zeros, MNIST's background, is added on all sides.
        colour: C1 sees red, green and blue; otherwise the brightness that they make together.

    Returns:
        Keras tensor, (None, 1, 1, 120) up to 32 pixels.
    """
    from keras import layers

    margins = [
        (missing // 2, missing - missing // 2) for missing in (max(LEAST_SIDE - side, 0) for side in x.shape[1:3])
    ]
    x = layers.ZeroPadding2D(tuple(margins), name="margin")(x)
    x = _scaled(x) if colour else _grey(x)
    x = layers.Conv2D(6, 5, activation="relu", name="c1")(x)
    x = layers.AveragePooling2D(2, name="s2")(x)
    x = layers.Conv2D(16, 5, activation="relu", name="c3")(x)
    x = layers.AveragePooling2D(2, name="s4")(x)
    return layers.Conv2D(120, 5, activation="relu", name="c5")(x)


def classifier(x: Any) -> Any:
    """F6 and output: (None, h, w, 120) -> (None, 10) probabilities. Larger pictures are averaged first."""
    from keras import layers

    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    x = layers.Dense(84, activation="relu", name="f6")(x)
    return layers.Dense(N_CLASSES, activation="softmax", name="predictions")(x)


def _scaled(x: Any) -> Any:
    """(None, h, w, 3), 0 to 255 -> each colour as the paper has its grey. No parameters."""
    from keras import layers

    return layers.Rescaling((WHITE - BLACK) / 255, BLACK, name="preprocess")(x)


def _grey(x: Any) -> Any:
    """(None, h, w, 3), 0 to 255 -> (None, h, w, 1), black to white as in the paper. No parameters."""
    from keras import layers, ops

    # The mean over the channels divides by three, so each is multiplied by three before.
    scale = [3 * share * (WHITE - BLACK) / 255 for share in GREY]
    x = layers.Rescaling(scale, BLACK, name="preprocess")(x)
    return ops.mean(x, axis=-1, keepdims=True)
