"""Seconds by phase, and peak memory."""

import subprocess
import sys
import time

import pytest

from hpo.worker.accounting import timed


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


PEAKS = """
import numpy as np
from hpo.worker.accounting import peak_memory_mib, reset_peak_memory

reset_peak_memory()
before = peak_memory_mib()
block = np.ones(100 * 2**20, dtype="uint8")
print(peak_memory_mib() - before)
del block
reset_peak_memory()
print(peak_memory_mib() - before)
"""


def test_the_peak_is_that_of_this_trial():
    """In a process of its own, whose memory nothing else takes."""
    done = subprocess.run([sys.executable, "-c", PEAKS], capture_output=True, text=True, check=True)
    with_block, without = map(float, done.stdout.split())
    assert with_block > 90
    assert without < 50
