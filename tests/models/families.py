"""One network for each family: what holds for it holds for its larger siblings, which are built by the same code.

(`test_backbones.py` builds every one of them once.)
"""

from collections.abc import Iterable
from typing import Any

import pytest

FAMILIES = (
    "vgg16", "resnet50", "resnet50_v2", "inception_v3", "inception_resnet_v2", "xception", "mobilenet_0.25",
    "mobilenet_v2_0.35", "mobilenet_v3_small", "densenet121", "nasnet_mobile", "efficientnet_b0",
    "efficientnet_v2_b0", "efficientnet_v2_s", "convnext_tiny", "alexnet", "googlenet", "resnet18", "zfnet",
    "lenet5", "lenet5_colour", "custom_cnn",
)  # fmt: skip
QUICK = ("vgg16", "mobilenet_0.25", "zfnet", "lenet5", "lenet5_colour", "custom_cnn")  # built in a moment


def families(names: Iterable[str] = FAMILIES) -> list[Any]:
    """For `parametrize`: these networks, with all but the quick ones marked as slow."""
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in names]
