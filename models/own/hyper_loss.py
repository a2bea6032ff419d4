"""What a HyperModel's loss takes and what its model gives: labels as numbers or one-hot, probabilities or logits."""

from __future__ import annotations

from typing import Any

PROBABILITIES = ("softmax", "sigmoid")  # last activations


def loss_of(model: Any) -> Any:
    """The loss that a model was compiled with, as Keras resolves it; None where it was not compiled."""
    import keras

    loss = getattr(model, "loss", None)
    if isinstance(loss, (list, tuple)) and len(loss) == 1:
        loss = loss[0]
    return keras.losses.get(loss) if isinstance(loss, str) else loss


def takes_numbers(model: Any) -> bool:
    """Whether labels are numbers of classes, and not one-hot: sparse losses, and a `fit` that has its loss itself."""
    loss = loss_of(model)
    if loss is None:
        return True
    kinds = (type(loss).__name__, getattr(loss, "__name__", ""), getattr(getattr(loss, "fn", None), "__name__", ""))
    return any("sparse" in kind.lower() for kind in kinds)


def gives_logits(model: Any) -> bool:
    """Whether what it gives is before the last activation: its loss says so; without one its last layer."""
    loss = loss_of(model)
    if loss is not None:
        return bool(getattr(loss, "from_logits", False))
    activation = getattr(model.layers[-1], "activation", None)
    named = getattr(activation, "__name__", type(model.layers[-1]).__name__).lower()
    return named not in PROBABILITIES
