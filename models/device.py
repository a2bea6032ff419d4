"""The device that this process computes on: what it is called, and one synchronised call on it.

With `models.training.backend` it is what stands between this project and TensorFlow, JAX or PyTorch.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from models import ModelError

GPU_SHARE = "HPO_GPU_SHARE"  # of a worker that has a part of a GPU
MOST_OF_GPU = 0.9  # the rest is for the driver and for what the library keeps beside its pool


def device_facts() -> dict[str, Any]:
    """What a measurement depends on beside the model: backend, device, dtype policy, versions."""
    import keras

    backend = keras.backend.backend()
    versions = {"keras": keras.version(), "numpy": np.__version__, "python": platform.python_version()}
    device, version = {"tensorflow": _tensorflow_device, "jax": _jax_device, "torch": _torch_device}[backend]()
    return {
        "backend": backend,
        "device": device,
        "dtype": keras.config.dtype_policy().name,
        "versions": versions | {backend: version},
    }


def keep_to_share() -> None:
    """Have TensorFlow take no more of its GPU than the share in `HPO_GPU_SHARE`, before it takes any.

    JAX reads its share by itself (`XLA_PYTHON_CLIENT_MEM_FRACTION`). Where the driver does not tell how much memory
    there is, TensorFlow takes what it needs, as without a share.
    """
    import keras

    share = float(os.environ.get(GPU_SHARE) or 0)
    if not share or keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    for gpu, total in zip(tf.config.list_physical_devices("GPU"), gpu_memory_mib(), strict=False):
        limit = tf.config.LogicalDeviceConfiguration(memory_limit=int(MOST_OF_GPU * share * total))
        tf.config.set_logical_device_configuration(gpu, [limit])


def gpu_memory_mib() -> list[int]:
    """Of each GPU that this process sees, in its order; empty without NVIDIA's driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    asked = [program, "--query-gpu=index,uuid,memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=20)
        rows = [[part.strip() for part in line.split(",")] for line in done.stdout.splitlines() if line.strip()]
        by_name = {name: int(memory) for index, uuid, memory in rows for name in (index, uuid)}
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return []
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    seen = [row[0] for row in rows] if named is None else [name.strip() for name in named.split(",")]
    return [by_name[name] for name in seen if name in by_name]


def has_driver() -> bool:
    """Whether the tool of NVIDIA's driver is here: without it there is no GPU, as a rule."""
    return shutil.which("nvidia-smi") is not None


def sees_gpu() -> bool:
    """Whether the backend of this process has a GPU to compute on."""
    import keras

    backend = keras.backend.backend()
    if backend == "torch":  # Keras 3.15 lists no devices for it
        import torch

        return torch.cuda.is_available()
    if backend == "jax":  # asked for a kind that is not there, JAX raises
        import jax

        return any(device.platform == "gpu" for device in jax.devices())
    return bool(keras.distribution.list_devices("gpu"))


def cpu_name() -> str:
    """The model of the CPU and the number of cores that this process may use."""
    name = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.lower().startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
    return f"{name}, {cores()} cores"


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def compiled_call(model: Any, pictures: np.ndarray) -> Callable[[], object]:
    """A function that runs the model once on these pictures and returns when the device has finished.

    Args:
        model: built Keras model with one input.
        pictures: (n, h, w, c) uint8; they lie on the device before the first call.

    Raises:
        ModelError: there is no adapter for the backend.
    """
    import keras

    adapters = {"tensorflow": _tensorflow_call, "jax": _jax_call, "torch": _torch_call}
    backend = keras.backend.backend()
    if backend not in adapters:
        raise ModelError(f"latency is measured with {', '.join(adapters)}. Received: {backend}")
    return adapters[backend](model, pictures, model.inputs[0].dtype)


def _tensorflow_call(model: Any, pictures: np.ndarray, dtype: str) -> Callable[[], object]:
    import tensorflow as tf

    forward = tf.function(lambda x: model(tf.cast(x, dtype), training=False), jit_compile=False)
    batch = tf.constant(pictures)  # uint8, on the device
    concrete = forward.get_concrete_function(tf.TensorSpec(batch.shape, batch.dtype))
    return lambda: concrete(batch).numpy()  # fetching the (small) answer waits for the device


def _jax_call(model: Any, pictures: np.ndarray, dtype: str) -> Callable[[], object]:
    import jax

    trainable = [variable.value for variable in model.trainable_variables]
    others = [variable.value for variable in model.non_trainable_variables]
    forward = jax.jit(lambda t, n, x: model.stateless_call(t, n, x.astype(dtype), training=False)[0])
    batch = jax.device_put(pictures)
    jax.block_until_ready(forward(trainable, others, batch))
    return lambda: jax.block_until_ready(forward(trainable, others, batch))


def _torch_call(model: Any, pictures: np.ndarray, dtype: str) -> Callable[[], object]:
    import torch

    model.eval()
    device = model.weights[0].value.device
    batch = torch.as_tensor(pictures).to(device)
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None

    def call() -> object:
        with torch.no_grad():
            answer = model(batch.to(getattr(torch, dtype)), training=False)
        wait()
        return answer

    return call


def _tensorflow_device() -> tuple[str, str]:
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU") if gpus else cpu_name()
    return str(name), tf.__version__


def _jax_device() -> tuple[str, str]:
    import jax

    device = jax.devices()[0]
    return (cpu_name() if device.platform == "cpu" else device.device_kind), jax.__version__


def _torch_device() -> tuple[str, str]:
    import torch

    name = torch.cuda.get_device_name(0) if torch.cuda.is_available() else cpu_name()
    return name, str(torch.__version__)
