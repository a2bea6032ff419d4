"""Layers of the user's, or of a library, that are made of other layers: which of them are taken apart into those.

Taken apart, they have blocks, FLOPs and BatchNormalization that can be frozen; whole, they are one layer that nothing
is known of.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from models.flops import is_registered
from models.keras_graph import opening, parts
from models.own import hub_layers


def opened(layer: Any) -> Callable[..., Any] | None:
    """What is called in place of a layer that is taken apart; None where it stays whole.

    Taken apart is one that is made of others alone, not Keras' own, and not counted by a formula of the user's. One of
    the user's that asks whether it is trained stays whole, since what it does then would not be in the graph;
    keras-hub's do nothing with `training` but hand it on.
    """
    home = type(layer).__module__
    if home.startswith("keras.") or is_registered(type(layer)):
        return None
    if home.startswith(hub_layers.HOME):
        return hub_layers.opened(layer)
    return opening(layer) if parts(layer) and "training" not in inspect.signature(layer.call).parameters else None
