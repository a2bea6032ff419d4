"""Final results: as files, and over the runs of a model, against numbers by hand."""

import dataclasses

import numpy as np
import pytest

from models.candidate import Candidate
from studies.finals import FinalRun, read_runs, summarise
from studies.paths import BASELINE, StudyFiles
from studies.scores import accuracy_interval, score
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
    assert best.interval == accuracy_interval([0.90, 0.92], 100)
    assert (least.search_accuracy, least.gap) == (None, None)
    assert best.costs == made.final_costs()
    assert best.mean("macro_f1") == pytest.approx(np.mean([run.scores.macro_f1 for run in best.runs]))
    assert best.mean("top5_accuracy") is None
    assert best.confusion().tolist() == [[91, 9], [9, 91]]


@pytest.mark.parametrize(("right", "tied"), [(600, True), (580, True), (500, False)])
def test_ties_are_intervals_that_overlap(make_run, right, tied):
    """One run of a thousand pictures: half widths of 0.03."""
    models = summarise([make_run("1", 0, 600, 1000), make_run("2", 0, right, 1000)], {})
    assert [model.tied for model in models] == [True, tied]


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
