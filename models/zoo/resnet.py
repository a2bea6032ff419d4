"""ResNet-18 and ResNet-34: residual networks of basic blocks (two 3x3 convolutions).

He et al., "Deep Residual Learning for Image Recognition", 2015, https://arxiv.org/abs/1512.03385, table 1, with
projections where a stage begins (option B), as torchvision builds them. With top at 224 pixels 11,689,512 and
21,797,672 trainable parameters, 1.81 and 3.66 GMACs. Layers are named as in Keras' ResNet50.

| stage | map at 224 | blocks of 18, 34 |
| conv1 | 112 x 112 x 64, pooled to 56 x 56 | |
| conv2 | 56 x 56 x 64 | 2, 3 |
| conv3 | 28 x 28 x 128 | 2, 4 |
| conv4 | 14 x 14 x 256 | 2, 6 |
| conv5 | 7 x 7 x 512 | 2, 3 |
"""

from __future__ import annotations

from typing import Any

from models.zoo.layers import Window, batch_norm, conv, max_pool, relu

N_CLASSES = 1000  # ImageNet
FILTERS = (64, 128, 256, 512)
N_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}  # depth -> residual blocks in each stage


def features(x: Any, depth: int) -> Any:
    """Stem and four stages.

    Args:
        x: Keras tensor, (None, r, r, 3) float, normalised by ImageNet's mean and deviation, r at least 28.
        depth: 18 or 34.

    Returns:
        Keras tensor, (None, 7, 7, 512) at 224 pixels, (None, 1, 1, 512) at 28 and 32.
    """
    x = _conv_bn(x, 64, Window(7, 2, padding=3), "conv1")
    x = relu(x, "conv1_relu")
    x = max_pool(x, Window(3, 2, padding=1), "pool1_pool")
    for stage, (filters, n_blocks) in enumerate(zip(FILTERS, N_BLOCKS[depth], strict=True), start=2):
        for block in range(1, n_blocks + 1):
            stride = 2 if stage > 2 and block == 1 else 1
            x = _basic_block(x, filters, stride, f"conv{stage}_block{block}")
    return x


def classifier(x: Any) -> Any:
    """(None, h, w, 512) -> (None, 1000) probabilities."""
    from keras import layers

    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    x = layers.Dense(N_CLASSES, name="fc")(x)
    return layers.Softmax(name="predictions")(x)


def torch_modules(depth: int) -> dict[str, str]:
    """Layer -> module of torchvision's ResNet."""
    modules = {"conv1_conv": "conv1", "conv1_bn": "bn1", "fc": "fc"}
    for stage, n_blocks in enumerate(N_BLOCKS[depth], start=2):
        for block in range(1, n_blocks + 1):
            ours, theirs = f"conv{stage}_block{block}", f"layer{stage - 1}.{block - 1}"
            for number in (1, 2):
                modules[f"{ours}_{number}_conv"] = f"{theirs}.conv{number}"
                modules[f"{ours}_{number}_bn"] = f"{theirs}.bn{number}"
            if stage > 2 and block == 1:
                modules[f"{ours}_0_conv"] = f"{theirs}.downsample.0"
                modules[f"{ours}_0_bn"] = f"{theirs}.downsample.1"
    return modules


def _basic_block(x: Any, filters: int, stride: int, name: str) -> Any:
    from keras import layers

    shortcut = x
    if stride > 1:
        shortcut = _conv_bn(x, filters, Window(1, stride), f"{name}_0")
    x = relu(_conv_bn(x, filters, Window(3, stride, padding=1), f"{name}_1"), f"{name}_1_relu")
    x = _conv_bn(x, filters, Window(3, 1, padding=1), f"{name}_2")
    x = layers.Add(name=f"{name}_add")([shortcut, x])
    return relu(x, f"{name}_out")


def _conv_bn(x: Any, filters: int, window: Window, name: str) -> Any:
    return batch_norm(conv(x, filters, window, f"{name}_conv", use_bias=False), f"{name}_bn")
