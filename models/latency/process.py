"""The process that measures: a runtime, and nothing else in memory. Read by `models.latency.deployed`, which starts it.

A file that is larger than a third of the last cache is measured cold: before each call another block of memory is read.

Its argument is the runtime, and it prints a line when it has started. Then it reads one JSON object from its standard
input: `runtime`, `paths` of files for one picture each, `threads`, `seconds` and `runs` at most, `seed`. It prints one:
for each file the nanoseconds of each run.
"""

import gc
import importlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

WARM_UP_CALLS, LEAST_RUNS = 2, 5
COLD_SHARE = 1 / 3  # of the last cache: what is larger does not stay there while others use it too
UNKNOWN_CACHE = 32 << 20  # bytes, where the system does not say
LIMIT_SECONDS = 300  # to start, and for one file: the kernel ends a process that hangs, even if nobody is left for that
STARTED = "started"


def main() -> None:
    """In the process."""
    signal.alarm(LIMIT_SECONDS)
    importlib.import_module(MODULES[sys.argv[1]])
    signal.alarm(0)
    print(STARTED, flush=True)
    sys.stdout.write(json.dumps(run(json.load(sys.stdin))))


def run(spec: dict[str, Any]) -> list[list[int]]:
    """Nanoseconds [file][run]; the files in an order that the seed decides."""
    threads = int(spec["threads"])
    # A call that is longer than a slice of the scheduler is never seen undisturbed by a wall clock on a busy machine;
    # with several threads only the wall clock sees all of them.
    clock = time.thread_time_ns if threads == 1 else time.perf_counter_ns
    times: list[list[int]] = [[] for _ in spec["paths"]]
    cache = last_cache()
    cold = [os.stat(path).st_size > COLD_SHARE * cache for path in spec["paths"]]
    others = np.ones(2 * cache if any(cold) else 0, np.uint8)  # zeros would be one page of memory
    gc.collect()
    gc.disable()
    try:
        for number in random.Random(spec["seed"]).sample(range(len(times)), len(times)):
            signal.alarm(LIMIT_SECONDS)
            call = LOADERS[spec["runtime"]](spec["paths"][number], threads, spec["seed"])
            before = others.max if cold[number] else _nothing
            times[number] = _measure(call, before, clock, spec["seconds"], spec["runs"])
    finally:
        gc.enable()
    return times


def last_cache(folder: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> int:
    """Bytes of the largest cache of this machine, as Linux tells it; `UNKNOWN_CACHE` where nothing does."""
    units = {"K": 1 << 10, "M": 1 << 20}
    sizes = [path.read_text().strip() for path in folder.glob("index*/size")]
    return max((int(size[:-1]) * units[size[-1]] for size in sizes), default=UNKNOWN_CACHE)


def _nothing() -> None:
    pass


def _measure(
    call: Callable[[], object], before: Callable[[], object], clock: Callable[[], int], seconds: float, runs: int
) -> list[int]:
    for _ in range(WARM_UP_CALLS):
        call()
    nanoseconds: list[int] = []
    end = time.perf_counter() + seconds
    while len(nanoseconds) < LEAST_RUNS or (time.perf_counter() < end and len(nanoseconds) < runs):
        before()
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


MODULES = {"litert": "ai_edge_litert.interpreter", "onnx": "onnxruntime"}
# A path, the threads and a seed -> one call on a random picture.
LOADERS: dict[str, Callable[[str, int, int], Callable[[], object]]] = {"litert": _litert, "onnx": _onnx}


def _picture(shape: tuple[int, ...], dtype: Any, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(dtype)
