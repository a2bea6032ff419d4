"""What workers are given to do that import it for themselves."""

import importlib
import os
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def tasks():
    """What workers can import, too."""
    folder = str(Path(__file__).parent)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("PYTHONPATH", folder, prepend=os.pathsep)
        yield importlib.import_module("executor_tasks")
    del sys.modules["executor_tasks"]


@pytest.fixture(scope="module")
def ray(tasks, tmp_path_factory):
    """Ray, once for all tests: an executor uses it and leaves it as it is."""
    ray = pytest.importorskip("ray", reason="the package ray is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))  # of workers, which is not the search's
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(
            "local", num_cpus=4, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1",
            object_store_memory=100_000_000,
        )  # fmt: skip
        patch.undo()
        yield ray
        ray.shutdown()
