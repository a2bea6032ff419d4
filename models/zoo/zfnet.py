"""ZFNet: AlexNet with a finer first layer.

Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2013, https://arxiv.org/abs/1311.2901,
figure 3. 62,357,608 parameters with top, 3,726,464 without, from the layer table of the paper:

| layer | window, stride, padding | map at 224 | parameters |
| conv1 | 7, 2, 1 | 110 x 110 x 96 | 14,208 |
| pool1 | 3, 2 | 55 x 55 | |
| conv2 | 5, 2, 0 | 26 x 26 x 256 | 614,656 |
| pool2 | 3, 2 | 13 x 13 | |
| conv3 | 3, 1, 1 | 13 x 13 x 384 | 885,120 |
| conv4 | 3, 1, 1 | 13 x 13 x 384 | 1,327,488 |
| conv5 | 3, 1, 1 | 13 x 13 x 256 | 884,992 |
| pool5 | 3, 2 | 6 x 6 | |
| fc6, fc7 | | 4096 | 37,752,832 and 16,781,312 |
| fc8 | | 1000 | 4,097,000 |

The paper gives the sizes of the maps, not the padding; they come out if the incomplete last window of a pooling counts
(110 -> 55, 26 -> 13), which was the convention of its time. Its contrast normalisation behind the first two poolings
is left out, as in torchvision's AlexNet: it has no parameters, and Simonyan and Zisserman (2014,
https://arxiv.org/abs/1409.1556, section 4.1) found that it does not help. No weights are published.
"""

from __future__ import annotations

from typing import Any

from models.zoo import alexnet
from models.zoo.layers import Window, conv_relu, first_stride, max_pool

CONV1 = Window(7, 2, padding=1)
CONV2 = Window(5, 2)
POOL = Window(3, 2, ceil=True)

classifier = alexnet.classifier  # the same three dense layers on a map of 6 x 6 x 256


def features(x: Any) -> Any:
    """Five convolutions.

    Args:
        x: Keras tensor, (None, r, r, 3) float, normalised by ImageNet's mean and deviation, r at least 32. Where the
            map would vanish the first stride is 1 instead of 2, see `layers.first_stride`.

    Returns:
        Keras tensor, (None, 6, 6, 256) at 224 pixels.
    """
    stride = first_stride(min(x.shape[1:3]), (CONV1, POOL, CONV2, POOL, POOL))
    x = conv_relu(x, 96, CONV1._replace(stride=stride), "conv1")
    x = max_pool(x, POOL, "pool1")
    x = conv_relu(x, 256, CONV2, "conv2")
    x = max_pool(x, POOL, "pool2")
    x = conv_relu(x, 384, Window(3, 1, padding=1), "conv3")
    x = conv_relu(x, 384, Window(3, 1, padding=1), "conv4")
    x = conv_relu(x, 256, Window(3, 1, padding=1), "conv5")
    return max_pool(x, POOL, "pool5")
