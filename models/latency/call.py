"""How long one forward call takes on this machine, and how sure that is.

Protocol, so that a number can be repeated:

1. The forward pass is compiled once (`tf.function` without XLA, `jax.jit`, or torch in `eval` and `no_grad`) for one
   batch size. Compilation is never inside a measurement.
2. One fixed uint8 batch lies on the device already. Each run is one call; the clock (`perf_counter_ns`) is read
   after the device has finished, so the queue of a GPU is not mistaken for its speed.
3. Warm-up: windows of calls until the medians of two successive windows differ by less than 5 %, at least 10 calls, at
   most 3 s. A GPU is kept busy for 3 s first: its clocks rise under load, and what it does until they have settled is
   thrown away.
4. Runs: at least 50, at most 500, and about 0.75 s, in 10 bursts with short pauses between them. (A model so slow that
   50 runs would take more than 30 s gets fewer, but 10; a batch, whose calls are long, gets 10 at least.) What
   disturbs a shared CPU (another process, a change of clock frequency) lasts for tens of milliseconds to seconds: one
   unbroken series may lie wholly inside such a spell, bursts over a longer time do not. The garbage collector is off.
   On a GPU the bursts follow each other without a pause, in which its clocks would fall again.
5. The median over all runs is the latency: a disturbance must hit half of all runs to move it. p10, p90 and p99 tell
   how disturbed the machine was, p10 being close to what it can do undisturbed.

Batch 1 is the latency of one picture; a large batch gives throughput.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models import ModelError
from models.device import compiled_call, device_facts, sees_gpu

# To be raised with every change of the protocol above: figures of two protocols are not compared. What it says of GPUs
# came later than the rest.
PROTOCOL, GPU_PROTOCOL = 2, 3

WARM_UP_CALLS, WARM_UP_WINDOW, WARM_UP_SECONDS, STABLE = 10, 5, 3.0, 0.05
MIN_RUNS, MAX_RUNS, RUN_SECONDS = 50, 500, 0.75
BURSTS, PAUSE_SECONDS, SLOW_SECONDS = 10, 0.02, 30.0
SETTLE_SECONDS = 3.0  # of a GPU
ROUNDS = 3  # of models that are measured together


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
        batch_size: pictures in one call.
        run_seconds: time spent on measured runs, but for the least number of them.
        seed: of the random pictures.
    """
    least = MIN_RUNS if batch_size == 1 else BURSTS
    return summarise(measure_call(_call(model, batch_size, seed), run_seconds, sees_gpu(), least), batch_size)


def measure_together(models: Sequence[Any], on_round: Callable[[], None] = lambda: None) -> list[Latency]:
    """The latencies of several models for one picture, which take turns in `ROUNDS` rounds.

    Args:
        models: built Keras models with one input of fixed size.
        on_round: called after each.
    """
    calls = [_call(model, 1, 0) for model in models]
    milliseconds: list[list[np.ndarray]] = [[] for _ in models]
    for _ in range(ROUNDS):
        for own, call in zip(milliseconds, calls, strict=True):
            own.append(measure_call(call, RUN_SECONDS / ROUNDS, sees_gpu()))
        on_round()
    return [summarise(np.concatenate(own)) for own in milliseconds]


def _call(model: Any, batch_size: int, seed: int) -> Callable[[], object]:
    """Compiled, on random pictures."""
    if batch_size < 1:
        raise ModelError(f"batch_size must be at least 1. Received: {batch_size}")
    shape = tuple(model.inputs[0].shape[1:])
    if len(model.inputs) != 1 or None in shape:
        raise ModelError(f"latency needs one input of fixed size. Received: {[i.shape for i in model.inputs]}")
    pictures = np.random.default_rng(seed).integers(0, 256, (batch_size, *shape), dtype=np.uint8)
    return compiled_call(model, pictures)


def summarise(milliseconds: np.ndarray, batch_size: int = 1) -> Latency:
    """The latency from those of all runs (runs,), with this process's device and backend."""
    median, p10, p90, p99 = (float(np.percentile(milliseconds, share)) for share in (50, 10, 90, 99))
    facts = device_facts()
    where = {key: str(facts[key]) for key in ("device", "backend", "dtype")}
    return Latency(median, p10, p90, p99, len(milliseconds), batch_size, **where)


def measure_call(
    call: Callable[[], object], run_seconds: float = RUN_SECONDS, on_gpu: bool = False, least: int = MIN_RUNS
) -> np.ndarray:
    """Milliseconds (runs,) of a call that returns when its answer is there, whatever computes it; steps 3 to 5.

    Args:
        call: what is measured.
        run_seconds: time spent on measured runs.
        on_gpu: whether clocks are to settle first.
        least: number of runs, whatever they take; a multiple of the number of bursts.
    """
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        _warm_up(call, SETTLE_SECONDS if on_gpu else 0.0)
        return np.asarray(_runs(call, run_seconds, least, pauses=not on_gpu))
    finally:
        if collecting:
            gc.enable()


def machine_facts() -> dict[str, Any]:
    """What a latency depends on beside the model: the device, see `device_facts`, and the protocol."""
    return {**device_facts(), "latency_protocol": protocol()}


def protocol() -> int:
    """The number of the protocol that this process measures by."""
    return GPU_PROTOCOL if sees_gpu() else PROTOCOL


def _warm_up(call: Callable[[], object], settle_seconds: float) -> None:
    """Calls for so many seconds, and then until the time of a call stands still."""
    settled = time.perf_counter() + settle_seconds
    while time.perf_counter() < settled:
        call()
    end = time.perf_counter() + WARM_UP_SECONDS
    calls, before = 0, float("inf")
    while True:
        median = float(np.median([_timed(call) for _ in range(WARM_UP_WINDOW)]))
        calls += WARM_UP_WINDOW
        stable = abs(median - before) < STABLE * median
        if calls >= WARM_UP_CALLS and (stable or time.perf_counter() > end):
            return
        before = median


def _runs(call: Callable[[], object], seconds: float, least: int, pauses: bool) -> list[float]:
    """Milliseconds of each run, in bursts spread over time."""
    milliseconds: list[float] = []
    for _ in range(BURSTS):
        start = time.perf_counter()
        for run in range(MAX_RUNS // BURSTS):
            spent = time.perf_counter() - start
            enough = seconds if run >= least // BURSTS else SLOW_SECONDS
            if run and spent > enough / BURSTS:
                break
            milliseconds.append(_timed(call))
        if pauses:
            time.sleep(max(PAUSE_SECONDS, start + seconds / BURSTS - time.perf_counter()))
    return milliseconds


def _timed(call: Callable[[], object]) -> float:
    """Milliseconds of one synchronised call."""
    start = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - start) / 1e6
