"""Files and notes beside a study, as optuna-dashboard itself finds them."""

import json

import pytest
from optuna.artifacts import FileSystemArtifactStore
from optuna.trial import TrialState

from studies.artifacts import annotate, annotate_trials, attach, attached, open_store, show
from studies.storage import open_storage, open_study
from tests.studies import dashboard


@pytest.fixture
def study(tmp_path):
    study = open_study(open_storage(f"sqlite:///{tmp_path}/s.db", write=True), "s", {"a": 1})
    for value in (0.5, 0.6):
        study.tell(study.ask(), (value, 1.0, 2.0))
    return study


@pytest.fixture
def ended(tmp_path):
    """Two trials that failed, and one that runs."""
    study = open_study(open_storage(f"sqlite:///{tmp_path}/t.db", write=True), "t", {"a": 1})
    for _ in range(2):
        trial = study.ask()
        trial.set_user_attr("failure", {"kind": "x", "reason": "out of memory"})
        study.tell(trial, state=TrialState.FAIL)
    study.ask()
    return study


def test_files_of_a_finished_trial_and_of_the_study(study, tmp_path):
    picture, page = tmp_path / "confusion.png", tmp_path / "report.html"
    picture.write_bytes(b"one")
    page.write_text("two")
    attach(study, tmp_path, picture, number=1)
    attach(study, tmp_path, page)
    assert (attached(study, 0), attached(study, 1), attached(study)) == ([], ["confusion.png"], ["report.html"])
    (found,) = dashboard.artifacts(study, 1)
    assert (found["filename"], found["mimetype"]) == ("confusion.png", "image/png")
    with open_store(tmp_path).open_reader(found["artifact_id"]) as stream:
        assert stream.read() == b"one"
    (found,) = dashboard.artifacts(study)
    assert (found["filename"], found["mimetype"]) == ("report.html", "text/html")
    assert dashboard.artifacts(study, 0) == []


def test_a_file_whose_copy_is_gone_is_kept_anew(study, tmp_path):
    picture = tmp_path / "a.png"
    picture.write_bytes(b"one")
    attach(study, tmp_path / "old", picture, number=0)
    attach(study, tmp_path / "new", picture, number=0)
    assert attached(study, 0) == ["a.png"]


def test_an_earlier_file_stays_if_the_new_one_cannot_be_written(study, tmp_path, monkeypatch):
    picture = tmp_path / "a.png"
    picture.write_bytes(b"old")
    attach(study, tmp_path, picture, number=0)

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(FileSystemArtifactStore, "write", full)
    with pytest.raises(OSError, match="no space left"):
        attach(study, tmp_path, picture, number=0)
    (found,) = dashboard.artifacts(study, 0)
    with open_store(tmp_path).open_reader(found["artifact_id"]) as stream:
        assert stream.read() == b"old"


def test_a_file_of_the_same_name_is_replaced(study, tmp_path):
    picture = tmp_path / "a.png"
    for content in (b"old", b"new"):
        picture.write_bytes(content)
        attach(study, tmp_path, picture, number=0)
    (found,) = dashboard.artifacts(study, 0)
    with open_store(tmp_path).open_reader(found["artifact_id"]) as stream:
        assert stream.read() == b"new"
    assert len(list((tmp_path / "artifacts").iterdir())) == 1


def test_notes_are_replaced(study):
    for text in ("x" * 5000, "short"):
        annotate(study, text)
        annotate(study, text, number=1)
    assert dashboard.note(study) == dashboard.note(study, 1) == "short"
    assert dashboard.note(study, 0) == ""


def test_every_trial_that_has_ended_gets_a_note_once(ended):
    study = ended
    annotate(study, "my own", number=0)
    for _ in range(2):
        annotate_trials(study)
    assert dashboard.note(study, 0) == "my own"
    assert dashboard.note(study, 1).startswith("Trial 1. It failed: out of memory.")
    assert dashboard.note(study, 2) == ""  # still runs


def test_a_note_of_ours_is_renewed(ended):
    annotate(ended, "Trial 1. It is what an earlier report said.", number=1)
    annotate_trials(ended)
    assert dashboard.note(ended, 1).startswith("Trial 1. It failed: out of memory.")


def test_figures_are_put_on_the_page(study):
    from plotly import graph_objects

    for title in ("old", "new"):
        show(study, {"hypervolume": graph_objects.Figure(layout_title_text=title)})
    found = dashboard.figures(study)
    assert list(found) == ["hypervolume"]
    assert json.loads(found["hypervolume"])["layout"]["title"]["text"] == "new"
