"""Pictures of real data, and what is said where they cannot be made."""

import dataclasses
import io
import json
import zipfile

import keras
import numpy as np
import pytest
from PIL import Image

from datasets.registry import open_dataset, open_test
from hpo.reporting.pictures import PANEL, gallery, png
from models.build import Task, build_network
from models.reuse.store import picture_store
from models.saliency import Looks
from studies.finals import FinalRun, Predictions, summarise
from studies.paths import StudyFiles
from studies.records import CompleteTrial
from studies.report.detail import ModelFile
from studies.report.material import Material
from studies.scores import score
from tests import made

CANDIDATE = made.candidate(dropout=0.2)


@pytest.fixture
def config(configure):
    return configure(dataset="digits", resolutions=(16,))


@pytest.fixture
def material(config):
    data = open_dataset("digits", None, picture_store(config.cache_dir), 16)
    record = CompleteTrial(
        number=0,
        candidate=CANDIDATE,
        val_accuracy=0.9,
        best_epoch=1,
        trainable_parameters=10,
        measurement=made.measurement(),
    )
    fingerprint = made.fingerprint(space={"resolution": [16]}, dataset_digest=data.digest)
    return Material("s", fingerprint, [record])


@pytest.fixture
def evaluated(material, config, tmp_path):
    """A network with random weights, saved and tested as `hpo.evaluate` does it."""
    images, labels = open_test("digits", None, picture_store(config.cache_dir), 16)
    network = build_network(CANDIDATE, Task(8, 8, 1, 10, "none"), 0)
    shares = keras.ops.convert_to_numpy(network.model(images, training=False))
    place = tmp_path / "final" / "0" / "seed-0"
    place.mkdir(parents=True)
    network.model.save(place / "model.keras")
    with zipfile.ZipFile(place / "model.keras", "a") as archive:
        archive.writestr("class_names.json", json.dumps([str(n) for n in range(10)]))
    run = FinalRun("id", "0", 0, CANDIDATE, 1, 10, [], score(shares, labels), made.final_costs(), 1, {}, 1.0, {})
    return dataclasses.replace(
        material,
        finals=summarise([run], {"0": 0.9}),
        files=StudyFiles(tmp_path),
        model_files={"0": ModelFile(tuple(str(n) for n in range(10)), predictions=Predictions(shares, labels))},
    )


def opened(picture):
    return np.asarray(Image.open(io.BytesIO(picture.png)))


def test_samples_and_classes(material, config):
    found, missing = gallery(material, config)
    assert missing == []
    assert (len(found.samples), len(found.counts), found.class_names[3]) == (10, 10, "3")
    assert found.samples_note == (
        "Samples of each class, drawn with a fixed seed from the pictures that are not test pictures."
    )
    assert all(picture.alt == f"8 pictures of {picture.caption}" for picture in found.samples)
    assert found.models == {}


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf-keras-vis needs TensorFlow")
def test_mistakes_and_where_the_model_looks(evaluated, config):
    found, missing = gallery(evaluated, config)
    assert missing == []
    shown = found.models["0"]
    images, _ = open_test("digits", None, picture_store(config.cache_dir), 16)
    place = int(shown.mistakes[0].alt.split()[2].rstrip(":"))
    np.testing.assert_array_equal(opened(shown.mistakes[0]), images[place, ..., 0])
    assert "taken for" in shown.mistakes[0].caption
    n_right = sum(picture.caption.startswith("correct: ") for picture in shown.saliency)
    n_wrong = sum(picture.caption.startswith("wrong: ") for picture in shown.saliency)
    predictions = evaluated.model_files["0"].predictions
    right = predictions.labels[predictions.probabilities.argmax(1) == predictions.labels]
    assert (n_right, n_wrong) == (len(set(right.tolist())), 4)  # one of every class that has one
    assert opened(shown.saliency[0]).shape == (PANEL, 3 * PANEL + 12, 3)
    assert shown.saliency_note.startswith("What trial 0 (recommended and most accurate in the search) looks at")


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf-keras-vis needs TensorFlow")
def test_an_empty_map_says_why(evaluated, config, monkeypatch):
    def nothing(network, images, classes):
        maps = np.zeros((len(images), 16, 16), "float32")
        return Looks(maps, maps + 0.5, "conv", 4)

    monkeypatch.setattr("models.saliency.looks", nothing)
    found, _ = gallery(evaluated, config)
    assert found.models["0"].saliency
    for picture in found.models["0"].saliency:
        assert picture.caption.endswith("sure; Grad-CAM is empty: no cell of its map speaks for this class")


def test_another_backend_leaves_them_out(evaluated, config, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    found, missing = gallery(evaluated, config)
    assert missing == ["Grad-CAM and saliency: Grad-CAM needs the tensorflow backend, this is jax"]
    assert found.models["0"].mistakes and not found.models["0"].saliency


def test_other_data_is_not_shown(material, evaluated, config):
    odd = dataclasses.replace(
        material, fingerprint=made.fingerprint(space={"resolution": [16]}, dataset_digest="e" * 64)
    )
    found, missing = gallery(odd, config)
    assert found.samples == ()
    assert missing == ["pictures of the data: the data here is not what study s was made with"]
    kept = evaluated.model_files["0"].predictions
    file = ModelFile(predictions=Predictions(kept.probabilities, kept.labels[::-1]))
    found, missing = gallery(dataclasses.replace(evaluated, model_files={"0": file}), config)
    assert found.samples and not found.models
    assert missing == ["test pictures: they are not those that the models were tested on"]


def test_grey_and_colour():
    assert np.asarray(Image.open(io.BytesIO(png(np.zeros((4, 5, 1), np.uint8))))).shape == (4, 5)
    assert np.asarray(Image.open(io.BytesIO(png(np.zeros((4, 5, 3), np.uint8))))).shape == (4, 5, 3)
