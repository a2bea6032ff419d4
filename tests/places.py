"""Folders of tests from end to end."""

import re
from pathlib import Path


def cache_in(folder: Path) -> Path:
    """A cache folder of its own below a test's folder, but with the latencies that other tests have measured.

    So what a network takes on this machine is measured once in a run of pytest, in whatever process.
    """
    run = next((parent for parent in folder.parents if re.fullmatch(r"pytest-\d+", parent.name)), folder)
    cache, link = folder / "cache", folder / "cache" / "latency"
    if not link.is_symlink():
        cache.mkdir(parents=True, exist_ok=True)
        (run / "latencies").mkdir(exist_ok=True)
        link.symlink_to(run / "latencies")
    return cache
