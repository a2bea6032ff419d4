"""Plain lines for a pipe, and the live view's parts."""

import io
import os
import time

import pytest
from rich.console import Console

from hpo.terminal.display import LiveDisplay, PlainDisplay, doing, numbers, time_left
from hpo.worker.heartbeat import Heartbeat, Phase, SignOfLife
from studies.records import State, TrialRecord
from tests.studies.conftest import make_record, records  # noqa: F401  (fixtures)


def test_three_numbers(make_record):  # noqa: F811
    assert numbers(make_record(0, 0.8, 1.0, 10)) == "val_accuracy 0.8000, 1 (0.85-1.15) ms, 10 MFLOPs, 4.5 s"


def test_why_there_are_none(records):  # noqa: F811
    assert numbers(records[4]) == "over budget, not trained: 4 over max_latency_ms"
    assert numbers(records[5]) == "failed: out of memory: 3 GiB"


def test_ended_early(make_record):  # noqa: F811
    stopped = make_record(0, None, 1.0, 10, state="stopped", reason="stopped at epoch 1: third of three")
    twin = TrialRecord(1, State.DUPLICATE, stopped.candidate, reason="the same as trial 0")
    assert [numbers(one) for one in (stopped, twin)] == ["stopped at epoch 1: third of three", "the same as trial 0"]
    display = LiveDisplay()
    display.told(twin, [stopped, twin])
    console = Console(file=io.StringIO(), width=120)
    console.print(display._view())
    lines = {line.split()[0]: line for line in console.file.getvalue().splitlines() if line.strip()[:1].isdigit()}
    assert ("stopped" in lines["0"], "duplicate" in lines["1"]) == (True, True)
    assert "over budget" not in console.file.getvalue()


@pytest.mark.parametrize(
    ("wanted", "workers", "text"),
    [(6, 1, ""), (7, 1, "about 4 s"), (26, 1, "about 2 min"), (26, 2, "about 45 s"), (4000, 1, "about 5.0 h")],
)
def test_time_left_from_the_mean_of_what_was_done(records, wanted, workers, text):  # noqa: F811
    # five trials with 4.5 s each and a failed one without a duration count as six
    assert time_left(records, wanted, workers) == text


def test_what_is_done_now(tmp_path):
    path = tmp_path / "00000.progress"
    Heartbeat(path)(SignOfLife(Phase.TRAIN, 3, 0.5))
    assert doing(path) == "training, epoch 3 (50%)"
    os.utime(path, (time.time() - 100,) * 2)
    assert doing(path) == "training, epoch 3 (50%), silent for 100 s"


def test_a_trial_that_has_just_ended(tmp_path):
    assert doing(tmp_path / "none") == "ending"


def test_plain_lines(records, capsys):  # noqa: F811
    display = PlainDisplay()
    display.wanted = 9
    display.told(records[1], records)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("[6/9] trial 1 val_accuracy 0.9000, 2 (1.7-2.3) ms, 20 MFLOPs, 4.5 s | front 3 (new member)")
    assert "32 px, top 1 stage free, head 128" in line


def test_live_view_shows_everything_at_once(records, tmp_path):  # noqa: F811
    Heartbeat(tmp_path / "p")(SignOfLife(Phase.TRAIN, 2, 0.5))
    display = LiveDisplay()
    display.wanted = 9
    display.told(records[1], records)
    display.tick({"trial 7": tmp_path / "p"})
    console = Console(file=io.StringIO(), width=120)
    console.print(display._view())
    text = console.file.getvalue()
    for part in (
        "trial 7: training, epoch 2 (50%)",
        "6 of 9 trials",
        "front: 3 members, best val_accuracy 0.9000",
        "0.7000",
        "over budget",
        "failed",
    ):
        assert part in text


def test_steps_of_known_number(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("hpo.terminal.display.time.monotonic", lambda: clock[0])
    Heartbeat(tmp_path / "p")(SignOfLife(Phase.TEST, share=0.25))
    display = LiveDisplay()
    try:
        display.steps(1, 6)
        display.tick({"[2/6] trial 7, seed 1": tmp_path / "p"})
        clock[0] += 20
        display.steps(3, 6)  # one of six was done before; the next two took 20 s
        console = Console(file=io.StringIO(), width=120)
        console.print(display._view())
    finally:
        display.close()
    text = console.file.getvalue()
    assert "[2/6] trial 7, seed 1: classifying the test pictures (25%)" in text
    assert "3 of 6 done" in text
    assert "about 30 s left" in text
    assert "val_accuracy" not in text  # nothing of trials
