"""The process that measures: a runtime, and nothing else in memory. Read by `models.latency.deployed`, which starts it.

It reads one JSON object from its standard input: `runtime`, `paths` of files for one picture each, `threads`,
`seconds` and `runs` at most, `seed`. It prints one: for each file the nanoseconds of each run.
"""

import gc
import json
import random
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

WARM_UP_CALLS, LEAST_RUNS = 2, 5
LIMIT_SECONDS = 300  # for one file: the kernel ends a process that hangs, even if nobody is left to do so


def main() -> None:
    """In the process."""
    sys.stdout.write(json.dumps(run(json.load(sys.stdin))))


def run(spec: dict[str, Any]) -> list[list[int]]:
    """Nanoseconds [file][run]; the files in an order that the seed decides."""
    threads = int(spec["threads"])
    # A call that is longer than a slice of the scheduler is never seen undisturbed by a wall clock on a busy machine;
    # with several threads only the wall clock sees all of them.
    clock = time.thread_time_ns if threads == 1 else time.perf_counter_ns
    times: list[list[int]] = [[] for _ in spec["paths"]]
    gc.collect()
    gc.disable()
    for number in random.Random(spec["seed"]).sample(range(len(times)), len(times)):
        signal.alarm(LIMIT_SECONDS)
        call = LOADERS[spec["runtime"]](spec["paths"][number], threads, spec["seed"])
        times[number] = _measure(call, clock, spec["seconds"], spec["runs"])
    return times


def _measure(call: Callable[[], object], clock: Callable[[], int], seconds: float, runs: int) -> list[int]:
    for _ in range(WARM_UP_CALLS):
        call()
    nanoseconds: list[int] = []
    end = time.perf_counter() + seconds
    while len(nanoseconds) < LEAST_RUNS or (time.perf_counter() < end and len(nanoseconds) < runs):
        start = clock()
        call()
        nanoseconds.append(clock() - start)
    return nanoseconds


def _litert(path: str, threads: int, seed: int) -> Callable[[], object]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path, num_threads=threads)
    interpreter.allocate_tensors()
    (entry,) = interpreter.get_input_details()
    interpreter.set_tensor(entry["index"], _picture(tuple(entry["shape"]), entry["dtype"], seed))
    return interpreter.invoke


def _onnx(path: str, threads: int, seed: int) -> Callable[[], object]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    shape = tuple(side if isinstance(side, int) else 1 for side in entry.shape)
    dtype = np.uint8 if "uint8" in entry.type else np.float32
    given = {entry.name: _picture(shape, dtype, seed)}
    return lambda: session.run(None, given)


# A path, the threads and a seed -> one call on a random picture.
LOADERS: dict[str, Callable[[str, int, int], Callable[[], object]]] = {"litert": _litert, "onnx": _onnx}


def _picture(shape: tuple[int, ...], dtype: Any, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(dtype)
