"""A small network for small pictures: four convolutions, under 0.5 M parameters.

It is the only backbone whose pretrained weights travel with the package (trained on CIFAR-10), so it
works without a network connection.
"""

from __future__ import annotations

from typing import Any

N_CLASSES = 10  # CIFAR-10


def features(x: Any) -> Any:
    """Four stages of conv-BatchNorm-ReLU, the first three closed by a 2x2 max pooling.

    Args:
        x: Keras tensor, (None, r, r, 3) float, pixels in [-1, 1], r at least 8.

    Returns:
        Keras tensor, (None, r // 8, r // 8, 192).
    """
    from keras import layers

    for stage, filters in enumerate((32, 64, 128), start=1):
        x = _conv(x, filters, stage)
        x = layers.MaxPooling2D(2, name=f"block{stage}_pool")(x)
    x = layers.Dropout(0.1, name="block4_dropout")(x)
    return _conv(x, 192, 4)


def classifier(x: Any) -> Any:
    """The head it was trained with: (None, h, w, 192) -> (None, 10) probabilities."""
    from keras import layers

    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    x = layers.Dropout(0.2, name="top_dropout")(x)
    return layers.Dense(N_CLASSES, activation="softmax", name="predictions")(x)


def _conv(x: Any, filters: int, stage: int) -> Any:
    from keras import layers

    name = f"block{stage}"
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv")(
        x
    )
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)
