"""The final evaluation as a command: what it leaves, what it refuses, and what befalls it."""

import csv
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import optuna_dashboard
import pytest
from click.testing import CliRunner
from sklearn import metrics

from hpo.errors import BadInput
from hpo.evaluate import main
from hpo.final.evaluation import NOTE, check_same, finished
from hpo.final.selection import choose, jobs_for
from hpo.search.run import run_search
from hpo.worker.session import prepare
from studies.artifacts import attached
from studies.attributes import OPTIONS
from studies.finals import FinalRun
from studies.fingerprint import fingerprint_of
from studies.records import read_study
from studies.storage import database_lock, load_study
from studies.tables.finals import TERMINAL
from tests.hpo.conftest import fake_facts

ROOT = Path(__file__).parent.parent.parent


def call(config, *words):
    places = ["--storage", config.storage, "--out", str(config.out), "--cache-dir", str(config.cache_dir)]
    return CliRunner().invoke(main, [config.study_name, *places, *words])


@pytest.fixture
def copied(evaluated, tmp_path):
    """What the small evaluated study left, to be changed."""
    shutil.copytree(evaluated.out.parent, tmp_path / "all")
    places = {"storage": f"sqlite:///{tmp_path}/all/studies.db", "out": tmp_path / "all" / "runs"}
    return evaluated.model_copy(update=places)


def test_files(evaluated):
    folder = evaluated.study_dir / "final"
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    tables = {f"final.{suffix}" for suffix in ("csv", "json", "md", "tex")}
    each = ("card.md", "per_class.csv", "confusion.csv", "confusion.png", "curves.png")
    each += tuple(
        f"seed-{seed}/{name}" for seed in (0, 1) for name in ("model.keras", "predictions.npz", "result.json")
    )
    assert names == tables | {f"{label}/{name}" for label in ("0", "2", "baseline") for name in each}


def test_table_agrees_with_an_evaluation_of_the_predictions(evaluated):
    folder = evaluated.study_dir / "final"
    rows = {row["model"]: row for row in json.loads((folder / "final.json").read_text())}
    assert set(rows) == {"trial 0", "trial 2", "baseline"}
    for label, name in (("0", "trial 0"), ("2", "trial 2"), ("baseline", "baseline")):
        found, confusion = [], 0
        for seed in (0, 1):
            with np.load(folder / label / f"seed-{seed}" / "predictions.npz", allow_pickle=False) as kept:
                truth, guess = kept["labels"], kept["probabilities"].argmax(1)
            found.append((metrics.accuracy_score(truth, guess), metrics.recall_score(truth, guess, average="macro")))
            confusion = confusion + metrics.confusion_matrix(truth, guess)
        accuracy, recall = np.mean(found, axis=0)
        assert rows[name]["test_accuracy"] == pytest.approx(accuracy, abs=1e-12)
        assert rows[name]["macro_recall"] == pytest.approx(recall, abs=1e-12)
        with (folder / label / "confusion.csv").open() as file:
            table = list(csv.reader(file))
        assert np.array_equal(np.array(table)[1:, 1:].astype(int), confusion)
    (best,) = (row for row in rows.values() if row["verdict"] == "the most accurate")
    for row in rows.values():
        if row is not best:
            assert row["to_best"] == pytest.approx(row["test_accuracy"] - best["test_accuracy"], abs=1e-12)
            assert row["verdict"] in ("worse", "not distinguishable")
    shared = {"test_accuracy", "macs", "epochs", "search_accuracy"}  # the baseline is trial 0, trained by itself
    assert {name: rows["baseline"][name] for name in shared} == {name: rows["trial 0"][name] for name in shared}


def test_it_is_kept_in_the_study(evaluated):
    study = load_study(evaluated.storage, evaluated.study_name)
    folder = evaluated.study_dir / "final"
    assert study.user_attrs["final"] == json.loads((folder / "final.json").read_text())
    note, page = optuna_dashboard.get_note(study), (folder / "final.md").read_text()
    heads = note.removeprefix(f"{NOTE}\n\n| ").splitlines()[0].removesuffix(" |").split(" | ")
    assert tuple(heads) == TERMINAL  # what fits the dashboard; the file has every column
    assert note.partition("\n\n95 %")[2] == page.partition("\n\n95 %")[2] != ""
    files = ["card.md", "confusion.png", "curves.png"]
    assert [attached(study, number) for number in (0, 1, 2)] == [files, [], files]


@pytest.mark.slow
def test_again_nothing_is_trained_and_a_note_of_the_users_stays(copied):
    study = load_study(copied.storage, copied.study_name)
    optuna_dashboard.save_note(study, f"my own words\n\n{optuna_dashboard.get_note(study)}")
    before = {path: path.stat().st_mtime_ns for path in copied.study_dir.rglob("result.json")}
    assert len(before) == 6
    done = call(copied, "--trials", "0,2", "--seeds", "2")
    assert done.exit_code == 0, done.output
    assert done.output.count("done before") == 6
    assert before == {path: path.stat().st_mtime_ns for path in copied.study_dir.rglob("result.json")}
    note = optuna_dashboard.get_note(load_study(copied.storage, copied.study_name))
    assert note.startswith(f"my own words\n\n{NOTE}\n\n| model |")
    assert note.count(NOTE) == 1
    shown = done.output[done.output.index("On the test pictures") :].splitlines()
    assert max(map(len, shown)) <= 180
    assert shown[0].rstrip() == "On the test pictures, means over 2 seeds"
    for part in ("trial 2", "baseline", "95 % interval", "final{.csv,.json,.md,.tex}"):
        assert any(part in line for line in shown)


def test_fewer_seeds_and_other_trials_take_what_is_there(copied):
    done = call(copied, "--trials", "2", "--seeds", "1")
    assert done.exit_code == 0, done.output
    rows = json.loads((copied.study_dir / "final" / "final.json").read_text())
    assert sorted((row["model"], row["seeds"]) for row in rows) == [("baseline", 1), ("trial 2", 1)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: (folder / "result.json").write_text("{"),
        lambda folder: (folder / "result.json").unlink(),
        lambda folder: (folder / "model.keras").unlink(),
    ],
)
def test_what_is_damaged_is_done_again(copied, harm):
    folder = copied.study_dir / "final" / "2" / "seed-1"
    before = json.loads((folder / "result.json").read_text())["scores"]
    harm(folder)
    done = call(copied, "--trials", "2", "--seeds", "2")
    assert done.exit_code == 0, done.output
    assert done.output.count("done before") == 3
    assert json.loads((folder / "result.json").read_text())["scores"] == before
    assert (folder / "model.keras").is_file()


def test_results_of_another_run_are_not_taken(evaluated):
    facts = prepare(evaluated)
    study = load_study(evaluated.storage, evaluated.study_name)
    (one,) = choose(read_study(study), "front", "2", fingerprint_of(study))
    (final,) = jobs_for([one], 1, evaluated, facts, study.user_attrs["study_id"])
    assert finished(final).label == "2"
    others = [
        dataclasses.replace(final, epochs=final.epochs + 1),
        dataclasses.replace(final, job=dataclasses.replace(final.job, study_id="another")),
        dataclasses.replace(final, job=dataclasses.replace(final.job, facts=fake_facts(evaluated))),
        dataclasses.replace(final, seed=1, measure=True),  # that run measured no costs
    ]
    assert [finished(other) for other in others] == [None] * 4


def test_runs_that_fail_are_named_and_the_others_kept(copied, monkeypatch):
    shutil.rmtree(copied.study_dir / "final" / "2")
    monkeypatch.setattr("hpo.final.training._train_final", _fail)
    done = call(copied, "--trials", "0,2", "--seeds", "1")
    assert done.exit_code == 1
    assert "[2/3] trial 2, seed 0: out of memory: 3 GiB" in done.output
    assert done.output.rstrip().endswith("error: 1 run failed; the same command tries again")
    rows = json.loads((copied.study_dir / "final" / "final.json").read_text())
    assert [row["model"] for row in rows] == ["trial 0", "baseline"]
    assert not list(copied.study_dir.rglob("*.progress"))


def _fail(*_):
    raise MemoryError("3 GiB")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--trials", "7"], "--trials must be numbers of complete trials (0, 1, 2). Received: 7"),
        (["--seeds", "0"], "Invalid value for '--seeds'"),
        (["--pick", "all"], "Invalid value for '--pick'"),
        (["--runtimes", "litert,tflite"], "--runtimes must be one of litert, litert-int8, onnx. Received: tflite"),
        (["--runtimes", ""], "--runtimes must be one of litert, litert-int8, onnx. Received: nothing"),
        (["--out", "/proc/runs"], "cannot write to the folder /proc/runs"),
        (["--data-dir", "/nowhere"], "--data-dir must be an existing folder. Received: /nowhere"),
    ],
)
def test_mistakes_in_one_line(copied, words, said):
    before = {path: path.stat().st_mtime_ns for path in (copied.study_dir / "final").rglob("*")}
    done = call(copied, *words)
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert done.output.startswith("error: ")
    assert said in done.output
    assert before == {path: path.stat().st_mtime_ns for path in (copied.study_dir / "final").rglob("*")}


def test_a_runtime_that_is_not_installed_is_said_before_anything_is_trained(copied, monkeypatch):
    shutil.rmtree(copied.study_dir / "final")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = call(copied, "--trials", "2", "--runtimes", "onnx")
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert done.output.startswith("error: --runtimes onnx needs the extra onnx (")
    assert not (copied.study_dir / "final").exists()


@pytest.mark.slow
def test_each_model_as_deployed(copied, monkeypatch):
    monkeypatch.setattr("hpo.final.conversion.LONG_SECONDS", 0.1)
    words = ("--trials", "2", "--seeds", "1", "--runtimes", "litert,litert-int8")
    done = call(copied, *words)
    assert done.exit_code == 0, done.output
    folder = copied.study_dir / "final"
    assert {path.suffix[1:] for path in folder.glob("forms.*")} == {"csv", "json", "md", "tex", "png", "svg", "pdf"}
    rows = json.loads((folder / "forms.json").read_text())
    final = {row["model"]: row for row in json.loads((folder / "final.json").read_text())}
    names = ["keras", "litert", "litert-int8"]
    assert [(row["model"], row["format"]) for row in rows] == [(model, name) for model in final for name in names]
    for row in rows:
        assert row["test_accuracy_low"] <= row["test_accuracy"] <= row["test_accuracy_high"]
        if row["format"] != "litert-int8":  # in float it says what it was trained to say
            assert row["test_accuracy"] == pytest.approx(final[row["model"]]["test_accuracy"], abs=0.003)
    assert [row["measured_in"] for row in rows[:3]] == ["Keras on tensorflow", *["LiteRT, 1 thread"] * 2]
    card = (folder / "2" / "card.md").read_text()
    assert [line.split(" | ")[0] for line in card.splitlines() if line.startswith(("| keras", "| litert"))] == [
        f"| {name}" for name in names
    ]
    shown = done.output[done.output.index("Each model as trained") :]
    assert max(map(len, shown.splitlines())) <= 180
    assert "forms{.csv,.json,.md,.tex,.png,.svg,.pdf}" in shown
    again = call(copied, *words[:-2])  # without a word of runtimes, what is there stays
    assert again.exit_code == 0, again.output
    assert json.loads((folder / "forms.json").read_text()) == rows
    again = call(copied, *words)
    assert again.output.count(", done before") == 2 + 4
    call(copied, "--trials", "0", "--seeds", "1")  # of its models the baseline alone was deployed
    assert {row["model"] for row in json.loads((folder / "forms.json").read_text())} == {"baseline"}
    shutil.rmtree(copied.study_dir / "exports")
    call(copied, "--trials", "0", "--seeds", "1")
    assert not list(folder.glob("forms.*"))


def test_a_study_that_is_not_there(copied):
    done = CliRunner().invoke(main, ["nosuch", "--storage", copied.storage])
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert "there is no study nosuch" in done.output


def test_not_beside_a_search(copied):
    with database_lock(copied.storage, "another"):
        done = call(copied)
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert "is in use: process" in done.output


def test_a_study_of_an_older_version(copied):
    load_study(copied.storage, copied.study_name).set_user_attr("options", None)
    done = call(copied)
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert "made by an older version, which did not keep its options" in done.output


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"weights_digest": "x"}, "weights"),
        ({"dataset_digest": "x", "split_digest": "y"}, "data and split"),
        ({"ends": "before projections"}, "places where networks end"),
    ],
)
def test_other_data_or_weights_than_the_search_had(evaluated, changes, said):
    study = load_study(evaluated.storage, evaluated.study_name)
    check_same(study, prepare(evaluated))
    with pytest.raises(BadInput, match=f"was made with other {said} than those here"):
        check_same(study, dataclasses.replace(prepare(evaluated), **changes))


def test_nothing_to_evaluate(configure, fakes):
    config = configure(trials=1, max_gflops=1e-9)
    fakes.run(config)
    done = call(config)
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert "no complete trial" in done.output
    assert not (config.study_dir / "final").exists()


@pytest.mark.slow
def test_from_scratch_says_that_there_is_no_baseline(tmp_path, configure, recorder):
    config = configure(train_size=60, val_size=20, epochs=1, resolutions=(16,), trials=1, weights="none")
    run_search(config, recorder)
    done = call(config, "--seeds", "1")
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[0] == "no pretrained baseline: this study trains from scratch"
    assert [row["model"] for row in json.loads((config.study_dir / "final" / "final.json").read_text())] == ["trial 0"]


def start(config):
    places = ["--storage", config.storage, "--out", str(config.out), "--cache-dir", str(config.cache_dir)]
    return subprocess.Popen(
        [sys.executable, "-m", "hpo.evaluate", config.study_name, *places, "--trials", "0,2", "--seeds", "2"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.mark.slow
def test_killed_and_interrupted_it_goes_on(copied, tmp_path):
    """Real processes: a worker beside the command, SIGKILL at any moment and Ctrl-C."""
    config = copied.model_copy(update={"cache_dir": tmp_path / "all" / "cache"})
    shutil.rmtree(config.study_dir / "final")
    study = load_study(config.storage, config.study_name)
    study.set_user_attr(OPTIONS, study.user_attrs[OPTIONS] | {"workers": 1})  # as a study has it that was run by users
    done: dict[str, FinalRun] = {}
    for pause, number in ((0.1, signal.SIGKILL), (1.0, signal.SIGINT)):
        process = start(config)
        while "trained in" not in (line := process.stdout.readline()):
            assert line, process.stderr.read()
        time.sleep(pause)
        if number == signal.SIGKILL:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert process.returncode == (-9 if number == signal.SIGKILL else 130), err
        texts = {str(path): path.read_text() for path in config.study_dir.rglob("result.json")}
        assert texts.items() >= done.items()  # nothing is lost or done twice
        assert len(texts) > len(done)
        done = texts
    process = start(config)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    assert out.count("done before") == len(done)
    texts = {str(path): path.read_text() for path in config.study_dir.rglob("result.json")}
    assert texts.items() >= done.items()
    assert len(texts) == 6
    assert not [path for path in (config.study_dir / "final").rglob(".*") if path.is_file()]
