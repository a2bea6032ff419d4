"""Final results: as files, and over the runs of a model, against numbers by hand."""

import dataclasses

import numpy as np
import pytest

from models.candidate import Candidate
from studies.difference import Verdict
from studies.finals import FinalRun, read_answers, read_predictions, read_runs, summarise
from studies.paths import BASELINE, StudyFiles
from studies.scores import score, wilson_interval
from tests import made


@pytest.fixture
def make_run():
    def make(label, seed, right, of=100, **changes):
        """A run that classifies `right` pictures of two classes correctly, of each class half."""
        labels = np.arange(of) % 2
        probabilities = np.eye(2)[np.where(np.arange(of) < right, labels, 1 - labels)]
        values = {
            "study_id": "s",
            "label": label,
            "seed": seed,
            "candidate": Candidate(
                backbone="custom_cnn",
                unfreeze_depth=0,
                head_width=0,
                dropout=0.2,
                learning_rate=3e-3,
                lr_schedule="cosine",
                resolution=32,
            ),
            "epochs": 4,
            "n_train": 300,
            "curve": [{"epoch": 1, "loss": 0.5, "accuracy": 0.8}],
            "scores": score(probabilities, labels),
            "costs": made.final_costs() if seed == 0 else None,
            "model_bytes": 2**20,
            "seconds": {"prepare": 1.0, "train": 2.0},
            "peak_memory_mib": 100.0 + seed,
            "machine": {"device": "test"},
            "shape": [8, 8, 1],
            "class_names": ["a", "b"],
        }
        return FinalRun(**values | changes)

    return make


def test_a_run_survives_its_file(make_run):
    run = make_run("3", 0, 90)
    assert FinalRun.from_json(run.to_json()) == run


def test_models_from_runs(make_run):
    runs = [make_run("3", 0, 90), make_run(BASELINE, 0, 50), make_run("3", 1, 92), make_run(BASELINE, 1, 50)]
    best, least = summarise(runs, {"3": 0.95})
    assert (best.label, least.label) == ("3", "baseline")
    assert (best.accuracy, best.search_accuracy, best.gap) == (0.91, 0.95, pytest.approx(0.04))
    assert 0.83 < best.interval[0] < 0.91 < best.interval[1] < 0.96
    assert (least.search_accuracy, least.gap) == (None, None)
    assert best.costs == made.final_costs()
    assert best.mean("macro_f1") == pytest.approx(np.mean([run.scores.macro_f1 for run in best.runs]))
    assert best.mean("top5_accuracy") is None
    assert best.confusion().tolist() == [[91, 9], [9, 91]]


def answers_of(runs):
    """The test pictures that `make_run` has right, which are the first ones."""
    return {(run.label, run.seed): np.arange(run.n_test) < round(run.scores.accuracy * run.n_test) for run in runs}


def test_models_are_compared_with_the_best_and_with_the_baseline(make_run):
    right = {"1": (850, 860), "2": (840, 852), BASELINE: (700, 710)}
    runs = [make_run(label, seed, n, 1000) for label, own in right.items() for seed, n in enumerate(own)]
    best, near, least = summarise(runs, {}, answers_of(runs))
    assert (best.best, best.to_best, best.verdict) == (True, None, Verdict.BEST)
    assert (near.best, near.verdict, near.to_best.difference) == (False, Verdict.ALIKE, pytest.approx(-0.009))
    assert (least.verdict, least.to_best.difference) == (Verdict.WORSE, pytest.approx(-0.15))
    assert best.to_baseline.verdict == near.to_baseline.verdict == Verdict.BETTER
    assert least.to_baseline is None
    turned = least.to_best.turned().planned()
    assert best.to_baseline == turned
    assert turned.p < least.to_best.p_adjusted


def test_one_run_of_each_says_nothing_of_seeds(make_run):
    runs = [make_run("1", 0, 600, 1000), make_run("2", 0, 500, 1000)]
    best, least = summarise(runs, {}, answers_of(runs))
    assert best.interval == wilson_interval(0.6, 1000)
    assert (least.verdict, least.to_best.freedom) == (Verdict.FEW_SEEDS, 0)
    assert least.to_best.high < 0


def test_without_predictions_it_cannot_be_said(make_run):
    runs = [make_run(label, seed, right) for label, right in (("1", 90), ("2", 50), (BASELINE, 40)) for seed in (0, 1)]
    best, least, baseline = summarise(runs, {})
    assert (best.verdict, least.verdict, least.to_best) == (Verdict.BEST, Verdict.UNKNOWN, None)
    assert best.interval[0] < 0.9 < best.interval[1]
    some = {key: right for key, right in answers_of(runs).items() if key != ("2", 1)}
    best, least, baseline = summarise(runs, {}, some)
    assert (least.verdict, least.to_baseline, baseline.verdict) == (Verdict.UNKNOWN, None, Verdict.WORSE)


def test_answers_are_those_of_the_results(make_run, tmp_path):
    files = StudyFiles(tmp_path)
    runs = [make_run("1", seed, right) for seed, right in enumerate((90, 92, 80, 70, 60, 50))]
    labels = np.arange(100) % 2
    put = {0: (90, labels), 1: (92, labels), 2: (81, labels), 3: (70, labels[:99]), 4: (60, 1 - labels)}
    for seed, (right, said) in put.items():
        path = files.run("1", seed).predictions
        path.parent.mkdir(parents=True)
        guesses = np.where(np.arange(100) < right, np.resize(said, 100), 1 - np.resize(said, 100))
        np.savez_compressed(path, probabilities=np.eye(2)[guesses], labels=said)
    found = read_answers(files, runs)  # 2: of another run, 3: damaged, 4: of other pictures, 5: missing
    assert {key: right.sum() for key, right in found.items()} == {("1", 0): 90, ("1", 1): 92}


def test_a_model_without_its_first_run_is_left_out(make_run):
    assert [model.label for model in summarise([make_run("1", 1, 90), make_run("2", 0, 50)], {})] == ["2"]
    assert summarise([], {}) == []


def test_runs_of_this_study_are_found_again(make_run, tmp_path):
    def put(run, place):
        (tmp_path / "final" / place).mkdir(parents=True)
        (tmp_path / "final" / place / "result.json").write_text(run.to_json())

    kept = [make_run("3", 0, 90), make_run("3", 1, 80), make_run(BASELINE, 0, 50)]
    for run in kept:
        put(run, f"{run.label}/seed-{run.seed}")
    put(dataclasses.replace(kept[0], study_id="another", label="4"), "4/seed-0")
    put(kept[0], "5/seed-0")  # copied to where it does not belong
    (tmp_path / "final/6/seed-0").mkdir(parents=True)
    (tmp_path / "final/6/seed-0/result.json").write_text('{"label": "6"')
    assert read_runs(StudyFiles(tmp_path), "s") == kept
    assert read_runs(StudyFiles(tmp_path / "nowhere"), "s") == []


@pytest.mark.parametrize("content", [None, b"", b"no zip"])
def test_damaged_predictions_are_none(tmp_path, content):
    if content is not None:
        (tmp_path / "predictions.npz").write_bytes(content)
    assert read_predictions(tmp_path / "predictions.npz") is None
