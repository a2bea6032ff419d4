"""Frozen networks on many pictures: what is in front of all that is trained, computed as fast as this machine can.

On TensorFlow's CPU a frozen network is converted for LiteRT, whose kernels are made for inference: the pooled features
of all places of mobilenet_v2_0.35 take a fifth to a tenth of the time there (`benchmarks/frozen.py`), and those of a
network are the same to five digits. Where it is few pictures, or another backend, it is the backend's own inference.
"""

from collections.abc import Callable

import keras
import numpy as np

from models.training.backend import forward_all

FEW = 512  # pictures: for fewer, converting takes longer than it saves
CONVERTED_BATCH = 16  # pictures in a call: more are not faster, and take more memory

Run = Callable[[np.ndarray], list[np.ndarray]]


def run_frozen(model: keras.Model, n: int, batch: int) -> Run:
    """A function of batches (batch, ...) that gives all outputs of a model in inference mode, float32.

    Args:
        model: its outputs do not depend on how many pictures are in a batch.
        n: pictures that it will be run on.
        batch: how many it is given at once.
    """
    if n < FEW or keras.backend.backend() != "tensorflow" or keras.distribution.list_devices("gpu"):
        return forward_all(model)
    from tensorflow.lite.python.convert import ConverterError

    try:
        return _converted(model, min(batch, CONVERTED_BATCH))
    except ConverterError:  # a layer of which LiteRT knows nothing
        return forward_all(model)


def _converted(model: keras.Model, batch: int) -> Run:
    from ai_edge_litert.interpreter import Interpreter

    from models.device import cores
    from models.export.runtimes import lite_for

    interpreter = Interpreter(model_content=lite_for(model, batch), num_threads=cores())
    interpreter.allocate_tensors()
    (entry,) = interpreter.get_input_details()
    outputs = [output["index"] for output in interpreter.get_output_details()]

    def run(x: np.ndarray) -> list[np.ndarray]:
        found: list[list[np.ndarray]] = [[] for _ in outputs]
        for start in range(0, len(x), batch):
            part = np.asarray(x[start : start + batch], entry["dtype"])
            if len(part) < batch:  # one shape
                part = np.concatenate([part, np.repeat(part[-1:], batch - len(part), axis=0)])
            interpreter.set_tensor(entry["index"], part)
            interpreter.invoke()
            for values, output in zip(found, outputs, strict=True):
                values.append(interpreter.get_tensor(output)[: len(x) - start])
        return [np.concatenate(values) for values in found]

    return run
