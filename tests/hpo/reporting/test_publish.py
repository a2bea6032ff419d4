"""A report's figures and pictures in the study, as optuna-dashboard finds them."""

import pytest
from plotly import graph_objects

from hpo.reporting.publish import headed, publish
from studies.artifacts import attached
from studies.report.blocks import Chapter, Chart, Charts, Picture, Section
from studies.report.gallery import Gallery, ModelPictures
from studies.storage import database_lock, load_study
from tests.studies import dashboard


def chart(name):
    return Chart(name, "caption", "alt", graph_objects.Figure(layout_title_text=name))


LOOKS = ModelPictures(saliency=(Picture(b"one", "alt", "caption"), Picture(b"two", "alt", "caption")))
CHAPTER = Chapter(
    "",
    "title",
    (Section("front", "Front", (chart("front"), Charts((chart("a"), chart("b"))))),),
)


@pytest.mark.parametrize(("chosen", "of_trial", "of_study"), [("1", 2, 0), ("baseline", 0, 2)])
def test_figures_and_looks_are_kept_once(configure, chosen, of_trial, of_study, fakes):
    config = configure(trials=2)
    fakes.run(config)
    study = load_study(config.storage, config.study_name)
    for _ in range(2):
        assert publish(study, CHAPTER, Gallery(models={chosen: LOOKS}), config.storage, config.out) == ""
    assert set(dashboard.figures(study)) == {"front", "a", "b"}
    names = ["grad-cam-1.png", "grad-cam-2.png"]
    assert (attached(study, 1), attached(study)) == (names[:of_trial], names[:of_study])


@pytest.mark.parametrize(
    ("caption", "title"),
    [
        ("Accuracy against latency; the band is the front's. 3 trials.", "Accuracy against latency"),
        ("Test accuracy (%) of each model. Lines are intervals.", "Test accuracy (%) of each model"),
        ("Hypervolume over trials.", "Hypervolume over trials"),
        ("Confusion matrix of <b>, percent", "Confusion matrix of &lt;b&gt;"),
    ],
)
def test_a_figure_is_headed_by_the_beginning_of_its_caption(caption, title):
    one = Chart("a", caption, "alt", graph_objects.Figure())
    assert (headed(one).layout.title.text, one.figure.layout.title.text) == (title, None)


def test_a_database_in_use_is_left_alone(configure, fakes):
    config = configure(trials=1)
    fakes.run(config)
    study = load_study(config.storage, config.study_name)
    with database_lock(config.storage, "other"):
        why = publish(study, CHAPTER, Gallery(), config.storage, config.out)
    assert why.startswith("figures in the dashboard: ")
    assert "is in use" in why
    assert attached(study) == []
