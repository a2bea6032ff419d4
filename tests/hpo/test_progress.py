"""Signs of life, seconds by phase, peak memory."""

import json
import time

import numpy as np
import pytest

from hpo.progress import Progress, peak_memory_mib, reset_peak_memory, timed


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
    seconds = {}
    with timed(seconds, "build"):
        time.sleep(0.02)
    with pytest.raises(KeyError), timed(seconds, "train"):
        raise KeyError
    assert seconds["build"] >= 0.02
    assert set(seconds) == {"build", "train"}


def test_the_peak_is_that_of_this_trial():
    reset_peak_memory()
    before = peak_memory_mib()
    block = np.ones(100 * 2**20, dtype="uint8")
    assert peak_memory_mib() > before + 90
    del block
    reset_peak_memory()
    assert peak_memory_mib() < before + 50
