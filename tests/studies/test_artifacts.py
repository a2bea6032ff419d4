"""Files and notes beside a study, as optuna-dashboard itself finds them."""

import json

import optuna_dashboard.artifact._backend as dashboard
import pytest
from optuna_dashboard._note import get_note_from_system_attrs

from studies.artifacts import annotate, attach, attached, open_store, show
from studies.storage import open_storage, open_study


@pytest.fixture
def study(tmp_path):
    study = open_study(open_storage(f"sqlite:///{tmp_path}/s.db", write=True), "s", {"a": 1})
    for value in (0.5, 0.6):
        study.tell(study.ask(), (value, 1.0, 2.0))
    return study


def seen(study, number):
    """What the dashboard lists for a trial: (file name, content)."""
    storage, frozen = study._storage, study.get_trials()[number]
    attrs = storage.get_study_system_attrs(study._study_id)
    return dashboard.list_trial_artifacts(attrs, storage.get_trial_system_attrs(frozen._trial_id), frozen)


def test_files_of_a_finished_trial_and_of_the_study(study, tmp_path):
    picture, page = tmp_path / "confusion.png", tmp_path / "report.html"
    picture.write_bytes(b"one")
    page.write_text("two")
    attach(study, tmp_path, picture, number=1)
    attach(study, tmp_path, page)
    assert (attached(study, 0), attached(study, 1), attached(study)) == ([], ["confusion.png"], ["report.html"])
    (found,) = seen(study, 1)
    assert (found["filename"], found["mimetype"]) == ("confusion.png", "image/png")
    with open_store(tmp_path).open_reader(found["artifact_id"]) as stream:
        assert stream.read() == b"one"
    (found,) = dashboard.list_study_artifacts(study._storage.get_study_system_attrs(study._study_id))
    assert (found["filename"], found["mimetype"]) == ("report.html", "text/html")
    assert seen(study, 0) == []


def test_a_file_of_the_same_name_is_replaced(study, tmp_path):
    picture = tmp_path / "a.png"
    for content in (b"old", b"new"):
        picture.write_bytes(content)
        attach(study, tmp_path, picture, number=0)
    (found,) = seen(study, 0)
    with open_store(tmp_path).open_reader(found["artifact_id"]) as stream:
        assert stream.read() == b"new"
    assert len(list((tmp_path / "artifacts").iterdir())) == 1


def test_notes_are_replaced(study):
    for text in ("x" * 5000, "short"):
        annotate(study, text)
        annotate(study, text, number=1)
    attrs = study._storage.get_study_system_attrs(study._study_id)
    assert get_note_from_system_attrs(attrs, None)["body"] == "short"
    assert get_note_from_system_attrs(attrs, study.get_trials()[1]._trial_id)["body"] == "short"


def test_figures_are_put_on_the_page(study):
    from optuna_dashboard._custom_plot_data import get_plotly_graph_objects
    from plotly import graph_objects

    for title in ("old", "new"):
        show(study, {"hypervolume": graph_objects.Figure(layout_title_text=title)})
    found = get_plotly_graph_objects(study._storage.get_study_system_attrs(study._study_id))
    assert list(found) == ["hypervolume"]
    assert json.loads(found["hypervolume"])["layout"]["title"]["text"] == "new"
