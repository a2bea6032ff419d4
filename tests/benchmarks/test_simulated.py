"""The clock that skips what workers do, and how busy slots were, on a loop that takes no time: closed forms."""

import math

import pytest

from benchmarks.simulated import Clock, SimulatedSlots, Timer, efficiency


class Real:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now = 5.0

    def __call__(self):
        return self.now


def last(args, result):
    return result


def run(tasks, slots, clock, before=lambda: None):
    """Tasks of so many seconds, one after the other as slots become free; `before` each the loop does something."""
    executor, running, left = SimulatedSlots(slots, clock, last), [], list(tasks)
    while left or running:
        while left and len(running) < slots:
            before()
            running.append(executor.submit(float, left.pop(0)))
        executor.wait_any(running)
        running = [future for future in running if not future.done()]
    return executor


@pytest.mark.parametrize(("tasks", "slots"), [(1, 1), (8, 1), (8, 8), (9, 8), (15, 8), (3, 64), (2000, 64)])
def test_equal_tasks_fill_whole_rounds(tasks, slots):
    clock = Clock(Real())
    executor = run([10] * tasks, slots, clock)
    assert clock.now() == 10 * math.ceil(tasks / slots)
    assert efficiency(executor, clock.now()) == pytest.approx(tasks / (slots * math.ceil(tasks / slots)))


def test_what_the_loop_does_counts_only_while_slots_are_idle():
    """One slot waits for the loop before each task; of two, each waits while the loop serves both."""
    for slots, expected in ((1, 4 * (10 + 1)), (2, 2 * (10 + 1) + 1)):
        real = Real()
        clock = Clock(real)

        def ask(real=real):
            real.now += 1

        executor = run([10] * 4, slots, clock, ask)
        assert clock.now() == expected
        assert efficiency(executor, clock.now()) == 40 / (slots * expected)


def test_tasks_end_in_the_order_of_their_ends():
    clock = Clock(Real())
    executor = SimulatedSlots(3, clock, last)
    futures = [executor.submit(float, seconds) for seconds in (3, 1, 2)]
    ended = []
    for _ in futures:
        executor.wait_any(futures)
        ended.append([future.done() for future in futures])
    assert ended == [[False, True, False], [False, True, True], [True, True, True]]
    assert [future.result() for future in futures] == [3, 1, 2]
    assert clock.now() == 3


def test_no_more_tasks_than_slots():
    executor = SimulatedSlots(1, Clock(Real()), last)
    executor.submit(float, 1)
    with pytest.raises(RuntimeError, match="1 tasks are under way"):
        executor.submit(float, 1)


def test_what_a_worker_computes_takes_no_time_of_the_loop():
    real = Real()
    clock = Clock(real)

    def work():
        real.now += 100
        return 7.0

    executor = SimulatedSlots(1, clock, last)
    future = executor.submit(work)
    assert clock.now() == 0
    executor.wait_any([future])
    assert clock.now() == 7
    clock.skip_to(3)
    assert clock.now() == 7


def test_seconds_count_once_under_the_innermost_name():
    real = Real()
    timer = Timer(real)

    def inner():
        real.now += 2

    def outer():
        real.now += 1
        timer.timed("inner", inner)()

    real.now += 4
    timer.timed("outer", outer)()
    assert timer.so_far() == {"rest": 4, "outer": 1, "inner": 2}
