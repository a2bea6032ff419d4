"""The first look: what a worker logs is its sign of life."""

import importlib
import sys

import pytest

from hpo.errors import WorkerLost
from hpo.search import looking
from hpo.search.looking import first_look
from hpo.worker.pool import Workers
from tests.hpo.conftest import fake_facts

LOOKS = """
import logging, time

def in_vain(config):
    logging.getLogger("datasets.x").info("decoded 64 of 1000 pictures")
    time.sleep(60)

def long(config):
    for number in range(6):
        time.sleep(0.5)
        logging.getLogger("datasets.x").info("decoded %d of 1000 pictures", number)
    return "found"
"""


@pytest.fixture
def looks(tmp_path, monkeypatch):
    """What a worker can import."""
    (tmp_path / "looks.py").write_text(LOOKS)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("looks")
    del sys.modules["looks"]


def test_it_says_what_it_does(configure, recorder):
    config = configure()
    with Workers(0, "auto", config.study_dir / "worker.log") as workers:
        assert first_look(config, workers, recorder, "looking", fake_facts) == fake_facts(config)
    assert "looking" in recorder.notes


def test_a_look_that_hangs_is_given_up(configure, recorder, monkeypatch, looks):
    monkeypatch.setattr(looking, "LEAST_TIMEOUT", 0.0)
    config = configure(stall_timeout=2)
    with Workers(1, "cpu", config.study_dir / "worker.log") as workers:
        with pytest.raises(WorkerLost) as lost:
            first_look(config, workers, recorder, "looking at data", looks.in_vain)
        assert str(lost.value) == (
            "no sign of life for 2 s while looking at data; if they are on a slow drive, give a longer --stall-timeout"
        )
        assert "decoded 64 of 1000 pictures" in (config.study_dir / "worker.log").read_text()
        assert first_look(config, workers, recorder, "looking", looks.long) == "found"  # 3 s, but not in silence


def test_it_has_a_minute_whatever_trials_have(configure, recorder, looks):
    config = configure(stall_timeout=0.3)
    with Workers(1, "cpu", config.study_dir / "worker.log") as workers:
        assert first_look(config, workers, recorder, "looking", looks.long) == "found"
