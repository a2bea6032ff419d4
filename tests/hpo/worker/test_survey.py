"""Latencies measured part by part; with a fake runtime, since no number is compared with a clock."""

import dataclasses
import threading
import time

import pytest

import hpo.worker.survey
from hpo.worker.memory import Memory
from hpo.worker.survey import Survey, add_head
from models import ModelError
from models.build import Task
from models.candidate import Architecture
from studies.outcomes import DeployedLatency

TASK = Task(32, 32, 3, 10, "pretrained")
SIDES = (32, 64)


def latency(ms, high=None, **changes):
    about = {
        "runs": 100,
        "batch_size": 1,
        "device": "a CPU",
        "backend": "LiteRT 2.3.0",
        "dtype": "float32",
        "threads": 1,
    }
    times = {"median_ms": 1.1 * ms, "p10_ms": ms, "p90_ms": 1.2 * ms, "p99_ms": 1.5 * ms}
    return DeployedLatency(**{**times, **about, "ms": ms, "high_ms": high or ms, **changes})


class Fake:
    """Stands in for converter and measuring process: a trunk takes its side in ms, a head a hundredth of its width."""

    def __init__(self):
        self.measured = []

    def __call__(self, runtime):
        assert runtime == "litert"
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def network(self, architecture, task, path):
        assert (architecture.head_width, architecture.batch_norm_head, task) == (0, False, TASK)
        self._write(path, f"trunk {architecture.resolution} {architecture.pooling}", architecture.resolution)

    def head(self, architecture, channels, n_logits, path):
        assert (channels, n_logits) == (64, 10)
        norm = " bn" if architecture.batch_norm_head else ""
        self._write(path, f"head {architecture.head_width}{norm}", 1 + architecture.head_width / 100)

    def _write(self, path, name, ms):
        self.measured.append(name)
        path.write_text(str(ms))

    def measure(self, paths, runtime, threads):
        assert threads == 2
        time.sleep(0.02)
        return [latency(float(path.read_text())) for path in paths]


@pytest.fixture
def fake(monkeypatch):
    fake = Fake()
    monkeypatch.setattr(hpo.worker.survey, "Converter", fake)
    monkeypatch.setattr(hpo.worker.survey, "measure_files", fake.measure)
    monkeypatch.setattr(hpo.worker.survey, "POLL_SECONDS", 0.001)
    return fake


@pytest.fixture
def survey(tmp_path):
    def make():
        return Survey(TASK, 64, "litert", 2, SIDES, Memory(tmp_path, {"device": "a"}), tmp_path)

    return make


def architecture(**changes):
    return Architecture(**{"backbone": "custom_cnn", "resolution": 64, "head_width": 256, **changes})


def ask(survey, **changes):
    survey.want(architecture(**changes))
    return survey.latency(architecture(**changes))


def finish(survey):
    for thread in threading.enumerate():
        if thread.name == "latency":
            thread.join(10)


def test_the_trunk_and_what_the_head_adds(survey, fake):
    assert ask(survey()).ms == pytest.approx(64 + 2.56)


def test_what_is_waited_for_comes_first_and_everything_once(survey, fake):
    here = survey()
    ask(here, head_width=128)
    finish(here)
    assert fake.measured[:3] == ["trunk 64 average", "head 128", "head 0"]
    assert sorted(fake.measured[3:]) == sorted(
        ["trunk 32 average", *(f"head {width}" for width in range(256, 1025, 128))]
    )
    for side in SIDES:
        for width in (0, 128, 1024):
            assert ask(here, resolution=side, head_width=width).ms == pytest.approx(side + width / 100)
    assert len(fake.measured) == len(set(fake.measured)) == 11


def test_another_process_finds_it(survey, fake):
    finish_first = survey()
    ask(finish_first)
    finish(finish_first)
    before = list(fake.measured)
    assert ask(survey(), head_width=512).ms == pytest.approx(64 + 5.12)
    assert fake.measured == before


def test_poolings_and_norms_are_parts_of_their_own(survey, fake):
    here = survey()
    ask(here, pooling="max", batch_norm_head=True)
    assert fake.measured[:3] == ["trunk 64 max", "head 256 bn", "head 0"]


def test_without_hidden_layer_the_trunk_is_all(survey, fake):
    assert ask(survey(), head_width=0) == latency(64.0)


@pytest.mark.parametrize("problem", [ModelError("the network cannot be converted"), ZeroDivisionError("ours")])
def test_a_failure_is_raised_where_it_is_waited_for_and_tried_again(survey, fake, monkeypatch, problem):
    def broken(*_):
        raise problem

    here = survey()
    with monkeypatch.context() as patch:
        patch.setattr(fake, "network", broken)
        with pytest.raises(type(problem)):
            ask(here)
        finish(here)
    assert ask(here).ms == pytest.approx(64 + 2.56)


def test_a_part_that_cannot_be_measured_concerns_nobody_else(survey, fake, monkeypatch):
    network = fake.network

    def broken(architecture, task, path):
        if architecture.resolution == 64:
            fake.measured.append("broken")
            raise ModelError("64 px cannot be converted")
        network(architecture, task, path)

    monkeypatch.setattr(fake, "network", broken)
    here = survey()
    here.want(architecture())
    for width in (128, 512):
        assert ask(here, resolution=32, head_width=width).ms == pytest.approx(32 + width / 100)
    finish(here)
    with pytest.raises(ModelError, match="64 px"):
        ask(here)
    assert fake.measured.count("broken") == 2  # beside the others, and when it was asked for
    assert not list((here._cache_dir / "latency").glob("*.model"))


def test_what_waits_is_told_of_parts(survey, fake):
    told = []
    here = survey()
    here.latency(architecture(), lambda: told.append(1))
    assert told


def test_uncertainties_add_up_and_a_head_takes_nothing_away():
    trunk, head, bare = latency(5.0, 5.5), latency(2.0, 2.25), latency(1.0, 1.125)
    both = add_head(trunk, head, bare)
    assert (both.ms, both.high_ms) == (6.0, 6.0 + 0.5 + 0.25 + 0.125)
    assert both.median_ms == pytest.approx(1.1 * 6)
    swapped = add_head(trunk, bare, head)  # noise: the wider one came out faster
    assert (swapped.ms, swapped.median_ms) == (trunk.ms, trunk.median_ms)
    assert dataclasses.replace(swapped, high_ms=trunk.high_ms) == trunk
