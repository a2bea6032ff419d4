"""Millijoules for one picture, where the processor counts them: RAPL, by Linux's powercap.

Only measured, never estimated: where there is no counter that may be read, there is no energy. A counter is that of a
whole processor package, so what else runs, and what the machine takes when idle, is in the number: measure on a quiet
machine, and compare only what one machine gave.

Source: Linux kernel, Documentation/power/powercap/powercap.rst. Counters are readable by root alone on most systems
(CVE-2020-8694).
"""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from models import ModelError
from models.latency.children import command, environment
from models.latency.process import LIMIT_SECONDS, LOADERS

POWERCAP = Path("/sys/class/powercap")
SECONDS = 2.0  # of calls; a counter moves once a millisecond


def packages(folder: Path = POWERCAP) -> list[Path]:
    """The counters of processor packages that can be read: not their parts, nor the whole platform, which has both."""
    found = []
    for zone in sorted(folder.glob("intel-rapl:*")):  # so called on AMD's processors too
        try:
            counts_all = re.fullmatch(r"intel-rapl:\d+", zone.name) and (zone / "name").read_text().startswith(
                "package"
            )
            if counts_all and read([zone]):
                found.append(zone)
        except (OSError, ValueError):
            continue
    return found


def read(zones: Sequence[Path]) -> dict[Path, int]:
    """Microjoules since each counter was last at 0.

    Raises:
        OSError, ValueError: one cannot be read.
    """
    return {zone: int((zone / "energy_uj").read_text()) for zone in zones}


def spent(before: Mapping[Path, int], after: Mapping[Path, int]) -> int:
    """Microjoules between two readings; a counter that has passed its end begins at 0 again.

    Raises:
        OSError, ValueError: where it ends cannot be read.
    """
    total = 0
    for zone, start in before.items():
        moved = after[zone] - start
        total += moved if moved >= 0 else moved + int((zone / "max_energy_range_uj").read_text())
    return total


def of_calls(call: Callable[[], object], zones: Sequence[Path], seconds: float = SECONDS) -> float | None:
    """Millijoules of one call, from calls for some seconds; None if the counters stand still."""
    call()
    before, calls, end = read(zones), 0, time.perf_counter() + seconds
    while not calls or time.perf_counter() < end:
        call()
        calls += 1
    return spent(before, read(zones)) / 1e3 / calls or None


def of_files(paths: Sequence[Path], runtime: str, threads: int, folder: Path = POWERCAP) -> list[float | None]:
    """Millijoules for one picture of each converted file, in a process that holds the runtime alone.

    Args:
        paths: as `models.latency.deployed.measure_files` takes them.
        runtime: litert or onnx.
        threads: that the runtime may use.
        folder: where the counters are.

    Raises:
        ModelError: the runtime fails.
    """
    if not packages(folder):
        return [None] * len(paths)
    spec = {"runtime": runtime, "paths": list(map(str, paths)), "threads": threads, "folder": str(folder)}
    done = subprocess.run(
        command("models.latency.energy"),
        input=json.dumps(spec),
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise ModelError(f"energy cannot be measured: {reason}")
    return json.loads(done.stdout)


def main() -> None:
    """In the process: a JSON object in, millijoules of each file out."""
    spec = json.load(sys.stdin)
    zones = packages(Path(spec["folder"]))
    signal.alarm(LIMIT_SECONDS * len(spec["paths"]))  # the kernel ends a process that hangs
    load = LOADERS[spec["runtime"]]
    json.dump([of_calls(load(path, spec["threads"], 0), zones) for path in spec["paths"]], sys.stdout)
