"""Weights of one's own: trained, carded, and taken up again by a study's model."""

import hashlib
import json

import numpy as np
import pytest
from click.testing import CliRunner

from models.build import Task, build_base
from models.pretrain import command
from models.weights.loading import PACKAGED_WEIGHTS


@pytest.mark.slow
def test_trained_on_digits_and_loaded_again(tmp_path):
    path = tmp_path / "my.weights.h5"
    words = ["--backbone", "custom_cnn", "--dataset", "digits", "--epochs", "3", "--batch-size", "32", "--seed", "5"]
    done = CliRunner().invoke(command, [*words, "--resolution", "16", "--note", "a test", "--output", str(path)])
    assert done.exit_code == 0, done.output
    assert "epoch 3/3" in done.output
    card = json.loads((tmp_path / "my.json").read_text())
    assert card["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert card["test_accuracy"] > 0.6  # ten classes; three epochs of Keras itself end between 0.73 and 0.82
    assert (card["dataset"], card["seed"], card["note"], card["resolution"]) == ("digits", 5, "a test", 16)
    assert card["augmentation"] == "shifted by up to an eighth of the side"  # a mirrored digit is none
    assert str(tmp_path) not in (tmp_path / "my.json").read_text()
    base = build_base(Task(8, 8, 1, 10, str(path)), "custom_cnn", 16)
    other = build_base(Task(8, 8, 1, 10, "pretrained"), "custom_cnn", 16)
    assert not np.array_equal(base.get_weights()[0], other.get_weights()[0])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--backbone", "vgg20", "--output", "x.weights.h5"], "vgg19"),
        (["--dataset", "cifar11", "--output", "x.weights.h5"], "cifar10"),
        (["--output", "x.h5"], "--output must end in .weights.h5. Received: x.h5"),
        (["--output", "no/such/x.weights.h5"], "--output must be in a folder that exists"),
        (["--output", "/proc/x.weights.h5"], "--output must be in a folder that can be written to"),
        (["--epochs", "0", "--output", "x.weights.h5"], "--epochs"),
        ([], "--output"),
    ],
)
def test_wrong_values(words, said):
    done = CliRunner().invoke(command, words)
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert done.output.startswith("error: ")
    assert said in done.output


def test_the_packaged_weights_have_their_card():
    path = PACKAGED_WEIGHTS / "custom_cnn.weights.h5"
    card = json.loads((PACKAGED_WEIGHTS / "custom_cnn.json").read_text())
    assert path.stat().st_size <= 2 * 2**20
    assert card["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (card["backbone"], card["dataset"]) == ("custom_cnn", "cifar10")
    assert "JPEG copies" in card["note"]
    assert 0.8 < card["test_accuracy"] < 0.9
