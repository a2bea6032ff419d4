"""What is minimised, and what counts as right."""

from typing import Any

from keras import ops


def cross_entropy(logits: Any, y: Any, smoothing: Any) -> tuple[Any, Any]:
    """Cross-entropy of each example, binary with one logit and softmax with more.

    Args:
        logits: (n, classes) float32, or (n, 1) for two classes.
        y: (n,) class numbers.
        smoothing: share of each target that is spread over all classes (Szegedy et al. 2016).

    Returns:
        Losses in nats, and 1.0 where the largest logit is right; both (n,) float32.
    """
    if logits.shape[-1] == 1:
        z, target = logits[:, 0], ops.cast(y, "float32")  # (n,)
        hits = ops.cast((z > 0) == (target > 0.5), "float32")
        target = target * (1 - smoothing) + smoothing / 2
        return ops.softplus(z) - target * z, hits
    classes = logits.shape[-1]
    hits = ops.cast(ops.cast(ops.argmax(logits, -1), "int32") == ops.cast(y, "int32"), "float32")
    target = ops.one_hot(y, classes, dtype="float32") * (1 - smoothing) + smoothing / classes  # (n, classes)
    return -ops.sum(target * ops.log_softmax(logits), -1), hits
