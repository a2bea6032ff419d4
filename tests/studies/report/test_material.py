"""What is read from the database and the files, and which models are shown."""

import optuna
import pytest

from models.candidate import Candidate
from studies.objectives import DIRECTIONS
from studies.paths import StudyFiles
from studies.records import linear_probe
from studies.report.material import read_finals, read_material, shown_models
from tests import made


def test_models_and_their_roles(make_material, curved):
    shown = shown_models(make_material(curved))
    assert [(model.name, model.roles) for model in shown] == [
        ("trial 0", ("pretrained baseline", "fastest")),
        ("trial 1", ("recommended",)),
        ("trial 2", ("most accurate",)),
    ]
    assert shown[0].title == "trial 0: pretrained baseline, fastest"


def test_evaluated_models_are_shown_too(make_material, make_record, make_finals):
    records = [make_record(n, 0.9 - n / 10, 1.0 + n, 10 + n) for n in range(3)]
    finals, *_ = make_finals(records[2:], (20,))
    shown = shown_models(make_material(records, finals=finals))
    assert [(model.name, model.roles, model.final is not None) for model in shown] == [
        ("trial 0", ("fastest", "recommended", "most accurate"), False),
        ("trial 2", (), True),
    ]


def test_nothing_complete_shows_nothing(make_material):
    material = make_material([])
    assert shown_models(material) == []
    assert material.recommendation is None and material.details == []


def test_the_baseline_is_the_best_linear_head(make_record):
    linear = Candidate(
        backbone="custom_cnn",
        unfreeze_depth=0,
        head_width=0,
        dropout=0.2,
        learning_rate=3e-3,
        lr_schedule="cosine",
        resolution=16,
    )
    records = [make_record(0, 0.9, 1, 1), *(make_record(n, 0.7, 1, 1, candidate=linear) for n in (1, 2))]
    assert linear_probe(records) is records[1]
    assert linear_probe(records[:1]) is None


def test_finals_are_read_back(tmp_path, curved, write_final):
    write_final(tmp_path, curved[:2], (20, 26))
    found = read_finals(StudyFiles(tmp_path), "id", curved)
    assert [(model.label, len(model.runs), model.search_accuracy) for model in found] == [
        ("1", 2, 0.85),
        ("baseline", 2, 0.6),
    ]
    assert read_finals(StudyFiles(tmp_path), "another", curved) == []


@pytest.mark.parametrize("content", [b"", b"no zip", b"{}"])
def test_damaged_files_are_passed_over(tmp_path, content):
    place = tmp_path / "final" / "1" / "seed-0"
    place.mkdir(parents=True)
    (place / "result.json").write_bytes(content)
    assert read_finals(StudyFiles(tmp_path), "id", []) == []


def test_a_study_in_the_database(tmp_path):
    study = optuna.create_study(directions=DIRECTIONS, study_name="s")
    study.set_user_attr("fingerprint", made.fingerprint().to_dict())
    trial = study.ask()
    trial.set_user_attr("seconds", {"train": 2.0})
    study.tell(trial, state=optuna.trial.TrialState.FAIL)
    material = read_material(study, tmp_path, "command")
    assert (material.name, material.command, len(material.records)) == ("s", "command", 1)
    assert material.phases == {0: {"train": 2.0}}
    assert material.importances.why == "importances need at least 10 complete trials; there are 0"


def test_the_baseline_is_called_by_its_weights(curved, make_material):
    material = make_material(curved, options={"weights": "somewhere/mine.weights.h5"})
    assert material.origin == "mine.weights.h5"
    assert shown_models(material)[0].roles[0] == "baseline of mine.weights.h5"
