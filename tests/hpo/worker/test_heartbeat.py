"""Signs of life, seconds by phase, peak memory."""

import json
import time

import numpy as np
import pytest

from hpo.worker.heartbeat import Progress, peak_memory_mib, reset_peak_memory, timed


def test_signs_of_life_are_rare_and_whole(tmp_path):
    progress = Progress(tmp_path / "00000.progress")
    progress("build")
    for i in range(1000):
        progress("train", 1, i / 1000)
    said = json.loads((tmp_path / "00000.progress").read_text())
    assert said["phase"] == "train"
    assert said["where"][1] < 0.5  # only the first of a quick thousand was written
    progress.end()
    assert list(tmp_path.iterdir()) == []


def test_seconds_add_up_under_their_phase():
    seconds = {"build": 5.0}
    with timed("build", seconds):
        time.sleep(0.02)
    with pytest.raises(KeyError), timed("train", seconds):
        raise KeyError
    assert 5.02 <= seconds["build"] < 5.5
    assert set(seconds) == {"build", "train"}


def test_what_is_done_together_is_shared_evenly():
    one, other = {"train": 1.0}, {}
    with timed("train", one, other):
        time.sleep(0.04)
    assert one["train"] == pytest.approx(1 + other["train"])
    assert 0.02 <= other["train"] < 0.04


def test_the_peak_is_that_of_this_trial():
    reset_peak_memory()
    before = peak_memory_mib()
    block = np.ones(100 * 2**20, dtype="uint8")
    assert peak_memory_mib() > before + 90
    del block
    reset_peak_memory()
    assert peak_memory_mib() < before + 50
