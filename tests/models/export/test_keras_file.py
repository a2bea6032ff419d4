"""Models as files: written and read back into a network that we build."""

import dataclasses
import json
import zipfile

import keras
import numpy as np
import pytest

from models import ModelError
from models.build import Task, build_network
from models.export.keras_file import restore, save
from tests import made

HEAD = made.candidate(unfreeze_depth=1, head_width=128, dropout=0.3)
PICTURES = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), dtype=np.uint8)


def saved(candidate, path, n_classes=3, names=("a", "b", "Käse/<x>")):
    model = build_network(candidate, Task(8, 8, 1, n_classes, "none"), 7).model
    assert save(model, names, path) == path.stat().st_size
    return model.predict(PICTURES, verbose=0)


@pytest.mark.parametrize(
    "candidate",
    [
        HEAD,
        dataclasses.replace(HEAD, head_width=0, unfreeze_depth=0, batch_norm_head=True, pooling="max"),
        dataclasses.replace(HEAD, keep_blocks=2, unfreeze_depth=1),
        # with a Normalization layer
        pytest.param(dataclasses.replace(HEAD, backbone="efficientnet_b0", resolution=32), marks=pytest.mark.slow),
    ],
)
def test_back_to_the_last_bit(tmp_path, candidate):
    expected = saved(candidate, tmp_path / "model.keras")
    found = restore(candidate, (8, 8, 1), 3, tmp_path / "model.keras").predict(PICTURES, verbose=0)
    assert np.array_equal(found, expected)
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]


def test_a_file_of_version_0_2_for_two_classes_gives_both(tmp_path):
    """It gave the probability of the second class alone, and is read into a network that gives both."""
    network = build_network(HEAD, Task(8, 8, 1, 2, "none"), 7)
    alone = keras.layers.Activation("sigmoid", name="probabilities")(network.logits.output)
    model = keras.Model(network.logits.input, alone)
    save(model, ("no", "yes"), tmp_path / "model.keras")
    found = restore(HEAD, (8, 8, 1), 2, tmp_path / "model.keras").predict(PICTURES, verbose=0)
    second = model.predict(PICTURES, verbose=0)
    np.testing.assert_allclose(found, np.concatenate([1 - second, second], axis=1), atol=1e-6)


def test_class_names_are_inside(tmp_path):
    saved(HEAD, tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        assert json.loads(archive.read("class_names.json")) == ["a", "b", "Käse/<x>"]


def test_what_it_should_not_be(tmp_path):
    path = tmp_path / "model.keras"
    with pytest.raises(ModelError, match=r"model\.keras is not the model that it should be"):
        restore(HEAD, (8, 8, 1), 3, path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x", "")
    with pytest.raises(ModelError, match=r"model\.keras is not the model that it should be"):
        restore(HEAD, (8, 8, 1), 3, path)
    path.write_bytes(b"PK\x03\x04 half of it")
    with pytest.raises(ModelError, match=r"model\.keras is not the model that it should be"):
        restore(HEAD, (8, 8, 1), 3, path)
    saved(HEAD, path)
    for candidate, classes in ((dataclasses.replace(HEAD, head_width=256), 3), (HEAD, 4)):
        with pytest.raises(ModelError, match=r"model\.keras is not the model that it should be"):
            restore(candidate, (8, 8, 1), classes, path)
