"""How long one picture takes in a runtime that is deployed on CPUs: LiteRT or ONNX Runtime.

Protocol 5, so that a number comes out the same tomorrow and on a busy machine:

1. The network is converted for one picture, by the converter that exports it, and measured in a process of its own
   that holds the runtime alone (`models.latency.process`): nothing of TensorFlow's threads and memory is beside it.
2. Weights lie on huge pages where the C library can do that (`glibc.malloc.hugetlb`, and one heap for all of them):
   for a network that exceeds the caches, small pages alone made the time of two copies of one network differ by up to
   a third. (Until protocol 4 each tensor had its own piece of memory, a third of which lay on small pages.)
3. With one thread, the default, the clock is the processor time of that thread: what others do on the machine in the
   meantime is not in it. With several it is the wall clock, which sees them all.
4. Six rounds, each in a process that is started anew: all networks that are measured together take turns, in another
   order in each round. Each is loaded, called twice, and then measured for 100 calls, or for a quarter of a second if
   that is less. The garbage collector is off.
5. A round counts with its lowest call, and the latency is the mean of the three lowest of the six lowest rounds: what
   disturbs a call or a round only adds to it, and one lucky round alone does not decide. (Protocol 3 took the 5th
   percentile of all calls of a quarter of a second.)
6. Its uncertainty is the distance from the lowest to the median of these six, and at least 1 %. Six more rounds follow,
   up to 36, while the uncertainty is above 3 % or the last six lowered the latency by more than 1 %.

How repeatable that is, and how often two measurements of one network differ by more than their uncertainties allow:
`benchmarks/latency.py`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from models import ModelError
from models.device import cpu_name
from models.latency.call import Latency
from models.latency.children import command, environment
from models.latency.process import STARTED
from models.latency.runtimes import RUNTIMES

PROTOCOL = 5  # to be raised with every change of the protocol above: figures of two protocols are not compared

ROUNDS, MOST_ROUNDS, ROUND_SECONDS, ROUND_RUNS = 6, 36, 0.25, 100
LEAST_UNCERTAINTY, MUCH_UNCERTAINTY, SETTLED = 0.01, 0.03, 0.01  # shares of the latency
# A threshold that no tensor reaches: what is allocated apart begins and ends between two huge pages.
HUGE_PAGES = {"GLIBC_TUNABLES": f"glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold={1 << 40}"}


@dataclass(frozen=True)
class DeployedLatency(Latency):
    """Milliseconds for one picture, and where that was.

    The quantiles are those of all runs of all rounds; `backend` is the runtime with its version, "LiteRT 2.3.0".

    Attributes:
        ms: the latency.
        high_ms: the latency plus its uncertainty.
        threads: that the runtime may use.
    """

    ms: float
    high_ms: float
    threads: int


class Measuring(NamedTuple):
    """A process that measures, and the file to which it writes what goes wrong."""

    process: subprocess.Popen[bytes]
    errors: IO[bytes]


def measure_files(
    files: Sequence[Path | int],
    runtime: str,
    threads: int = 1,
    *,
    seconds: float = ROUND_SECONDS,
    most_rounds: int = MOST_ROUNDS,
    seed: int = 0,
    alone: Callable[[], AbstractContextManager[object]] = nullcontext,
    starting: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> list[DeployedLatency]:
    """The latencies of converted files, which take turns, by the protocol at the head of this module.

    Args:
        files: from `models.latency.conversion.Converter`, as paths or as descriptors of open files.
        runtime: litert or onnx.
        threads: that the runtime may use.
        seconds: at most, for each file in each round, but for the least number of runs; the most calls of a round are
            in proportion to it.
        most_rounds: after which the uncertainty is what it is; with fewer than the protocol's no figure is of record.
        seed: of the random picture and of the order of files.
        alone: entered for each round, not while processes start: others may have the machine between two of them.
        starting: entered while processes start: nobody else should measure meanwhile.

    Raises:
        ModelError: the runtime fails.
    """
    if threads < 1:
        raise ModelError(f"latency_threads must be at least 1. Received: {threads}")
    spec = {"runtime": runtime, "threads": threads, "seconds": seconds}
    spec["runs"] = round(ROUND_RUNS * seconds / ROUND_SECONDS)
    about = {
        "backend": RUNTIMES[runtime].full_name,
        "threads": threads,
        "device": cpu_name(),
        "dtype": "float32",
        "batch_size": 1,
    }
    runs: list[list[list[int]]] = [[] for _ in files]  # [file][round][run]
    latencies: dict[int, DeployedLatency] = {}
    numbers = list(range(len(files)))
    for first in range(0, most_rounds, ROUNDS):
        specs = [{**spec, "seed": seed + number} for number in range(first, first + ROUNDS)]
        for measured in _rounds(specs, [files[each] for each in numbers], alone, starting):
            for each, nanoseconds in zip(numbers, measured, strict=True):
                runs[each].append(nanoseconds)
        before, latencies = latencies, latencies | {each: estimate(runs[each], about) for each in numbers}
        numbers = [each for each in numbers if not _is_settled(latencies[each], before.get(each))]
        if not numbers:
            break
    return [latencies[each] for each in range(len(files))]


def _is_settled(now: DeployedLatency, before: DeployedLatency | None) -> bool:
    """Whether no more rounds are needed, step 6; `before` is from the rounds but for the last six."""
    sure = now.high_ms - now.ms <= MUCH_UNCERTAINTY * now.ms
    return sure and (before is None or now.ms >= (1 - SETTLED) * before.ms)


def estimate(rounds: Sequence[Sequence[int]], about: Mapping[str, Any]) -> DeployedLatency:
    """From the nanoseconds [round][run] to the latency; steps 5 and 6 of the protocol.

    Raises:
        ModelError: the clock did not move during a call.
    """
    of_round = sorted(min(runs) / 1e6 for runs in rounds)
    if of_round[0] <= 0:
        raise ModelError("the clock of this machine is too coarse for this latency; use the latency runtime keras")
    lowest = of_round[:ROUNDS]
    ms = float(np.mean(lowest[: max(1, len(lowest) // 2)]))
    uncertainty = max(float(np.median(lowest)) - lowest[0], LEAST_UNCERTAINTY * ms)
    milliseconds = np.concatenate([np.asarray(runs, float) for runs in rounds]) / 1e6
    median, p10, p90, p99 = (float(np.percentile(milliseconds, share)) for share in (50, 10, 90, 99))
    return DeployedLatency(
        ms=ms,
        high_ms=ms + uncertainty,
        median_ms=median,
        p10_ms=p10,
        p90_ms=p90,
        p99_ms=p99,
        runs=len(milliseconds),
        **about,
    )


def _rounds(
    specs: Sequence[Mapping[str, Any]],
    files: Sequence[Path | int],
    alone: Callable[[], AbstractContextManager[object]] = nullcontext,
    starting: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Iterator[list[list[int]]]:
    """What the measuring processes print, one after the other: nanoseconds [file][run].

    All of them start before the first measures: that takes longer than a round of small networks, and disturbs.
    """
    with ExitStack() as running:
        with starting():
            processes = [_start(spec["runtime"], files, running) for spec in specs]
            for process in processes:
                _wait(process)
        for process, spec in zip(processes, specs, strict=True):
            yield _round(process, spec, files, alone)


def _start(runtime: str, files: Sequence[Path | int], running: ExitStack) -> Measuring:
    """A process that measures these files when it is told to; ended with `running`."""
    errors = running.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - a pipe could fill up, unread
    process = running.enter_context(
        subprocess.Popen(
            [*command("models.latency.process"), runtime],
            bufsize=0,  # a line is read, and no more
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            pass_fds=[file for file in files if isinstance(file, int)],
            env=environment(**HUGE_PAGES),
        )
    )
    running.callback(process.kill)
    return Measuring(process, errors)


def _wait(measuring: Measuring) -> None:
    """Until it has started, or ended."""
    lines = measuring.process.stdout
    assert lines is not None
    while (line := lines.readline()) and line.strip() != STARTED.encode():
        pass


def _round(
    measuring: Measuring,
    spec: Mapping[str, Any],
    files: Sequence[Path | int],
    alone: Callable[[], AbstractContextManager[object]],
) -> list[list[int]]:
    """By a process that has started; by another one if it was killed, which is nothing that the networks did."""
    number, out, errors = _measured(measuring, spec, files, alone)
    if number == -signal.SIGKILL:
        with ExitStack() as running:
            another = _start(spec["runtime"], files, running)
            _wait(another)
            number, out, errors = _measured(another, spec, files, alone)
    if number:
        ended = f"it was ended by signal {-number}" if number < 0 else f"exit code {number}"
        reason = (errors.strip().splitlines() or [ended])[-1]
        raise ModelError(f"latency cannot be measured in {RUNTIMES[spec['runtime']].label}: {reason}")
    return json.loads(out.splitlines()[-1])


def _measured(
    measuring: Measuring,
    spec: Mapping[str, Any],
    files: Sequence[Path | int],
    alone: Callable[[], AbstractContextManager[object]],
) -> tuple[int, str, str]:
    """How it ended, and what it printed to both of its outputs."""
    for file in files:
        if isinstance(file, int):
            os.lseek(file, 0, os.SEEK_SET)  # shared with the other process, where /dev/fd duplicates
    paths = [f"/dev/fd/{file}" if isinstance(file, int) else str(file) for file in files]
    with alone():
        out, _ = measuring.process.communicate(json.dumps({**spec, "paths": paths}).encode())
    measuring.errors.seek(0)
    errors = measuring.errors.read()
    return measuring.process.returncode, out.decode(errors="replace"), errors.decode(errors="replace")
