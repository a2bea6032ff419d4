"""Plain lines for a pipe, and the live view's parts."""

import io
import json
import os
import time

import pytest
from rich.console import Console

from hpo.terminal.display import LiveDisplay, PlainDisplay, doing, numbers, show_front, time_left
from studies.records import State, TrialRecord
from tests.studies.conftest import make_record, records  # noqa: F401  (fixtures)


def test_three_numbers(make_record):  # noqa: F811
    assert numbers(make_record(0, 0.8, 1.0, 10)) == "val_accuracy 0.8000, 1 (0.9-1.2) ms, 10 MFLOPs, 4.5 s"


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


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ({}, "starting"),
        ({"phase": "build", "where": []}, "building the model"),
        ({"phase": "measure", "where": []}, "measuring latency and FLOPs"),
        ({"phase": "extract", "where": [0.25]}, "running the frozen layers once (25%)"),
        ({"phase": "train", "where": [3, 0.5]}, "training, epoch 3 (50%)"),
    ],
)
def test_what_is_done_now(tmp_path, said, text):
    path = tmp_path / "00000.progress"
    path.write_text(json.dumps(said))
    assert doing(path) == text
    os.utime(path, (time.time() - 100,) * 2)
    assert doing(path) == f"{text}, silent for 100 s"


def test_a_trial_that_has_just_ended(tmp_path):
    assert doing(tmp_path / "none") == "ending"


def test_plain_lines(records, capsys):  # noqa: F811
    display = PlainDisplay()
    display.wanted = 9
    display.told(records[1], records)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("[6/9] trial 1 val_accuracy 0.9000, 2 (1.8-2.4) ms, 20 MFLOPs, 4.5 s | front 3 (new member)")
    assert "32 px, top 1 block free, head 128" in line


def test_live_view_shows_everything_at_once(records, tmp_path):  # noqa: F811
    (tmp_path / "p").write_text('{"phase": "train", "where": [2, 0.5]}')
    display = LiveDisplay()
    display.wanted = 9
    display.told(records[1], records)
    display.tick({7: tmp_path / "p"})
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


def test_front_as_a_table(records):  # noqa: F811
    console = Console(file=io.StringIO(), width=160)
    show_front(console, records)
    text = console.file.getvalue()
    assert [line.split()[0] for line in text.splitlines() if line.strip()[:1].isdigit()] == ["0", "2", "1"]
    for head in ("trial", "parameters", "val_accuracy", "latency ms (p10-p90)", "MFLOPs", "epochs", "seconds"):
        assert head in text
