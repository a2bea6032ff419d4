"""Final models as an evaluation left them."""

import numpy as np
import pytest
from PIL import Image

from datasets.registry import open_test
from hpo.errors import BadInput
from hpo.final.prediction import models_of, pick, probabilities, to_pictures, to_predictions
from models import ModelError
from models.reuse.store import picture_store
from studies.paths import StudyFiles
from studies.storage import load_study


@pytest.fixture
def study(evaluated):
    return load_study(evaluated.storage, evaluated.study_name)


@pytest.fixture
def models(evaluated, study):
    return models_of(study, StudyFiles(evaluated.study_dir))


def test_models_best_first(models, study):
    assert {model.label for model in models} == {"0", "2", "baseline"}
    assert [model.accuracy for model in models] == sorted((model.accuracy for model in models), reverse=True)
    searched = {model.label: model.search_accuracy for model in models}
    assert searched == {"0": study.trials[0].values[0], "2": study.trials[2].values[0], "baseline": None}


def test_choice_by_name(models):
    assert pick(models, None) is models[0]
    for name, label in (("2", "2"), ("trial-2", "2"), ("baseline", "baseline")):
        assert pick(models, name).label == label


@pytest.mark.parametrize("name", ["1", "trial-9", "trial-baseline", "trial 2", "", "../2"])
def test_choice_that_is_not_there(models, name):
    with pytest.raises(BadInput, match=r"^model must be one of those evaluated \(.*trial-2.*\). Received: "):
        pick(models, name)


def test_nothing_evaluated(study, tmp_path):
    with pytest.raises(BadInput, match="has no final models in .*; first: python -m hpo.evaluate custom_cnn-digits"):
        models_of(study, StudyFiles(tmp_path))


def test_they_say_what_they_said_of_the_test_pictures(evaluated, models):
    files = StudyFiles(evaluated.study_dir).run("2", 0)
    images, _ = open_test("digits", None, picture_store(evaluated.cache_dir), None)
    with np.load(files.predictions, allow_pickle=False) as stored:
        shares = probabilities(pick(models, "2").runs[0], files.model, images)
        assert np.abs(shares - stored["probabilities"]).max() < 1e-6


def test_a_damaged_file(models, tmp_path):
    (tmp_path / "model.keras").write_bytes(b"no")
    with pytest.raises(ModelError, match="is not the model that it should be"):
        probabilities(pick(models, "2").runs[0], tmp_path / "model.keras", np.zeros((1, 8, 8, 1), np.uint8))


def test_predictions_name_their_classes():
    first, second = to_predictions(np.array([[0.25, 0.75], [0.5, 0.5]]), ["cat", "dog"])
    assert (first.label, first.probability, first.probabilities) == ("dog", 0.75, {"cat": 0.25, "dog": 0.75})
    assert second.label == "cat"  # the first of equals


def test_files_images_and_arrays_are_one_picture(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    given = [tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(pixels), pixels]
    assert (to_pictures(given, (8, 8, 3)) == pixels).all()
    grey = pixels[..., :1]
    assert (to_pictures([grey, grey[..., 0]], (8, 8, 1)) == grey).all()


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (np.zeros((8, 8, 3)), r"picture 0 must be a file, a PIL image or an array .* Received: float64 \(8, 8, 3\)"),
        (np.zeros((2, 8, 8, 3), np.uint8), r"Received: uint8 \(2, 8, 8, 3\)"),
        ("nothing.png", "nothing.png cannot be read: no such file"),
    ],
)
def test_what_is_no_picture(picture, said):
    with pytest.raises(BadInput, match=said):
        to_pictures([picture], (8, 8, 3))


def test_reading_stops_at_the_first(tmp_path):
    with pytest.raises(BadInput, match="a b.png cannot be read"):
        to_pictures([tmp_path / "a b.png", tmp_path / "c.png"], (8, 8, 3))
