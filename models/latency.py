"""How long one forward call takes on this machine, and how sure that is.

Protocol, so that a number can be repeated:

1. The forward pass is compiled once (`tf.function` without XLA, `jax.jit`, or torch in `eval` and `no_grad`) for one
   batch size. Compilation is never inside a measurement.
2. One fixed uint8 batch lies on the device already. Each run is one call; the clock (`perf_counter_ns`) is read
   after the device has finished, so the queue of a GPU is not mistaken for its speed.
3. Warm-up: windows of calls until the medians of two successive windows differ by less than 5 %, at least 10 calls, at
   most 3 s.
4. Runs: at least 50, at most 500, and about 0.75 s, in 10 bursts with short pauses between them. (A model so slow that
   50 runs would take more than 30 s gets fewer, but 10.) What disturbs a
   shared CPU (another process, a change of clock frequency) lasts for tens of milliseconds to seconds: one unbroken
   series may lie wholly inside such a spell, bursts over a longer time do not. The garbage collector is off.
5. The median over all runs is the latency: a disturbance must hit half of all runs to move it. p10, p90 and p99 tell
   how disturbed the machine was, p10 being close to what it can do undisturbed.

Batch 1 is the latency of one picture; a large batch gives throughput.
"""

from __future__ import annotations

import gc
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models import ModelError

PROTOCOL = 2  # to be raised with every change of the protocol above: figures of two protocols are not compared

WARM_UP_CALLS, WARM_UP_WINDOW, WARM_UP_SECONDS, STABLE = 10, 5, 3.0, 0.05
MIN_RUNS, MAX_RUNS, RUN_SECONDS = 50, 500, 0.75
BURSTS, PAUSE_SECONDS, SLOW_SECONDS = 10, 0.02, 30.0


@dataclass(frozen=True)
class Latency:
    """Milliseconds for one call on a batch, over all runs, and where that was."""

    median_ms: float
    p10_ms: float
    p90_ms: float
    p99_ms: float
    runs: int
    batch_size: int
    device: str
    backend: str
    dtype: str


def measure(model: Any, batch_size: int = 1, *, run_seconds: float = RUN_SECONDS, seed: int = 0) -> Latency:
    """The latency of a model with one input of fixed size, by the protocol at the head of this module.

    Args:
        model: built Keras model; pixels go in as uint8, or are cast to what its input declares.
        run_seconds: time spent on measured runs, but for the least number of them.
        seed: of the random pictures.
    """
    if batch_size < 1:
        raise ModelError(f"batch_size must be at least 1. Received: {batch_size}")
    shape = tuple(model.inputs[0].shape[1:])
    if len(model.inputs) != 1 or None in shape:
        raise ModelError(f"latency needs one input of fixed size. Received: {[i.shape for i in model.inputs]}")
    pictures = np.random.default_rng(seed).integers(0, 256, (batch_size, *shape), dtype=np.uint8)
    milliseconds = measure_call(_compiled(model, pictures), run_seconds)
    median, p10, p90, p99 = (float(np.percentile(milliseconds, share)) for share in (50, 10, 90, 99))
    facts = device_facts()
    where = {key: str(facts[key]) for key in ("device", "backend", "dtype")}
    return Latency(median, p10, p90, p99, len(milliseconds), batch_size, **where)


def measure_call(call: Callable[[], object], run_seconds: float = RUN_SECONDS) -> np.ndarray:
    """Milliseconds (runs,) of a call that returns when its answer is there, whatever computes it; steps 3 to 5."""
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        _warm_up(call)
        return np.asarray(_runs(call, run_seconds))
    finally:
        if collecting:
            gc.enable()


def device_facts() -> dict[str, Any]:
    """What a latency depends on beside the model: backend, device, dtype policy, versions."""
    import keras

    backend = keras.backend.backend()
    versions = {"keras": keras.version(), "numpy": np.__version__, "python": platform.python_version()}
    device, version = {"tensorflow": _tensorflow_device, "jax": _jax_device, "torch": _torch_device}[backend]()
    return {
        "backend": backend,
        "device": device,
        "dtype": keras.config.dtype_policy().name,
        "versions": versions | {backend: version},
        "latency_protocol": PROTOCOL,
    }


def sees_gpu() -> bool:
    """Whether the backend of this process has a GPU to compute on."""
    import keras

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
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores"


def _warm_up(call: Callable[[], object]) -> None:
    """Calls until the time of a call stands still."""
    end = time.perf_counter() + WARM_UP_SECONDS
    calls, before = 0, float("inf")
    while True:
        median = float(np.median([_timed(call) for _ in range(WARM_UP_WINDOW)]))
        calls += WARM_UP_WINDOW
        stable = abs(median - before) < STABLE * median
        if calls >= WARM_UP_CALLS and (stable or time.perf_counter() > end):
            return
        before = median


def _runs(call: Callable[[], object], seconds: float) -> list[float]:
    """Milliseconds of each run, in bursts spread over time."""
    milliseconds: list[float] = []
    for _ in range(BURSTS):
        start = time.perf_counter()
        for run in range(MAX_RUNS // BURSTS):
            spent = time.perf_counter() - start
            enough = seconds if run >= MIN_RUNS // BURSTS else SLOW_SECONDS
            if run and spent > enough / BURSTS:
                break
            milliseconds.append(_timed(call))
        time.sleep(max(PAUSE_SECONDS, start + seconds / BURSTS - time.perf_counter()))
    return milliseconds


def _timed(call: Callable[[], object]) -> float:
    """Milliseconds of one synchronised call."""
    start = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - start) / 1e6


# The backend adapter: the only place in `models` that names TensorFlow, JAX or PyTorch.


def _compiled(model: Any, pictures: np.ndarray) -> Callable[[], None]:
    """A function that runs the model once on these pictures and returns when the device has finished."""
    import keras

    adapters = {"tensorflow": _tensorflow_call, "jax": _jax_call, "torch": _torch_call}
    backend = keras.backend.backend()
    if backend not in adapters:
        raise ModelError(f"latency is measured with {', '.join(adapters)}. Received: {backend}")
    return adapters[backend](model, pictures, model.inputs[0].dtype)


def _tensorflow_call(model: Any, pictures: np.ndarray, dtype: str) -> Callable[[], None]:
    import tensorflow as tf

    forward = tf.function(lambda x: model(tf.cast(x, dtype), training=False), jit_compile=False)
    batch = tf.constant(pictures)  # uint8, on the device
    concrete = forward.get_concrete_function(tf.TensorSpec(batch.shape, batch.dtype))
    return lambda: concrete(batch).numpy()  # fetching the (small) answer waits for the device


def _jax_call(model: Any, pictures: np.ndarray, dtype: str) -> Callable[[], None]:
    import jax

    trainable = [variable.value for variable in model.trainable_variables]
    others = [variable.value for variable in model.non_trainable_variables]
    forward = jax.jit(lambda t, n, x: model.stateless_call(t, n, x.astype(dtype), training=False)[0])
    batch = jax.device_put(pictures)
    jax.block_until_ready(forward(trainable, others, batch))
    return lambda: jax.block_until_ready(forward(trainable, others, batch))


def _torch_call(model: Any, pictures: np.ndarray, dtype: str) -> Callable[[], None]:
    import torch

    model.eval()
    device = model.weights[0].value.device
    batch = torch.as_tensor(pictures).to(device)
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None

    def call() -> None:
        with torch.no_grad():
            model(batch.to(getattr(torch, dtype)), training=False)
        wait()

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
