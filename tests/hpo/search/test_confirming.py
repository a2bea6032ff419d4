"""The front measured again at the end of a search, with fake latencies."""

import pytest

from hpo.errors import ModelError, TaskFailed
from studies.latencies import AS_TOLD, latencies_of
from studies.pareto import front, near_front
from studies.storage import load_study
from tests import made


class Again:
    """Stands in for the worker's task; `factor` times the latency that an architecture had."""

    def __init__(self, factor=lambda each: 1.0):
        self.asked, self.factor = [], factor

    def __call__(self, jobs, architectures):
        self.asked.append({job.candidate.architecture_key() for job in jobs})
        assert {job.candidate.architecture for job in jobs} <= set(architectures)
        return {
            each.architecture_key(): made.latency(self.factor(each) * each.resolution / 10) for each in architectures
        }


def kept(config):
    return latencies_of(load_study(config.storage, config.study_name))


def test_the_front_is_measured_again_once(configure, fakes):
    fakes.measure_again = again = Again()
    records = fakes.run(configure())
    keys = {record.candidate.architecture_key() for record in near_front(records)}
    assert again.asked == [keys]
    assert {record.candidate.architecture_key() for record in records if record.measured_again} == keys
    fakes.run(configure())
    assert len(again.asked) == 1
    assert set(kept(configure()).again) == keys


def test_what_was_measured_again_is_what_the_study_says(configure, fakes):
    fakes.measure_again = Again(lambda each: 3.0)
    records = fakes.run(configure())
    told = [trial.values[1] for trial in load_study(configure().storage, "custom_cnn-digits").trials]
    for record, before in zip(records, told, strict=True):
        assert record.latency_ms == pytest.approx(3 * before)
        assert record.measurement.latency.record_ms == record.latency_ms


def test_who_gets_near_the_front_is_measured_too(configure, fakes):
    """Those without a hidden layer, which are on the front, turn out to be slower than the others."""
    fakes.measure_again = again = Again(lambda each: 1.0 if each.head_width else 100.0)
    records = fakes.run(configure(trials=10))
    measured = set().union(*again.asked)
    assert len(again.asked) > 1
    assert {record.candidate.architecture_key() for record in near_front(records)} <= measured
    assert all(record.measured_again for record in front(records))


def test_more_trials_more_to_measure(configure, fakes):
    fakes.measure_again = again = Again()
    fakes.run(configure(trials=2))
    records = fakes.run(configure(trials=8))
    assert len(again.asked) == 2
    assert all(record.measured_again for record in near_front(records))


@pytest.mark.parametrize("error", [TaskFailed("error", "no converter", ""), ModelError("no converter")])
def test_a_failure_is_noted_and_the_front_stays(configure, recorder, fakes, error):
    def broken(jobs, architectures):
        raise error

    fakes.measure_again = broken
    records = fakes.run(configure())
    assert [record.state for record in records] == ["complete"] * 8
    assert recorder.notes[-1] == "the front could not be measured again: no converter"
    assert kept(configure()) == AS_TOLD and not any(record.measured_again for record in records)
    fakes.measure_again = Again()
    assert all(record.measured_again for record in front(fakes.run(configure())))  # the same command tries again
