"""How a trial ends: told, failed, queued again, recovered."""

from concurrent.futures.process import BrokenProcessPool

import pebble
import pytest

from hpo.settling import explain_death


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (pebble.ProcessExpired("", code=-9), "signal 9"),
        (pebble.ProcessExpired("", code=1), "exit code 1"),
        (BrokenProcessPool(), "the worker process died;"),
        (MemoryError(), "out of memory"),
    ],
)
def test_why_there_is_no_answer(error, said):
    assert said in explain_death(error)
