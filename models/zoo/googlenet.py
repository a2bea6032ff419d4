"""GoogLeNet (Inception v1) with batch normalisation, as torchvision builds it, without the auxiliary classifiers.

Szegedy et al., "Going Deeper with Convolutions", 2014, https://arxiv.org/abs/1409.4842, table 1; batch normalisation
behind every convolution as in Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167. Where the paper has a 5x5
convolution torchvision has a 3x3 (https://github.com/pytorch/vision/issues/906), and so have we: its weights are for
that. 6,624,904 trainable parameters with top, 1.50 GMACs at 224 pixels.

| stage | map at 224 |
| conv1 | 112 x 112 x 64, pooled to 56 x 56 |
| conv2 (1x1), conv3 | 56 x 56 x 192, pooled to 28 x 28 |
| inception 3a, 3b | 28 x 28 x 480, pooled to 14 x 14 |
| inception 4a to 4e | 14 x 14 x 832, pooled to 7 x 7 |
| inception 5a, 5b | 7 x 7 x 1024 |
"""

from __future__ import annotations

from typing import Any

from models.zoo.layers import Window, batch_norm, conv, max_pool, relu

N_CLASSES = 1000  # ImageNet
POOL = Window(3, 2, ceil=True)
# Filters as in table 1 of the paper: 1x1, 3x3 reduce, 3x3, 5x5 reduce, "5x5", projection behind the pooling
INCEPTION = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
POOL_BEHIND = {"3b": ("pool3", POOL), "4e": ("pool4", Window(2, 2, ceil=True))}
BRANCHES = {
    "1x1": "branch1",
    "3x3_reduce": "branch2.0",
    "3x3": "branch2.1",
    "5x5_reduce": "branch3.0",
    "5x5": "branch3.1",
    "pool_proj": "branch4.1",
}  # ours -> torchvision's


def features(x: Any) -> Any:
    """Stem and nine inception modules.

    Args:
        x: Keras tensor, (None, r, r, 3) float, pixels in [-1, 1], r at least 32.

    Returns:
        Keras tensor, (None, 7, 7, 1024) at 224 pixels, (None, 1, 1, 1024) at 32.
    """
    x = _conv(x, 64, Window(7, 2, padding=3), "conv1")
    x = max_pool(x, POOL, "pool1")
    x = _conv(x, 64, Window(1, 1), "conv2")
    x = _conv(x, 192, Window(3, 1, padding=1), "conv3")
    x = max_pool(x, POOL, "pool2")
    for module, filters in INCEPTION.items():
        x = _inception(x, filters, f"inception{module}")
        if module in POOL_BEHIND:
            name, window = POOL_BEHIND[module]
            x = max_pool(x, window, name)
    return x


def classifier(x: Any) -> Any:
    """(None, h, w, 1024) -> (None, 1000) probabilities."""
    from keras import layers

    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    x = layers.Dropout(0.2, name="top_dropout")(x)
    x = layers.Dense(N_CLASSES, name="fc")(x)
    return layers.Softmax(name="predictions")(x)


def torch_modules() -> dict[str, str]:
    """Layer -> module of torchvision's GoogLeNet."""
    convolutions = {name: name for name in ("conv1", "conv2", "conv3")}
    for module in INCEPTION:
        for ours, theirs in BRANCHES.items():
            convolutions[f"inception{module}_{ours}"] = f"inception{module}.{theirs}"
    modules = {"fc": "fc"}
    for ours, theirs in convolutions.items():
        modules |= {f"{ours}_conv": f"{theirs}.conv", f"{ours}_bn": f"{theirs}.bn"}
    return modules


def _inception(x: Any, filters: tuple[int, ...], name: str) -> Any:
    from keras import layers

    single, three_reduce, three, five_reduce, five, projection = filters
    pooled = layers.MaxPooling2D(3, 1, padding="same", name=f"{name}_pool")(x)
    branches = [
        _conv(x, single, Window(1, 1), f"{name}_1x1"),
        _conv(_conv(x, three_reduce, Window(1, 1), f"{name}_3x3_reduce"), three, Window(3, 1, 1), f"{name}_3x3"),
        _conv(_conv(x, five_reduce, Window(1, 1), f"{name}_5x5_reduce"), five, Window(3, 1, 1), f"{name}_5x5"),
        _conv(pooled, projection, Window(1, 1), f"{name}_pool_proj"),
    ]
    return layers.Concatenate(name=f"{name}_out")(branches)


def _conv(x: Any, filters: int, window: Window, name: str) -> Any:
    x = conv(x, filters, window, f"{name}_conv", use_bias=False)
    return relu(batch_norm(x, f"{name}_bn", epsilon=1e-3), f"{name}_relu")
