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
        self.asked, self.spared, self.errors, self.converts_beside = [], [], {}, True
        self.locks = {"survey": threading.Lock(), "estimates": threading.Lock()}

    def alone(self, on_wait, purpose="survey"):
        return self.locks[purpose]

    def convert(self, parts, on_step, spare, purpose):
        assert self.locks[purpose].locked() and self.locks["survey"].locked() is not self.converts_beside
        self.spared.append([part.architecture.keep_blocks for part in spare])
        return self.errors

    def measure(self, parts, on_step, brief=False):
        assert brief
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
    assert bench.asked == [[1, 2, 5]]
    memory = Memory(tmp_path, {"device": "a"})
    assert all(memory.recall(part.key) is None for part in trunks(5))


def test_the_next_side_is_begun_beside_the_work_on_this_one_and_measured_once(bench, tmp_path):
    here, steps = Estimates(bench, Memory(tmp_path, {"device": "a"})), []
    small, large = (here.begin(trunks(2, side), lambda: steps.append(1)) for side in (32, 64))
    end = time.monotonic() + 10
    while len(bench.asked) < 2 and time.monotonic() < end:  # nobody has waited for them yet
        time.sleep(0.001)
    assert bench.asked == [[1, 2], [1, 2]]
    later = here.begin(trunks(2, 64), lambda: None)
    for wait in (small, large, later):
        assert [one.ms for one in wait([1, 2])] == [1.0, 2.0]
    assert bench.asked[2:] == []


def test_a_side_does_not_wait_for_the_one_after_it(bench, tmp_path):
    """Which is begun beside it, by whoever asks for the side once more."""
    here, permits = Estimates(bench, Memory(tmp_path, {"device": "a"})), threading.Semaphore(0)
    measure = bench.measure

    def when_permitted(*args, **kwargs):
        assert permits.acquire(timeout=10)
        return measure(*args, **kwargs)

    bench.measure = when_permitted
    first, _ = (here.begin(trunks(kept, side), lambda: None) for kept, side in ((1, 32), (2, 64)))
    second, third = (here.begin(trunks(kept, side), lambda: None) for kept, side in ((2, 64), (3, 96)))
    for wait, flops, asked in (
        (first, [1], [[1]]),
        (second, [1, 2], [[1], [1, 2]]),
        (third, [1, 2, 3], [[1], [1, 2], [1, 3]]),
    ):
        permits.release()
        wait(flops)
        assert bench.asked == asked


def test_with_several_threads_whose_clock_sees_conversions_it_is_all_done_alone(bench, tmp_path):
    bench.converts_beside = False
    assert [one.ms for one in begin(bench, tmp_path)([10, 20, 30, 40, 50])] == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert not any(lock.locked() for lock in bench.locks.values())


def test_a_side_that_fails_while_it_is_begun_ahead_is_tried_once_more(bench, tmp_path):
    here, permit = Estimates(bench, Memory(tmp_path, {"device": "a"})), threading.Event()
    convert = bench.convert

    def failing(*args):
        assert permit.wait(10)
        bench.convert = convert
        return {"some part": ModelError("no such operator")}

    bench.convert = failing
    ahead = here.begin(trunks(2), lambda: None)
    later = here.begin(trunks(2), lambda: None)
    permit.set()
    with pytest.raises(ModelError, match="no such operator"):
        ahead([1, 2])
    assert [one.ms for one in later([1, 2])] == [1.0, 2.0]


def test_a_side_that_failed_in_the_background_is_tried_again(bench, tmp_path):
    here = Estimates(bench, Memory(tmp_path, {"device": "a"}))
    bench.errors = {"some part": ModelError("no such operator")}
    before = here.begin(trunks(2), lambda: None)
    with pytest.raises(ModelError, match="no such operator"):
        before([1, 2])
    bench.errors = {}
    assert [one.ms for one in here.begin(trunks(2), lambda: None)([1, 2])] == [1.0, 2.0]
