"""Latencies of all places of a side, for a map; with a bench that only says what it was asked for."""

import threading
import time

import pytest

import hpo.worker.estimates
from hpo.worker.bench import Measured, Part
from hpo.worker.estimates import Estimates
from hpo.worker.memory import Memory
from models import ModelError
from models.candidate import Architecture
from tests.made import deployed_latency


class Bench:
    """The trunk behind a block takes as many milliseconds as there are blocks below."""

    def __init__(self):
        self.asked, self.spared, self.errors, self.lock = [], [], {}, threading.Lock()

    def alone(self, on_wait):
        return self.lock

    def measure(self, parts, on_step, brief, spare):
        assert brief
        self.spared.append([part.architecture.keep_blocks for part in spare])
        self.asked.append([part.architecture.keep_blocks for part in parts])
        on_step()
        latencies = {part: deployed_latency(float(part.architecture.keep_blocks)) for part in parts}
        return Measured({} if self.errors else latencies, self.errors)


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.setattr(hpo.worker.estimates, "POLL_SECONDS", 0.001)
    return Bench()


def trunks(n, side=64):
    made = (Architecture(backbone="vgg19", resolution=side, head_width=0, keep_blocks=kept + 1) for kept in range(n))
    return [Part(each, f"{side} {each.keep_blocks}", side, head=False) for each in made]


def begin(bench, folder, n=5, side=64, on_step=lambda: None):
    return Estimates(bench, Memory(folder, {"device": "a"})).begin(trunks(n, side), on_step)


def test_first_last_and_every_third_place_are_measured_and_the_others_lie_between(bench, tmp_path):
    found = begin(bench, tmp_path)([10, 20, 30, 40, 50])
    assert (bench.asked, bench.spared) == ([[1, 2, 5]], [[3, 4]])
    assert [one.ms for one in found] == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert found[2].uncertainty_ms > 0.05 * 3.0  # more than that of its neighbours, which is 5 % in these tests


def test_what_was_estimated_is_remembered_across_studies_but_not_as_a_latency_of_record(bench, tmp_path):
    first = begin(bench, tmp_path)([10, 20, 30, 40, 50])
    assert begin(bench, tmp_path)([10, 20, 30, 40, 50]) == first
    assert bench.asked == [[1, 2, 5], []]
    memory = Memory(tmp_path, {"device": "a"})
    assert all(memory.recall(part.key) is None for part in trunks(5))


def test_sides_are_estimated_beside_what_the_caller_does_and_each_once(bench, tmp_path):
    here, steps = Estimates(bench, Memory(tmp_path, {"device": "a"})), []
    small, large = (here.begin(trunks(2, side), lambda: steps.append(1)) for side in (32, 64))
    end = time.monotonic() + 10
    while len(bench.asked) < 2 and time.monotonic() < end:  # nobody has waited for them yet
        time.sleep(0.001)
    assert bench.asked == [[1, 2], [1, 2]]
    later = here.begin(trunks(2, 64), lambda: None)
    for wait in (small, large, later):
        assert [one.ms for one in wait([1, 2])] == [1.0, 2.0]
    assert bench.asked[2:] == [[]]


def test_a_side_that_failed_in_the_background_is_tried_again(bench, tmp_path):
    here = Estimates(bench, Memory(tmp_path, {"device": "a"}))
    bench.errors = {"some part": ModelError("no such operator")}
    before = here.begin(trunks(2), lambda: None)
    with pytest.raises(ModelError, match="no such operator"):
        before([1, 2])
    bench.errors = {}
    assert [one.ms for one in here.begin(trunks(2), lambda: None)([1, 2])] == [1.0, 2.0]
