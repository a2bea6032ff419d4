"""A cluster that loses a node, a worker and its search while a study runs: the study has each trial once."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from studies.records import read_study
from studies.storage import load_study

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent.parent
TRIALS = 16
PATIENCE = 600.0  # seconds, on a busy machine


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Three nodes on this machine, of a core each; its name is in `address`."""
    pytest.importorskip("ray", reason="the package ray is not installed")
    from ray.cluster_utils import Cluster

    small = {"num_cpus": 1, "object_store_memory": 80_000_000}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", str(ROOT))
        made = Cluster(initialize_head=True, head_node_args={**small, "include_dashboard": False})
        for _ in range(2):
            made.add_node(**small)
        yield made
        made.shutdown()


class Run:
    """The command, as a process whose lines are read."""

    def __init__(self, folder: Path, address: str):
        self.folder, self.lines = folder, list[str]()
        command = [sys.executable, "-u", "-m", "hpo.run", "--executor", "ray", "--address", address]
        command += ["--workers", "3", "--device", "cpu", "--trials", str(TRIALS), "--epochs", "4"]
        command += ["--train-size", "300", "--val-size", "100", "--resolutions", "8,16", "--heads", "1"]
        command += ["--latency-runtime", "keras", "--cache-dir", str(folder / "cache"), "--sampler", "random"]
        self._log = (folder / "run.log").open("a")
        environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
        self.process = subprocess.Popen(command, cwd=folder, stdout=self._log, stderr=self._log, env=environment)

    def told(self) -> int:
        """How many trials the study has been told of."""
        found = re.findall(rf"^\[(\d+)/{TRIALS}\]", self.text(), re.MULTILINE)
        return max(map(int, found), default=0)

    def text(self) -> str:
        return (self.folder / "run.log").read_text()

    def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for something while the command runs."""
        end = time.monotonic() + PATIENCE
        while not is_so():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < end, self.text()
            time.sleep(0.1)


def workers() -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        with contextlib.suppress(psutil.Error):
            if process.info["cmdline"] and "ray::ClusterWorker" in process.info["cmdline"][0]:
                found.append(process)
    return found


def test_a_node_a_worker_and_the_search_are_lost_and_no_trial_is(cluster: Any, tmp_path: Path) -> None:
    run = Run(tmp_path, cluster.address)
    run.until(lambda: run.told() >= 2)
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
    run.until(lambda: " was lost; another takes its place" in run.text() and run.told() >= 5)
    os.kill(workers()[0].pid, signal.SIGKILL)
    run.until(lambda: run.told() >= 8)
    left = workers()
    run.process.kill()
    run.process.wait()
    psutil.wait_procs(left, 30)
    assert not any(process.is_running() for process in left)  # they write nothing and hold no lock

    again = Run(tmp_path, cluster.address)
    assert again.process.wait(PATIENCE) == 0, again.text()
    records = read_study(load_study(f"sqlite:///{tmp_path}/studies.db", "custom_cnn-digits"))
    assert [record.number for record in records] == list(range(len(records)))
    assert sum(record.counts for record in records) == TRIALS
    lost = [record for record in records if record.state == "interrupted"]
    ended = [record.candidate for record in records if record.counts and record.state != "duplicate"]
    assert len(set(ended)) == len(ended)
    # Each was tried again; the search may have been killed before it had written what its last trial was to be.
    unnamed = [record for record in lost if record.candidate is None]
    assert len(unnamed) <= 1
    assert {record.candidate for record in lost} - {None} <= set(ended)
