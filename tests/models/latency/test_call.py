"""The latency protocol: what is promised about counts, order and facts. No number is compared with a clock."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from models import ModelError
from models.backbones import with_top
from models.catalogue import BACKBONES
from models.device import device_facts
from models.latency import call as latency
from models.latency.call import Latency, machine_facts, measure


def _model(width: int = 8) -> Any:
    import keras

    inputs = keras.Input((16, 16, 3), dtype="uint8")
    x = keras.layers.Conv2D(width, 3)(keras.layers.Rescaling(1 / 255)(inputs))
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))


def test_measure_keeps_its_promises() -> None:
    result = measure(_model(), run_seconds=0.1)
    assert isinstance(result, Latency)
    assert latency.MIN_RUNS <= result.runs <= latency.MAX_RUNS
    assert 0 < result.p10_ms <= result.median_ms <= result.p90_ms <= result.p99_ms
    assert (result.batch_size, result.dtype) == (1, "float32")
    assert gc.isenabled()


@pytest.mark.slow
def test_larger_batch_takes_longer() -> None:
    one, many = (measure(_model(64), batch_size=size, run_seconds=0.1) for size in (1, 256))
    assert many.batch_size == 256
    assert many.median_ms > one.median_ms


def test_compilation_and_warm_up_are_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that is slow at first: no measured run may see it."""
    times = iter([50.0] * 4 + [1.0] * 10_000)
    monkeypatch.setattr(latency, "_timed", lambda call: next(times))
    monkeypatch.setattr(latency, "compiled_call", lambda model, pictures: lambda: None)
    result = measure(_model(), run_seconds=0.05)
    assert (result.median_ms, result.p99_ms) == (1.0, 1.0)


def test_slow_models_get_fewer_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    def slow(call: Callable[[], None]) -> float:
        clock[0] += 10.0
        return 10_000.0

    monkeypatch.setattr(latency, "_timed", slow)
    monkeypatch.setattr(latency.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(latency.time, "sleep", lambda seconds: None)
    assert len(latency._runs(lambda: None, 1.5, latency.MIN_RUNS, pauses=True)) == latency.BURSTS


def test_a_batch_gets_fewer_runs_than_one_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls of a second each."""
    clock = [0.0]

    def second(call: Callable[[], None]) -> float:
        clock[0] += 1.0
        return 1_000.0

    monkeypatch.setattr(latency, "_timed", second)
    monkeypatch.setattr(latency.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(latency.time, "sleep", lambda seconds: None)
    assert (
        len(latency._runs(lambda: None, 0.75, latency.MIN_RUNS, pauses=True)) == 40
    )  # until 3 s are over in each burst
    assert len(latency._runs(lambda: None, 0.75, latency.BURSTS, pauses=True)) == latency.BURSTS


@pytest.mark.parametrize(("on_gpu", "settled"), [(False, 0), (True, 3)])
def test_the_clocks_of_a_gpu_settle_first_and_do_not_fall_again(
    monkeypatch: pytest.MonkeyPatch, on_gpu: bool, settled: int
) -> None:
    """Calls of a second each: 10 for the warm-up and one in each burst are timed, all before are not."""
    clock, slept, timed = [0.0], [], []

    def call() -> None:
        clock[0] += 1.0

    def one(given: Callable[[], None]) -> float:
        given()
        timed.append(clock[0])
        return 1000.0

    monkeypatch.setattr(latency, "_timed", one)
    monkeypatch.setattr(latency.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(latency.time, "sleep", slept.append)
    runs = latency.measure_call(call, 0.75, on_gpu)
    assert clock[0] - len(timed) == settled
    assert bool(slept) is not on_gpu
    assert len(timed) - len(runs) == latency.WARM_UP_CALLS


def test_together_they_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    order, rounds = [], []
    monkeypatch.setattr(latency, "compiled_call", lambda model, pictures: model)
    monkeypatch.setattr(
        latency, "measure_call", lambda model, seconds, on_gpu: order.append(model) or np.array([1.0, 2.0, 3.0])
    )
    models = [_model(1), _model(2)]
    results = latency.measure_together(models, lambda: rounds.append(len(order)))
    assert order == models * latency.ROUNDS and rounds == [2, 4, 6]
    assert [(each.median_ms, each.runs) for each in results] == [(2.0, 9)] * 2


def test_wrong_arguments_are_refused() -> None:
    import keras

    with pytest.raises(ModelError, match=r"batch_size must be at least 1. Received: 0"):
        measure(_model(), batch_size=0)
    inputs = keras.Input((None, None, 3))
    with pytest.raises(ModelError, match="fixed size"):
        measure(keras.Model(inputs, keras.layers.ReLU()(inputs)))


def test_machine_facts_name_the_protocol() -> None:
    assert machine_facts() == {**device_facts(), "latency_protocol": latency.PROTOCOL}


@pytest.mark.slow
def test_order_of_networks_is_that_of_their_size() -> None:
    """Networks a factor apart come out in order."""
    names = ("custom_cnn", "mobilenet_v2_0.35", "resnet50")
    medians = [measure(with_top(BACKBONES[name], 96), run_seconds=0.5).median_ms for name in names]
    assert medians == sorted(medians)
