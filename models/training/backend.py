"""The training adapter of each backend: how it compiles a function and how it takes a gradient.

With `models.device` it is what stands between this project and TensorFlow, JAX or PyTorch. What is compiled here is
written in `keras.ops`, so that `models.training.trainer` is the same for all of them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of tensors and arrays, traced once for each set of shapes. PyTorch runs it as it is."""
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            # without autograph, which rewrites Python's loops and branches: there are none, and it doubles the tracing
            return tf.function(function, autograph=False, jit_compile=False)
        case "jax":
            import jax

            return jax.jit(function)
    return function


def fused(function: Callable[..., Any]) -> Callable[..., Any]:
    """An element-wise function as one pass over memory where the backend can do that inside `compiled`.

    On TensorFlow's CPU that is XLA: Adam on the 9.6 million weights of VGG19's last stage took 0.87 of the time of
    the ten single operations. On its GPU XLA needs tools that a plain wheel lacks, so it is left alone.
    """
    if keras.backend.backend() == "tensorflow" and not keras.distribution.list_devices("gpu"):
        import tensorflow as tf

        return tf.function(function, autograph=False, jit_compile=True)
    return function  # jax.jit fuses what it compiles


@contextmanager
def pointwise_products(model: keras.Model) -> Iterator[None]:
    """While a step is traced, convolutions of 1x1 pixels are products of matrices, where that is faster.

    It is on TensorFlow's CPU, whose gradients of small convolutions cost more to set up than to compute: a step of the
    top two stages of the first 14 blocks of mobilenet_v2_0.35 at 64 px took 0.77 of the time
    (`benchmarks/pointwise.py`).
    """
    if keras.backend.backend() != "tensorflow" or keras.distribution.list_devices("gpu"):
        yield
        return
    layers = [layer for layer in _layers(model) if _is_pointwise(layer)]
    for layer in layers:
        layer.__dict__["convolution_op"] = _product  # which Keras has to be overridden
    try:
        yield
    finally:
        for layer in layers:
            layer.__dict__.pop("convolution_op", None)  # one that is used twice is listed twice


def _layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer


def _is_pointwise(layer: keras.layers.Layer) -> bool:
    return (
        type(layer) is keras.layers.Conv2D
        and (layer.kernel_size, layer.strides, layer.groups) == ((1, 1), (1, 1), 1)
        and layer.data_format == "channels_last"
    )


def _product(inputs: Any, kernel: Any) -> Any:
    """(n, h, w, channels) times (1, 1, channels, filters)."""
    ops = keras.ops
    kernel = ops.cast(kernel, inputs.dtype)[0, 0]
    flat = ops.reshape(inputs, (-1, inputs.shape[-1]))
    return ops.reshape(ops.matmul(flat, kernel), (-1, *inputs.shape[1:-1], kernel.shape[-1]))


def value_and_gradient(function: Callable[..., Any]) -> Callable[..., Any]:
    """From f(w, *rest) -> (scalar, more) a function that returns ((scalar, more), gradient by the array w)."""
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            def with_tape(w: Any, *rest: Any) -> Any:
                with tf.GradientTape() as tape:
                    tape.watch(w)
                    value, more = function(w, *rest)
                return (value, more), tape.gradient(value, w)

            return with_tape
        case "jax":
            import jax

            return jax.value_and_grad(function, has_aux=True)

    import torch

    def with_autograd(w: Any, *rest: Any) -> Any:
        leaf = w.detach().requires_grad_()
        value, more = function(leaf, *rest)
        (gradient,) = torch.autograd.grad(value, leaf)
        return (value.detach(), keras.tree.map_structure(lambda tensor: tensor.detach(), more)), gradient

    return with_autograd


def forward(model: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """The model in inference mode as a function of arrays, traced once for each shape of a batch."""
    run = _inference(model)
    return lambda x: keras.ops.convert_to_numpy(run(x))


def forward_now(model: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """As `forward`, with the weights that the model has when it is called: it may be trained in between."""

    def call(trained: Any, others: Any, x: Any) -> Any:
        x = keras.ops.cast(x, model.inputs[0].dtype)
        return model.stateless_call(trained, others, x, training=False)[0]

    run = compiled(call)

    def now(x: np.ndarray) -> np.ndarray:
        trained = [variable.value for variable in model.trainable_variables]
        others = [variable.value for variable in model.non_trainable_variables]
        return keras.ops.convert_to_numpy(run(trained, others, x))

    return now


def forward_all(model: keras.Model) -> Callable[[np.ndarray], list[np.ndarray]]:
    """All outputs of a model, in a list even if there is but one."""
    run = _inference(model)

    def call(x: np.ndarray) -> list[np.ndarray]:
        outputs = run(x)
        return [keras.ops.convert_to_numpy(one) for one in (outputs if isinstance(outputs, list) else [outputs])]

    return call


def _inference(model: keras.Model) -> Callable[[np.ndarray], Any]:
    trained = [variable.value for variable in model.trainable_variables]
    others = [variable.value for variable in model.non_trainable_variables]

    def call(trained: Any, others: Any, x: Any) -> Any:
        x = keras.ops.cast(x, model.inputs[0].dtype)
        return model.stateless_call(trained, others, x, training=False)[0]

    run = compiled(call)
    return lambda x: run(trained, others, x)
