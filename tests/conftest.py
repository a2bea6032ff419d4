"""The order of test files, and what they leave behind.

Each is done by one process (`--dist loadfile`): a long one at the end would run alone.
"""

import contextlib
import ctypes
import gc
import os
from pathlib import Path

import pytest

# Those that take minutes, the longest first (two cores, `--durations=0`).
LONG = (
    "hpo/test_run.py",
    "test_own_networks.py",
    "hpo/worker/test_executor.py",
    "hpo/test_study.py",
    "test_readme.py",
    "faults/test_cluster.py",
    "hpo/test_evaluate.py",
    "test_hypermodels.py",
    "hpo/integrations/test_kerastuner.py",
    "faults/test_database.py",
    "test_notebook.py",
    "hpo/worker/test_cluster.py",
    "test_earlier_versions.py",
    "hpo/search/test_loop.py",
    "hpo/search/test_planner.py",
    "hpo/worker/test_trial.py",
    "hpo/worker/test_training.py",
    "hpo/test_map.py",
)


def pytest_configure() -> None:
    """Processes of pytest-xdist share out the cores among them, with all that they start.

    Else each computes with as many threads as there are cores, and they wait for each other.
    """
    number, processes = (os.environ.get(f"PYTEST_XDIST_WORKER{name}", "") for name in ("", "_COUNT"))
    if number and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        share = cores[int(number.removeprefix("gw")) :: int(processes)]
        os.sched_setaffinity(0, share or cores)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first; what is in a file stays together, in its order."""
    here = Path(__file__).parent
    rank = {here / name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.path, len(LONG)))


@pytest.fixture(autouse=True, scope="module")
def _few_objects_to_go_through() -> None:
    """Garbage collection goes through what a file has made only, not through all that others and TensorFlow keep.

    Keras collects each time that names are to begin anew, which took half of the time of such tests. What large
    networks have freed is given back: several processes run beside each other.
    """
    gc.collect()
    gc.freeze()
    with contextlib.suppress(OSError, AttributeError):  # a C library that is not GNU's
        ctypes.CDLL("libc.so.6").malloc_trim(0)
