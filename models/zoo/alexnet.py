"""AlexNet with one tower, as torchvision builds it.

Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014, https://arxiv.org/abs/1404.5997,
after Krizhevsky, Sutskever, Hinton 2012. No local response normalisation. 61,100,840 parameters and 0.714 GMACs at
224 pixels with top, 2,469,696 of the parameters without:

| layer | window, stride, padding | map at 224 | parameters |
| conv1 | 11, 4, 2 | 55 x 55 x 64 | 23,296 |
| pool1 | 3, 2 | 27 x 27 | |
| conv2 | 5, 1, 2 | 27 x 27 x 192 | 307,392 |
| pool2 | 3, 2 | 13 x 13 | |
| conv3 | 3, 1, 1 | 13 x 13 x 384 | 663,936 |
| conv4 | 3, 1, 1 | 13 x 13 x 256 | 884,992 |
| conv5 | 3, 1, 1 | 13 x 13 x 256 | 590,080 |
| pool5 | 3, 2 | 6 x 6 | |
| fc6, fc7 | | 4096 | 37,752,832 and 16,781,312 |
| fc8 | | 1000 | 4,097,000 |
"""

from __future__ import annotations

from typing import Any

from models.zoo.layers import Window, conv_relu, first_stride, max_pool, relu

N_CLASSES = 1000  # ImageNet
CONV1 = Window(11, 4, padding=2)
POOL = Window(3, 2)
TOP_SIDE = 6  # of the map that fc6 was made for


def features(x: Any) -> Any:
    """Five convolutions.

    Args:
        x: Keras tensor, (None, r, r, 3) float, normalised by ImageNet's mean and deviation, r at least 32. Below 63
            pixels the first stride is smaller than 4, see `layers.first_stride`.

    Returns:
        Keras tensor, (None, 6, 6, 256) at 224 pixels.
    """
    stride = first_stride(min(x.shape[1:3]), (CONV1, POOL, POOL, POOL))
    x = conv_relu(x, 64, CONV1._replace(stride=stride), "conv1")
    x = max_pool(x, POOL, "pool1")
    x = conv_relu(x, 192, Window(5, 1, padding=2), "conv2")
    x = max_pool(x, POOL, "pool2")
    x = conv_relu(x, 384, Window(3, 1, padding=1), "conv3")
    x = conv_relu(x, 256, Window(3, 1, padding=1), "conv4")
    x = conv_relu(x, 256, Window(3, 1, padding=1), "conv5")
    return max_pool(x, POOL, "pool5")


def classifier(x: Any) -> Any:
    """Three dense layers on 6 x 6 averages: (None, h, w, 256) -> (None, 1000) probabilities."""
    from keras import layers

    x = layers.AdaptiveAveragePooling2D(TOP_SIDE, name="avg_pool")(x)
    x = layers.Permute((3, 1, 2), name="channels_first")(x)  # fc6 reads channel by channel, as torch flattens
    x = layers.Flatten(name="flatten")(x)
    for name in ("fc6", "fc7"):
        x = layers.Dropout(0.5, name=f"{name}_dropout")(x)
        x = relu(layers.Dense(4096, kernel_initializer="he_normal", name=name)(x), f"{name}_relu")
    x = layers.Dense(N_CLASSES, name="fc8")(x)
    return layers.Softmax(name="predictions")(x)


def torch_modules() -> dict[str, str]:
    """Layer -> module of torchvision's AlexNet."""
    return {
        "conv1": "features.0",
        "conv2": "features.3",
        "conv3": "features.6",
        "conv4": "features.8",
        "conv5": "features.10",
        "fc6": "classifier.1",
        "fc7": "classifier.4",
        "fc8": "classifier.6",
    }
