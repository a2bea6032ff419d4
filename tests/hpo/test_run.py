"""The command from end to end, in processes of its own: what a user types, and what can befall it."""

import contextlib
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from studies.records import read_study
from studies.storage import load_study
from tests.places import cache_in

ROOT = Path(__file__).parent.parent.parent
SMALL = ["--train-size", "200", "--val-size", "100", "--epochs", "1", "--resolutions", "8,16", "--no-map"]
# Where latency matters to nobody: LiteRT costs a process more, which converts networks.
QUICK = [*SMALL, "--latency-runtime", "keras"]
real_data = pytest.mark.skipif("HPO_DATA_DIR" not in os.environ, reason="needs real data in the folder HPO_DATA_DIR")


def start(folder, *words, **environment):
    folder.mkdir(exist_ok=True)
    variables = {key: value for key, value in os.environ.items() if key != "HPO_STORAGE"}
    variables |= {"PYTHONPATH": str(ROOT), "HPO_CACHE_DIR": str(cache_in(folder)), **environment}
    return subprocess.Popen(
        [sys.executable, "-m", "hpo.run", *words],
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A job in the background of a shell inherits that Ctrl-C is ignored; a user's terminal does not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def run(folder, *words, **environment):
    process = start(folder, *words, **environment)
    out, err = process.communicate(timeout=600)
    return process.returncode, out, err


def study_of(folder, name="custom_cnn-digits"):
    return load_study(f"sqlite:///{folder}/studies.db", name)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--trials", "0"], "error: --trials must be at least 1. Received: 0"),
        (["--backbone", "vgg20"], "vgg19"),
        (["--dataset", "cifar11"], "cifar10"),
        (["--resolutions", "7"], "error: --resolutions must be from 8"),
        (["--preset", "slow"], "error: --preset must be quick, standard, thorough, or a TOML file. Received: slow"),
        (["--storage", "mysql://"], "error: --storage must be sqlite:///FILE"),
        (["--nonsense"], "error: No such option '--nonsense'."),
        (["digits"], "unexpected extra argument"),
        (["--trials"], "requires an argument"),
    ],
)
def test_a_wrong_value_is_one_line_and_leaves_nothing_behind(tmp_path, words, said):
    code, out, err = run(tmp_path, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*")] == [
        Path("cache"),
        Path("cache/latency"),
    ]  # ours


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_to(tmp_path):
    code, out, err = run(tmp_path, "--out", "/proc/runs")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "cannot write to the folder /proc/runs" in err


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "studies.db").write_text("a diary" * 1000)
    code, _, err = run(tmp_path)
    assert (code, err.count("\n")) == (3, 1)
    assert "file is not a database" in err
    assert (tmp_path / "studies.db").read_text() == "a diary" * 1000


@pytest.mark.slow
def test_weights_of_another_network_are_refused_before_the_first_trial(tmp_path):
    (tmp_path / "foreign.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 100)
    code, _, err = run(tmp_path, "--weights", "foreign.h5")
    assert (code, err.count("\n")) == (2, 1)
    assert "foreign.h5" in err


@pytest.mark.slow
def test_from_nothing_over_an_interruption_to_a_front(tmp_path):
    process = start(tmp_path, *SMALL, "--trials", "4")
    while "trial 1 val_accuracy" not in (line := process.stdout.readline()):
        assert line, process.stderr.read()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err.strip()) == (130, "error: interrupted; what is finished is kept")
    assert not [trial for trial in study_of(tmp_path).trials if trial.state.name == "RUNNING"]

    code, out, err = run(tmp_path, *SMALL, "--trials", "4")
    assert (code, err) == (0, "")
    assert re.search(r"^[23] of 4 trials done, continuing", out, re.MULTILINE)
    for part in ("[4/4] trial ", " val_accuracy 0.", "Pareto front", "Files in runs/", "Go on"):
        assert part in out
    assert {path.suffix for path in (tmp_path / "runs" / "custom_cnn-digits").iterdir()} >= {
        ".csv",
        ".json",
        ".html",
        ".png",
        ".svg",
        ".pdf",
    }
    front = json.loads((tmp_path / "runs" / "custom_cnn-digits" / "front.json").read_text())
    assert front == sorted(front, key=lambda row: row["latency_ms"])
    complete = [trial for trial in study_of(tmp_path).trials if trial.state.name == "COMPLETE"]
    assert len(complete) == 4
    for trial in complete:
        assert trial.values == [
            trial.user_attrs["learning_curve"][trial.user_attrs["best_epoch"] - 1]["val_accuracy"],
            trial.user_attrs["measurement"]["latency_ms"],
            trial.user_attrs["measurement"]["flops"],
        ]

    code, _, err = run(tmp_path, *SMALL, "--trials", "4", "--seed", "1")
    assert (code, err.count("\n")) == (2, 1)
    assert "seed (0 then, 1 now)" in err


@pytest.mark.slow
def test_nothing_within_the_budget(tmp_path):
    code, out, err = run(tmp_path, *QUICK, "--trials", "2", "--max-gflops", "1e-6")
    assert (code, err.count("\n")) == (1, 1)
    assert err.startswith("error: no trial succeeded: all were over budget")
    assert "over budget, not trained" in out


@pytest.mark.slow
def test_a_killed_worker_does_not_stop_the_study(tmp_path):
    process = start(tmp_path, *QUICK, "--trials", "4")
    while "trial 0 val_accuracy" not in (line := process.stdout.readline()):
        assert line, process.stderr.read()
    children = psutil.Process(process.pid).children(recursive=True)
    workers = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    assert workers
    for worker in workers:
        worker.kill()
    process.communicate(timeout=300)
    assert process.returncode == 0
    records = read_study(study_of(tmp_path))
    assert sum(record.state == "complete" for record in records) == 4
    died = [record for record in records if record.state == "interrupted"]
    assert len(died) <= 1  # none where it had just done a task: another worker then gets the next
    for record in died:
        assert re.match(r"the worker process died (\(signal 9\)|between two tasks); ", record.reason)


@pytest.mark.slow
def test_two_runs_at_once_and_the_second_is_told_who_holds_it(tmp_path):
    first = start(tmp_path, *QUICK, "--trials", "3")
    while "trial 0 val_accuracy" not in first.stdout.readline():
        assert first.poll() is None
    first.send_signal(signal.SIGSTOP)  # or it might be done before the second one begins
    code, _, err = run(tmp_path, *QUICK, "--study", "another")
    first.send_signal(signal.SIGCONT)
    assert (code, err.count("\n")) == (2, 1)
    assert re.search(rf"in use: process {first.pid} has been running study custom_cnn-digits since 2", err)
    first.communicate(timeout=300)
    assert first.returncode == 0


@pytest.mark.slow
def test_kills_of_everything(tmp_path):
    wanted, kills, generator = 6, 0, random.Random(0)
    sizes = ["--train-size", "100", "--val-size", "50", "--epochs", "1", "--resolutions", "8,16"]
    words = [*sizes, "--trials", str(wanted)]
    finished: set[int] = set()
    for _ in range(3):
        process = start(tmp_path, *words)
        time.sleep(generator.uniform(1, 10))
        kills += process.poll() is None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        out, _ = process.communicate()
        finished |= {int(number) for number in re.findall(r"trial (\d+) val_accuracy", out)}
        time.sleep(0.2)
    assert kills >= 2  # of a study that was not yet done
    code, _, err = run(tmp_path, *words)
    assert (code, err) == (0, "")
    records = read_study(study_of(tmp_path))
    complete = [record for record in records if record.state == "complete"]
    # one that was interrupted twice is not tried again
    assert sum(record.counts for record in records) == wanted
    assert len(complete) >= wanted - 3
    assert finished <= {record.number for record in complete}
    assert len({record.candidate for record in complete}) == len(complete)  # none twice
    assert {record.state for record in records} <= {"complete", "duplicate", "interrupted", "failed", "waiting"}
    assert all("as it did with the same candidate" in record.reason for record in records if record.state == "failed")
    with sqlite3.connect(tmp_path / "studies.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    connection.close()


@pytest.mark.slow
def test_killed_between_rungs_and_continued(tmp_path):
    words = [*QUICK, "--epochs", "9", "--trials", "6"]
    process = start(tmp_path, *words)
    folder = tmp_path / "runs" / "custom_cnn-digits" / "trials" / "checkpoints"
    while not any(folder.glob("*.npz")):
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    code, out, err = run(tmp_path, *words)
    assert (code, err) == (0, "")
    assert "interrupted; queued again" in out
    records = read_study(study_of(tmp_path))
    assert sum(record.counts for record in records) == 6
    assert {record.state for record in records} <= {"complete", "stopped", "interrupted", "waiting"}
    for record in records:
        if record.state == "stopped":
            assert record.reason.startswith(f"stopped at epoch {record.epochs}: val_accuracy ")
            assert record.epochs in (2, 4, 8)
        if record.state == "complete":
            assert record.epochs == 9
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_killed_and_continued_it_has_the_same_trials_as_in_one_run(tmp_path):
    """Same seed, same trials, behind the queued first candidates, too, where the sampler chooses."""
    # One head at a time: where a run ends, a group of heads ends too, and the next ones are free to be anything.
    words = [*QUICK, "--trials", "7", "--sampler", "random", "--heads", "1"]
    process = start(tmp_path / "killed", *words)
    while "trial 5 val_accuracy" not in (line := process.stdout.readline()):
        assert line, process.stderr.read()
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert run(tmp_path / "killed", *words)[0] == 0
    assert run(tmp_path / "whole", *words)[0] == 0
    killed, whole = (
        [
            (record.candidate, record.val_accuracy, record.flops, record.learning_curve)
            for record in read_study(study_of(tmp_path / name))
            if record.state == "complete"
        ]
        for name in ("killed", "whole")
    )
    assert len(whole) == 7
    assert killed == whole


@pytest.mark.slow
@real_data
def test_without_a_network_pretrained_weights_explain_themselves(tmp_path):
    code, _, err = run(tmp_path, "--backbone", "vgg19", "--dataset", "cifar10", KERAS_HOME=str(tmp_path / "empty"))
    assert (code, err.count("\n")) == (2, 1)
    for part in (
        "https://",
        "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        str(tmp_path / "empty" / "models"),
        "KERAS_HOME",
        "--weights",
    ):
        assert part in err


@pytest.mark.slow
@real_data
def test_vgg19_from_scratch_on_cifar10(tmp_path):
    words = "--backbone vgg19 --dataset cifar10 --weights none --resolutions 32 --train-size 64 --val-size 32"
    code, out, err = run(tmp_path, *words.split(), "--trials", "1", "--epochs", "1", "--latency-runtime", "keras")
    assert (code, err) == (0, "")
    assert "[1/1] trial 0 val_accuracy" in out
    assert study_of(tmp_path, "vgg19-cifar10-scratch").trials[0].params["unfreeze_depth"] == 5


@pytest.mark.slow
@real_data
def test_a_folder_of_photographs(tmp_path):
    folder = Path(os.environ["HPO_DATA_DIR"]) / "cats_vs_dogs"
    code, _, err = run(
        tmp_path,
        "--dataset",
        str(folder),
        "--backbone",
        "mobilenet_0.25",
        "--trials",
        "1",
        "--epochs",
        "5",
        "--resolutions",
        "160",
        "--no-map",
        *("--latency-runtime", "keras"),
    )
    assert (code, err) == (0, "")
    record = read_study(study_of(tmp_path, "mobilenet_0.25-cats_vs_dogs"))[0]
    assert record.val_accuracy > 0.9
