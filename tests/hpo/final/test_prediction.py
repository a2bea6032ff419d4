"""Final models as an evaluation left them."""

import numpy as np
import pytest

from datasets.registry import open_test
from hpo.errors import BadInput
from hpo.final.prediction import folder_of, models_of, path_of, pick, probabilities
from models import ModelError
from models.reuse.store import picture_store
from studies.storage import load_study


@pytest.fixture
def study(evaluated):
    return load_study(evaluated.storage, evaluated.study_name)


@pytest.fixture
def models(evaluated, study):
    return models_of(study, evaluated.study_dir)


def test_folder_is_where_the_study_put_it(evaluated, study, tmp_path):
    assert folder_of(study, None) == evaluated.study_dir
    assert folder_of(study, tmp_path) == tmp_path / "custom_cnn-digits"


def test_models_best_first(models, study):
    assert {model.label for model in models} == {"0", "2", "baseline"}
    assert [model.accuracy for model in models] == sorted((model.accuracy for model in models), reverse=True)
    searched = {model.label: model.search_accuracy for model in models}
    assert searched == {"0": study.trials[0].values[0], "2": study.trials[2].values[0], "baseline": None}


def test_choice_by_name(models):
    assert pick(models, None) == models[0].runs[0]
    for name, label in (("2", "2"), ("trial-2", "2"), ("baseline", "baseline")):
        run = pick(models, name)
        assert (run.label, run.seed) == (label, 0)


@pytest.mark.parametrize("name", ["1", "trial-9", "trial-baseline", "trial 2", "", "../2"])
def test_choice_that_is_not_there(models, name):
    with pytest.raises(BadInput, match=r"--model must be one of those evaluated \(.*trial-2.*\). Received: "):
        pick(models, name)


def test_nothing_evaluated(study, tmp_path):
    with pytest.raises(BadInput, match="has no final models in .*; first: python -m hpo.evaluate custom_cnn-digits"):
        models_of(study, tmp_path)


def test_they_say_what_they_said_of_the_test_pictures(evaluated, models):
    run = pick(models, "2")
    path = path_of(evaluated.study_dir, run)
    images, _ = open_test("digits", None, picture_store(evaluated.cache_dir), None)
    with np.load(path.with_name("predictions.npz"), allow_pickle=False) as kept:
        assert np.abs(probabilities(run, path, images) - kept["probabilities"]).max() < 1e-6


def test_a_damaged_file(evaluated, models, tmp_path):
    (tmp_path / "model.keras").write_bytes(b"no")
    with pytest.raises(ModelError, match="is not the model that it should be"):
        probabilities(pick(models, "2"), tmp_path / "model.keras", np.zeros((1, 8, 8, 1), np.uint8))


def test_what_the_backend_says_is_a_text(evaluated, models):
    run = pick(models, "2")
    found = probabilities(run, path_of(evaluated.study_dir, run), np.zeros((1, 9, 9, 3), np.uint8))
    assert isinstance(found, str)
