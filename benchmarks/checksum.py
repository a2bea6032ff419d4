"""What does it cost to verify the SHA-256 of a stored entry when a process first opens it?

    PYTHONPATH=. python benchmarks/checksum.py

Writes an entry of 512 MiB (or --mib) into a temporary folder and times three ways to come to its rows, each with the
file in the page cache (warm) and dropped from it (cold): reading them once, which any epoch does; the first `find` of a
process, which verifies; a later `find`, which does not. Prints medians, writes checksum.json beside this file.
"""

import json
import os
import platform
import ssl
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import click
import numpy as np

from models.device import cpu_name
from models.reuse.store import Store

ROW = (8, 8, 256)  # float16: 32 KiB
BLOCK = 1 << 20
REPEATS = 5


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def read(path: Path) -> None:
    with path.open("rb", buffering=0) as stream:
        while stream.read(BLOCK):
            pass


def drop_from_memory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def measure(store: Store, path: Path, cold: bool) -> dict[str, float]:
    """Median seconds of each way."""
    taken: dict[str, list[float]] = {"read": [], "find, verified": [], "find, known": []}
    key = {"benchmark": "checksum"}
    for number in range(REPEATS):
        for way in taken:
            if way == "find, verified":
                os.utime(path, ns=(number + 1, number + 1 + cold * REPEATS))  # a state this process has not verified
            if cold:
                drop_from_memory(path)
            taken[way].append(seconds((lambda: read(path)) if way == "read" else lambda: store.find(key)))
    return {way: round(statistics.median(values), 4) for way, values in taken.items()}


@click.command()
@click.option("--mib", default=512, type=click.IntRange(1), help="size of the entry")
def main(mib: int) -> None:
    rows = mib * 2**20 // (2 * int(np.prod(ROW)))
    batch = np.random.default_rng(0).normal(size=(rows // mib, *ROW)).astype("float16")
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder), None)
        key = {"benchmark": "checksum"}
        wrote = seconds(
            lambda: store.get(key, (rows, *ROW), "float16", lambda: (batch for _ in range(mib)), "the entry")
        )
        (path,) = Path(folder).glob("*.npy")
        result = {"MiB": mib, "written": round(wrote, 3)}
        result |= {state: measure(store, path, state == "cold") for state in ("warm", "cold")}
    result["machine"] = {"cpu": cpu_name(), "cores": os.cpu_count(), "repeats": REPEATS, "date": str(date.today())}
    result["versions"] = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "openssl": ssl.OPENSSL_VERSION,
    }
    print(json.dumps(result, indent=1))
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
