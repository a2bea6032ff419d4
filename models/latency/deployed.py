"""How long one picture takes in a runtime that is deployed on CPUs: LiteRT or ONNX Runtime.

Protocol 3, so that a number comes out the same tomorrow and on a busy machine:

1. The network is converted for one picture, by the converter that exports it, and measured in a process of its own
   that holds the runtime alone (`models.latency.process`): nothing of TensorFlow's threads and memory is beside it.
2. Weights lie on huge pages where the C library can do that (`glibc.malloc.hugetlb`): for a network that exceeds the
   caches, small pages alone made the time of two copies of one network differ by up to a third.
3. With one thread, the default, the clock is the processor time of that thread: what others do on the machine in the
   meantime is not in it. With several it is the wall clock, which sees them all.
4. Four passes, each loads the network anew, calls it twice, and then measures calls for a quarter of a second (fewer
   for one of a few microseconds) in bursts of 24 ms, each burst after one call that is thrown away. The garbage
   collector is off.
5. A pass counts with its 5th percentile, and the lowest pass is the latency: whatever disturbs a run only adds to it.
   The median pass says how far passes differ.

How repeatable that is: `benchmarks/latency.py`.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models import ModelError
from models.device import cpu_name
from models.latency.call import Latency
from models.latency.children import command, environment
from models.latency.runtimes import RUNTIMES

PROTOCOL = 3  # to be raised with every change of the protocol above: figures of two protocols are not compared

PASSES, PASS_SECONDS, QUANTILE = 4, 0.25, 5
HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}


@dataclass(frozen=True)
class DeployedLatency(Latency):
    """Milliseconds for one picture, and where that was.

    The quantiles are those of all runs of all passes; `backend` is the runtime with its version, "LiteRT 2.3.0".

    Attributes:
        ms: the latency.
        high_ms: the median pass, at least `ms`.
        threads: that the runtime may use.
    """

    ms: float
    high_ms: float
    threads: int


def measure_files(
    paths: Sequence[Path], runtime: str, threads: int = 1, *, seconds: float = PASS_SECONDS, seed: int = 0
) -> list[DeployedLatency]:
    """The latencies of converted files, which take turns, by the protocol at the head of this module.

    Args:
        paths: from `models.latency.conversion.Converter`.
        runtime: litert or onnx.
        threads: that the runtime may use.
        seconds: of each pass, but for the least number of runs.
        seed: of the random picture and of the order of files.

    Raises:
        ModelError: the runtime fails.
    """
    if threads < 1:
        raise ModelError(f"latency_threads must be at least 1. Received: {threads}")
    spec = {
        "runtime": runtime,
        "paths": [str(path) for path in paths],
        "threads": threads,
        "passes": PASSES,
        "seconds": seconds,
        "seed": seed,
    }
    about = {
        "backend": RUNTIMES[runtime].full_name,
        "threads": threads,
        "device": cpu_name(),
        "dtype": "float32",
        "batch_size": 1,
    }
    return [estimate(passes, about) for passes in _run(spec)]


def estimate(passes: Sequence[Sequence[int]], about: Mapping[str, Any]) -> DeployedLatency:
    """From the nanoseconds [pass][run] to the latency; step 5 of the protocol.

    Raises:
        ModelError: the clock did not move during a call.
    """
    of_pass = [float(np.percentile(runs, QUANTILE)) / 1e6 for runs in passes]
    if min(of_pass) <= 0:
        raise ModelError("the clock of this machine is too coarse for this latency; use the latency runtime keras")
    milliseconds = np.concatenate([np.asarray(runs, float) for runs in passes]) / 1e6
    median, p10, p90, p99 = (float(np.percentile(milliseconds, share)) for share in (50, 10, 90, 99))
    return DeployedLatency(
        ms=min(of_pass),
        high_ms=float(np.median(of_pass)),
        median_ms=median,
        p10_ms=p10,
        p90_ms=p90,
        p99_ms=p99,
        runs=len(milliseconds),
        **about,
    )


def _run(spec: Mapping[str, Any]) -> list[list[list[int]]]:
    """What the measuring process prints."""
    done = subprocess.run(
        command("models.latency.process"),
        input=json.dumps(spec),
        capture_output=True,
        text=True,
        check=False,
        env=environment(**HUGE_PAGES),
    )
    if done.returncode:
        ended = f"it was ended by signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
        reason = (done.stderr.strip().splitlines() or [ended])[-1]
        raise ModelError(f"latency cannot be measured in {RUNTIMES[spec['runtime']].label}: {reason}")
    return json.loads(done.stdout)
