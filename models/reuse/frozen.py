"""Frozen networks on many pictures: what is in front of all that is trained, computed as fast as this machine can.

Networks with depthwise convolutions are converted for LiteRT where there is enough to do on TensorFlow's CPU: its
kernels take less than half of the time there, and converting a second or two more than a trace. Dense convolutions of
TensorFlow are as fast or faster (`benchmarks/frozen.py`). Features are the same to five digits.
"""

from collections.abc import Callable

import keras
import numpy as np

from models import flops
from models.device import cores
from models.latency.runtimes import RUNTIMES
from models.training.backend import forward_all

# FLOPs over all pictures for each layer, from which on converting pays: it takes longer the more layers there are.
MUCH = 1.5e8
DEPTHWISE = {"DepthwiseConv2D", "SeparableConv2D"}
CONVERTED_BATCH = 16  # pictures in a call: more are not faster, and take more memory

Run = Callable[[np.ndarray], list[np.ndarray]]


def run_frozen(model: keras.Model, n: int, batch: int) -> Run:
    """A function of batches (batch, ...) that gives all outputs of a model in inference mode, float32.

    Args:
        model: its outputs do not depend on how many pictures are in a batch.
        n: pictures that it will be run on.
        batch: how many it is given at once.
    """
    on_cpu = keras.backend.backend() == "tensorflow" and not keras.distribution.list_devices("gpu")
    if not on_cpu or not RUNTIMES["litert"].installed or not conversion_pays(model, n):
        return forward_all(model)
    from models.export.runtimes import CannotConvert, converted

    try:
        return converted(model, min(batch, CONVERTED_BATCH), cores())
    except CannotConvert:  # LiteRT knows nothing of one of its layers
        return forward_all(model)


def conversion_pays(model: keras.Model, n: int) -> bool:
    """Whether a model is faster when it is converted, with the time that takes, for so many pictures.

    Raises:
        ModelError: a layer has no formula for its FLOPs.
    """
    cost = flops.count(model)
    return n * cost.flops >= MUCH * len(model.layers) and not DEPTHWISE.isdisjoint(cost.by_kind)
