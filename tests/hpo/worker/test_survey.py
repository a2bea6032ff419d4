"""Latencies measured part by part; with a fake runtime, since no number is compared with a clock."""

import fcntl
import threading
import time
from pathlib import Path

import pytest

import hpo.worker.bench
import hpo.worker.survey
from hpo.worker.bench import BRIEF_SECONDS
from hpo.worker.latency_table import WIDTHS
from hpo.worker.memory import Memory
from hpo.worker.survey import Survey
from models import ModelError
from models.build import Task
from models.candidate import Architecture
from models.latency.conversion import Converter
from models.latency.deployed import MOST_ROUNDS, ROUND_SECONDS, ROUNDS, measure_files
from tests.made import deployed_latency

TASK = Task(32, 32, 3, 10, "pretrained")
SIDES = (32, 64)


class Fake:
    """Stands in for converter and measuring process: a trunk takes its side in ms, a head a hundredth of its width."""

    def __init__(self):
        self.converted, self.together, self.efforts = [], [], []
        self.times = {}  # what a part takes instead, ms
        self.roomy = True  # whether spare parts are written

    def __call__(self, runtime):
        assert runtime == "litert"
        return self

    def close(self):
        pass

    def network(self, architecture, task, path):
        assert (architecture.head_width, architecture.batch_norm_head, task) == (0, False, TASK)
        blocks = f" {architecture.keep_blocks} of 3" if architecture.keep_blocks else ""
        ms = architecture.resolution * (architecture.keep_blocks or 3) / 3
        self._write(path, f"trunk {architecture.resolution} {architecture.pooling}{blocks}", ms)

    def ends(self, architectures, task, paths, spare, room):
        """The trunk behind a block takes its share of the blocks, of which there are three."""
        wanted = len(architectures) - (0 if self.roomy else spare)
        for each, path in list(zip(architectures, paths, strict=True))[:wanted]:
            blocks = each.keep_blocks or 3
            self._write(path, f"trunk {each.resolution} {blocks} of 3", each.resolution * blocks / 3)

    def head(self, architecture, channels, n_logits, path):
        assert (channels, n_logits) == ((16, 64, 64)[architecture.keep_blocks - 1], 10)
        norm = " bn" if architecture.batch_norm_head else ""
        self._write(path, f"head {architecture.head_width}{norm}", 1 + architecture.head_width / 100)

    def _write(self, path, name, ms):
        self.converted.append(name)
        path.write_text(f"{name}:{ms}")

    def measure(self, files, runtime, threads, *, seconds, most_rounds, alone, starting):
        self.efforts.append((seconds, most_rounds))
        assert (runtime, threads) == ("litert", 2)
        named = [Path(f"/dev/fd/{file}").read_text().split(":") for file in files]
        self.together.append([name for name, _ in named])
        with starting():
            pass
        for _ in range(2):
            with alone():
                time.sleep(0.01)
        return [deployed_latency(self.times.get(name, float(ms))) for name, ms in named]


@pytest.fixture
def fake(monkeypatch):
    fake = Fake()
    monkeypatch.setattr(hpo.worker.bench, "Converter", fake)
    monkeypatch.setattr(hpo.worker.bench, "measure_files", fake.measure)
    monkeypatch.setattr(hpo.worker.bench, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(hpo.worker.survey, "POLL_SECONDS", 0.001)
    return fake


@pytest.fixture
def survey(tmp_path):
    def make(many_ends=False):
        return Survey(TASK, (16, 64, 64), "litert", 2, SIDES, many_ends, Memory(tmp_path, {"device": "a"}), tmp_path)

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


def test_all_parts_of_a_kind_are_measured_together_and_once(survey, fake):
    here = survey()
    ask(here, head_width=128)
    parts = ["trunk 32 average", "trunk 64 average", *(f"head {width}" for width in WIDTHS)]
    assert fake.converted == parts and fake.together == [parts]
    for side in SIDES:
        for width in (0, 128, 384, 1024):
            assert ask(here, resolution=side, head_width=width).ms == pytest.approx(side + width / 100)
    assert fake.together == [parts]
    assert [path.name for path in here._bench._folder.glob(".*")] == [".survey.lock"]


def test_another_process_finds_it(survey, fake):
    ask(survey())
    before = list(fake.converted)
    assert ask(survey(), head_width=512).ms == pytest.approx(64 + 5.12)
    assert fake.converted == before


def test_what_contradicts_is_measured_again_but_once(survey, fake):
    fake.times = {"trunk 32 average": 80.0}
    here = survey()
    assert ask(here, head_width=0, resolution=32).ms == 80.0  # a fact of this machine, then
    assert fake.together[1:] == [["trunk 32 average", "trunk 64 average"]]
    finish(here)
    assert len(fake.together) == 2
    assert ask(survey(), head_width=0).ms == 64.0
    assert len(fake.together) == 2


def test_measured_again_the_mean_counts_but_for_no_other_study(survey, fake):
    here, steps = survey(), []
    ask(here)
    fake.times = {"trunk 64 average": 65.0, "head 256": 1.0}
    near = [architecture(), architecture(head_width=384)]
    small = architecture(head_width=0, resolution=32)
    again = here.measure_again(near, [*near, small], lambda: steps.append(1))
    assert fake.together[1:] == [["trunk 64 average", "head 256", "head 0", "head 512"]]
    assert len(fake.converted) == 7  # from the files that are there
    assert steps
    assert {each: latency.ms for each, latency in again.items()} == {
        near[0]: pytest.approx(64.5 + 1.28),
        near[1]: pytest.approx(64.5 + 3.2),
        small: 32.0,
    }
    assert ask(survey()).ms == ask(here).ms == pytest.approx(64 + 2.56)


def test_measured_again_with_nothing_remembered(survey, fake):
    """The cache was deleted, or the study went on with another one."""
    again = survey().measure_again([architecture()], [architecture(), architecture(resolution=32)], lambda: None)
    assert {each.resolution: latency.ms for each, latency in again.items()} == {
        64: pytest.approx(64 + 2.56),
        32: pytest.approx(32 + 2.56),
    }


def test_much_is_not_kept_on_the_disk(survey, fake, monkeypatch):
    monkeypatch.setattr(hpo.worker.bench, "MOST_KEPT_BYTES", 10)
    here = survey()
    ask(here)
    here.measure_again([architecture()], [architecture()], lambda: None)
    assert fake.converted[7:] == ["trunk 64 average", "head 256", "head 0"]


def test_what_waits_for_another_process_gives_signs_of_life(survey, fake):
    here, steps = survey(), []
    ask(here)
    (here._bench._folder / ".survey.lock").touch()
    with (here._bench._folder / ".survey.lock").open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)

        def on_step():
            steps.append(1)
            if len(steps) == 3:
                fcntl.flock(other, fcntl.LOCK_UN)

        here.measure_again([architecture()], [architecture()], on_step)
    assert len(fake.together) == 2


def test_poolings_and_norms_are_parts_of_their_own(survey, fake):
    here = survey()
    ask(here, pooling="max", batch_norm_head=True)
    assert fake.converted == ["trunk 32 max", "trunk 64 max", *(f"head {width} bn" for width in WIDTHS), "head 0"]


def test_where_a_network_may_end_anywhere_only_what_is_asked_for_is_measured(survey, fake):
    here = survey(many_ends=True)
    assert ask(here, head_width=0, keep_blocks=1).ms == pytest.approx(64 / 3)
    assert ask(here, head_width=0).ms == 64.0
    assert fake.together == [["trunk 64 average 1 of 3"], ["trunk 64 average"]]
    assert ask(here, keep_blocks=2).ms == pytest.approx(2 * 64 / 3 + 2.56)
    heads = [f"head {width}" for width in WIDTHS]
    assert fake.together[2:] == [["trunk 64 average 2 of 3", *heads]]
    assert ask(here, head_width=384).ms == pytest.approx(64 + 3.84)  # with as many channels: the same heads
    assert fake.together[3:] == []
    assert ask(here, head_width=512, keep_blocks=1).ms == pytest.approx(64 / 3 + 5.12)
    assert fake.together[3:] == [heads]  # of other channels
    assert ask(here, head_width=0, batch_norm_head=True).ms == 64.0
    assert fake.together[4:] == [[f"{head} bn" for head in heads]]


def test_at_the_end_nothing_is_measured_but_what_is_near_the_front(survey, fake):
    """Where the cache was deleted, others have been forgotten."""
    here = survey(many_ends=True)
    near, far = architecture(head_width=0), architecture(head_width=0, keep_blocks=1)
    assert list(here.measure_again([near], [near, far], lambda: None)) == [near]
    assert fake.converted == ["trunk 64 average"]
    ask(here, head_width=0, keep_blocks=1)
    assert list(here.measure_again([near], [near, far], lambda: None)) == [near, far]


def test_for_a_map_trunks_are_converted_at_once_and_measured_briefly_but_not_for_the_record(survey, fake):
    here = survey(many_ends=True)
    trunks = [architecture(head_width=0, keep_blocks=blocks % 3) for blocks in (1, 2, 3)]
    found = here.estimate(trunks)([10, 25, 40])
    assert [one.ms for one in found] == pytest.approx([64 / 3, (64 + 64 / 3) / 2, 64.0])
    assert fake.together == [["trunk 64 1 of 3", "trunk 64 3 of 3"]]
    assert fake.converted == ["trunk 64 1 of 3", "trunk 64 3 of 3", "trunk 64 2 of 3"]
    assert fake.efforts == [(BRIEF_SECONDS, ROUNDS)]
    assert ask(here, head_width=0).ms == 64.0
    assert ask(here, head_width=0, keep_blocks=2).ms == pytest.approx(64 * 2 / 3)
    assert fake.together[1:] == [["trunk 64 3 of 3"], ["trunk 64 2 of 3"]]  # from the files that are there
    assert fake.efforts[1:] == [(ROUND_SECONDS, MOST_ROUNDS)] * 2
    assert len(fake.converted) == 3
    assert [path.name for path in here._bench._folder.glob(".*")] == [".survey.lock"]


def test_a_place_that_was_not_converted_with_others_is_converted_when_it_is_tried(survey, fake):
    here, fake.roomy = survey(many_ends=True), False
    here.estimate([architecture(head_width=0, keep_blocks=blocks % 3) for blocks in (1, 2, 3)])([10, 25, 40])
    assert fake.converted == ["trunk 64 1 of 3", "trunk 64 3 of 3"]
    ask(here, head_width=0, keep_blocks=2)
    assert fake.converted[2:] == ["trunk 64 average 2 of 3"]


def test_a_place_that_cannot_be_converted_does_not_spoil_the_others(survey, fake, monkeypatch):
    here, ends = survey(many_ends=True), fake.ends

    def broken(architectures, *given):
        if any(each.keep_blocks == 2 for each in architectures):
            raise ModelError("the second block cannot be converted")
        ends(architectures, *given)

    monkeypatch.setattr(fake, "ends", broken)
    trunks = [architecture(head_width=0, keep_blocks=blocks % 3) for blocks in (1, 2, 3)]
    assert here.estimate(trunks)([10, 25, 40])[2].ms == 64.0
    assert fake.converted == ["trunk 64 1 of 3", "trunk 64 3 of 3"]


def test_where_there_are_many_classes_only_what_is_measured_is_converted(survey, fake, monkeypatch):
    monkeypatch.setattr(hpo.worker.bench, "MOST_SPARE_BYTES", 4 * 64 * 10 - 1)  # the last layer of the second place
    survey(many_ends=True).estimate([architecture(head_width=0, keep_blocks=blocks % 3) for blocks in (1, 2, 3)])(
        [10, 25, 40]
    )
    assert fake.converted == ["trunk 64 1 of 3", "trunk 64 3 of 3"]


def test_without_hidden_layer_the_trunk_is_all(survey, fake):
    assert ask(survey(), head_width=0) == deployed_latency(64.0)


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
            fake.converted.append("broken")
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
    assert fake.converted.count("broken") == 2  # beside the others, and when it was asked for
    assert not list(here._bench._folder.glob(".*.model"))


def test_a_network_that_cannot_be_run_concerns_nobody_else(survey, fake, monkeypatch):
    measure = fake.measure

    def broken(files, runtime, threads, **how):
        names = [Path(f"/dev/fd/{file}").read_text() for file in files]
        if any(name.startswith("trunk 64") for name in names):
            raise ModelError("latency cannot be measured in LiteRT: no such operator")
        return measure(files, runtime, threads, **how)

    monkeypatch.setattr(hpo.worker.bench, "measure_files", broken)
    here = survey()
    assert ask(here, resolution=32).ms == pytest.approx(32 + 2.56)
    with pytest.raises(ModelError, match="no such operator"):
        here.latency(architecture())
    assert fake.together == [[name] for name in ("trunk 32 average", *(f"head {width}" for width in WIDTHS))]
    again = here.measure_again([architecture(resolution=32)], [architecture(), architecture(resolution=32)], print)
    assert [each.resolution for each in again] == [32]


def test_an_error_of_one_kind_is_gone_when_another_kind_shares_the_part(survey, fake, monkeypatch):
    """With batch normalisation or without, the trunk is the same."""
    network = fake.network

    def broken(*_):
        raise ModelError("the converting process died")

    here = survey()
    monkeypatch.setattr(fake, "network", broken)
    with pytest.raises(ModelError):
        ask(here)
    monkeypatch.setattr(fake, "network", network)
    assert ask(here, batch_norm_head=True).ms > 64
    assert here.latency(architecture()).ms == pytest.approx(64 + 2.56)


def test_what_waits_is_told_of_parts(survey, fake):
    told = []
    here = survey()
    here.latency(architecture(), lambda: told.append(1))
    assert told


@pytest.mark.slow
def test_trunk_and_interpolated_head_are_the_network(tmp_path):
    """Within a quarter, as others use this machine; `benchmarks/latency_parts.py` has the figures."""
    whole = architecture(resolution=32, head_width=384)
    here = Survey(TASK, (32, 64, 128, 192), "litert", 1, (32,), False, Memory(tmp_path, {"device": "a"}), tmp_path)
    with Converter("litert") as converter:
        converter.network(whole, TASK, tmp_path / "whole")
    parts = ask(here, resolution=32, head_width=384)
    (once,) = measure_files([tmp_path / "whole"], "litert")
    assert parts.ms == pytest.approx(once.ms, rel=0.25)
    assert parts.ms > ask(here, resolution=32, head_width=0).ms
