"""A server that is killed while a study runs: the study is as if nothing had been."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import pytest

from studies import waiting_storage
from studies.records import TrialRecord
from studies.storage import load_study
from tests.hpo.conftest import fake_group
from tests.postgresql import running

KILLS = 10


def told(records: list[TrialRecord]) -> list[Any]:
    """What trials found, whenever that was."""
    return [(one.number, one.state, one.candidate, one.val_accuracy, one.latency_ms, one.flops) for one in records]


def test_killed_ten_times_a_study_has_each_trial_once(
    configure: Any, fakes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_storage, "POLL_SECONDS", 0.02)
    settings: dict[str, Any] = {"trials": 20, "heads": 1, "sampler": "random"}
    plain = fakes.run(configure(**settings))
    rng, over, kills = random.Random(0), threading.Event(), [0]
    met = threading.Event()  # a server that is not there at first is a wrong address

    def slowly(jobs: Any, until: int, alive: Any, seconds: Any) -> Any:
        met.set()
        while kills[0] < KILLS * jobs[0].number // settings["trials"]:  # so that they are spread over the study
            time.sleep(0.01)
        return fake_group(jobs, until)

    with running() as server:

        def kill() -> None:
            met.wait()
            while kills[0] < KILLS and not over.is_set():
                time.sleep(rng.uniform(0.05, 0.4))
                server.kill()
                time.sleep(rng.uniform(0, 0.2))
                server.start()
                kills[0] += 1

        fakes.evaluate = slowly
        killer = threading.Thread(target=kill)
        killer.start()
        try:
            records = fakes.run(configure(**settings, storage=server.url, study="killed"))
        finally:
            over.set()
            met.set()
            killer.join()
        assert kills[0] == KILLS
        assert told(records) == told(plain)
        study = load_study(server.url, "killed")
        assert [trial.number for trial in study.trials] == list(range(settings["trials"]))
