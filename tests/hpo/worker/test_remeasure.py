"""The front measured again in a worker: what is remembered and given back. No number is compared with a clock."""

import dataclasses

import numpy as np
import pytest

from hpo.worker.remeasure import measure_again
from models.latency import call
from studies.outcomes import DeployedLatency, Latency
from tests.hpo.worker.test_trial import PROBE, evaluate, job

WIDE = dataclasses.replace(PROBE, head_width=384)


@pytest.fixture
def first(small, tmp_path):
    return evaluate(job(small, tmp_path)).measurement


def test_calls_of_the_backend_take_turns(small, tmp_path, first, monkeypatch):
    rounds = []

    def measure(compiled, seconds, on_gpu):
        rounds.append(compiled)
        return np.full(10, 7.0 if compiled is rounds[0] else 9.0)

    monkeypatch.setattr(call, "measure_call", measure)
    jobs = [job(small, tmp_path), job(small, tmp_path, WIDE, number=1)]
    measured = measure_again(jobs, [each.candidate.architecture for each in jobs])
    assert {key: (type(each), each.median_ms) for key, each in measured.items()} == {
        PROBE.architecture_key(): (Latency, 7.0),
        WIDE.architecture_key(): (Latency, 9.0),
    }
    assert rounds == rounds[:2] * call.ROUNDS
    assert evaluate(job(small, tmp_path, number=2)).measurement == first  # what is remembered for others stays
    assert not jobs[0].files.progress.exists()


@pytest.mark.slow
def test_parts_are_measured_again_and_change_what_shares_them(small, tmp_path, monkeypatch):
    """All of one side have its trunk."""
    config = small.model_copy(update={"latency_runtime": "litert"})
    jobs = [job(config, tmp_path), job(config, tmp_path, WIDE, number=1)]
    before = {each.candidate.architecture_key(): evaluate(each).measurement.latency for each in jobs}
    measured = measure_again(jobs[:1], [each.candidate.architecture for each in jobs])
    assert measured.keys() == before.keys()
    for key, latency in measured.items():
        assert isinstance(latency, DeployedLatency)
        assert latency.runs > before[key].runs
    after = evaluate(job(config, tmp_path, number=2)).measurement.latency
    assert after == before[PROBE.architecture_key()]  # what is remembered for others stays
