"""Networks of our own, beside those of keras.applications.

Each module has `features(x, ...)` (preprocessed pictures to the feature map) and `classifier(x)` (feature map to
probabilities); those with published weights also have `torch_modules(...)`, their layers by torchvision's names.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

# name of the backbone -> module here, and the arguments of its `features` and `torch_modules`
ZOO: dict[str, tuple[str, tuple[Any, ...]]] = {
    "alexnet": ("alexnet", ()),
    "googlenet": ("googlenet", ()),
    "resnet18": ("resnet", (18,)),
    "resnet34": ("resnet", (34,)),
    "zfnet": ("zfnet", ()),
    "lenet5": ("lenet5", ()),
    "lenet5_grey": ("lenet5", ()),
    "lenet5_colour": ("lenet5", (True,)),
    "custom_cnn": ("custom_cnn", ()),
}


def features(name: str, x: Any) -> Any:
    """Preprocessed pictures, (None, h, w, 3), to the feature map before any pooling over the whole of it."""
    module, arguments = ZOO[name]
    return _module(module).features(x, *arguments)


def classifier(name: str, x: Any) -> Any:
    """The feature map to the probabilities of the classes that the network was published with."""
    return _module(ZOO[name][0]).classifier(x)


def torch_modules(name: str) -> dict[str, str]:
    """Layer -> module of the network in torchvision, for all layers with weights, the classifier's too."""
    module, arguments = ZOO[name]
    modules: dict[str, str] = _module(module).torch_modules(*arguments)
    return modules


def _module(name: str) -> Any:
    return import_module(f"models.zoo.{name}")
