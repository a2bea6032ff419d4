"""Databases, results, final models and stored features of version 0.1 still open and continue (see tests/data)."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from datasets.registry import open_test
from hpo.reporting.assemble import run_command
from hpo.study import compare_studies, load_study, run_study
from models.latency.call import machine_facts
from models.reuse.activations import ActivationStore
from models.reuse.store import picture_store
from studies.attributes import FINGERPRINT, OPTIONS
from studies.errors import StudyRefused
from studies.finals import FinalRun
from studies.outcomes import Outcome
from studies.records import State, read_trial

KEPT = Path(__file__).parent / "data" / "v0.1"
SEARCHED, FROM_SCRATCH = "custom_cnn-digits", "lenet5-digits-scratch"


@pytest.fixture
def opened(tmp_path):
    """A study of 0.1, from a copy that may be changed."""
    shutil.copytree(KEPT, tmp_path / "all")
    everything = tmp_path / "all"

    def opened(name):
        places = {"out": everything / "runs", "cache_dir": everything / "cache"}
        return load_study(name, storage=f"sqlite:///{everything}/studies.db", **places)

    return opened


def test_trials_are_what_they_were(opened):
    study = opened(SEARCHED)
    states = [record.state for record in study.records if record.counts]
    assert states == [State.COMPLETE, State.STOPPED, State.COMPLETE, State.STOPPED]
    assert [record.val_accuracy for record in study.records[:4]] == [0.3, None, 0.3, None]
    assert study.records[1].reason.startswith("stopped at epoch 2: val_accuracy 0.050 is 2nd of 2")
    assert study.best.number == 0
    assert opened(FROM_SCRATCH).records[1].candidate.optimizer == "sgd"
    assert run_command(study.optuna.user_attrs[OPTIONS], SEARCHED) == (
        "python -m hpo.run --backbone custom_cnn --dataset digits --trials 4 --epochs 4 --train-size 40 --val-size 20 "
        "--resolutions 16 --max-gflops 0.0139 --heads 1 --search optimizer --keep full "
        "--head-start random --rates one --sampler tpe --latency-runtime keras"
    )


@pytest.mark.parametrize("path", sorted(KEPT.glob("runs/*/trials/*.json")), ids=lambda path: path.name)
def test_results_are_read_and_written_back_as_they_are(path):
    assert Outcome.from_json(path.read_text()).to_json() == path.read_text()


def test_a_final_run_is_read_and_written_back_as_it_is():
    (path,) = KEPT.glob("runs/*/final/*/seed-*/result.json")
    assert FinalRun.from_json(path.read_text()).to_json() == path.read_text()


@pytest.mark.slow
def test_a_final_model_says_what_it_said(opened, monkeypatch):
    study = opened(FROM_SCRATCH)
    (model,) = study.models()
    assert (model.name, round(model.accuracy, 4)) == ("trial 1", 0.1588)
    pictures, _ = open_test("digits", None, picture_store(study.config.cache_dir), None)
    with np.load(study.files.run("1", 0).predictions, allow_pickle=False) as stored:
        expected = stored["probabilities"][:10]
    assert np.abs(model.probabilities(pictures[:10]) - expected).max() < 1e-5


def test_another_machine_is_refused(opened):
    study = opened(SEARCHED)
    study.optuna.set_user_attr(FINGERPRINT, {**study.optuna.user_attrs[FINGERPRINT], "device": "another"})
    with pytest.raises(StudyRefused, match="made with other settings: device .another then, "):
        run_study(study.config.model_copy(update={"workers": 0}))


@pytest.mark.slow
def test_it_continues_from_what_is_stored(opened):
    study = opened(SEARCHED)
    # as if this machine had made it
    study.optuna.set_user_attr(FINGERPRINT, {**study.optuna.user_attrs[FINGERPRINT], **machine_facts()})
    before, stored = study.records[:4], ActivationStore(study.config.cache_dir, 0).files.entries()
    again = run_study(study.config.model_copy(update={"trials": 6, "workers": 0}))
    told = [read_trial(trial, val_size=before[0].val_size) for trial in again.optuna.get_trials()]
    assert told[:4] == before  # but for the latencies of the front, which are measured again
    assert any(record.measured_again for record in again.records)
    assert [record.state in (State.COMPLETE, State.STOPPED) for record in again.records[4:6]] == [True, True]
    entries = ActivationStore(study.config.cache_dir, 0).files.entries()
    assert all(entry.key for entry in stored)  # of this version still
    assert {entry.path for entry in stored} <= {entry.path for entry in entries}


def test_a_report_of_it(opened):
    page = opened(FROM_SCRATCH).report(figures=False, pictures=False).read_text()
    assert "Only trial 1 was evaluated" in page


def test_its_studies_are_compared(opened, tmp_path):
    compared = compare_studies([opened(SEARCHED), opened(FROM_SCRATCH)], out=tmp_path / "out")
    assert [(row.name, row.record.number) for row in compared.rows] == [
        ("custom_cnn frozen", 0),
        ("custom_cnn customised", 2),
        ("lenet5 from scratch", 0),
    ]
    assert compared.said["What is missing"][-1] == (  # trial 1 was evaluated, which is less accurate
        "lenet5 from scratch has no test results yet: "
        "`python -m hpo.evaluate lenet5-digits-scratch --trials 0` makes them."
    )
