"""Pictures classified by a final model: as its own test pictures were."""

import csv
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from datasets.registry import open_test
from hpo.final.prediction import models_of, pick, probabilities, to_pictures
from hpo.predict import main
from hpo.worker.pool import Workers
from models.reuse.store import picture_store
from studies.paths import StudyFiles
from studies.storage import load_study


@pytest.fixture
def call(evaluated, monkeypatch):
    """The command, in this process."""
    begin = Workers.__init__
    monkeypatch.setattr(Workers, "__init__", lambda self, _processes, *others: begin(self, 0, *others))

    def call(*words, out=None):
        places = ["--storage", evaluated.storage] + (["--out", str(out)] if out else [])
        return CliRunner().invoke(main, [evaluated.study_name, *map(str, words), *places])

    return call


@pytest.fixture
def pictures(evaluated, tmp_path):
    """Ten test pictures as files, and what the most accurate model said of them."""
    images, _ = open_test("digits", None, picture_store(evaluated.cache_dir), None)
    paths = [tmp_path / f"{number}.png" for number in range(10)]
    for path, image in zip(paths, images, strict=False):
        Image.fromarray(image[..., 0]).save(path)
    files = StudyFiles(evaluated.study_dir)
    models = models_of(load_study(evaluated.storage, evaluated.study_name), files)
    with np.load(files.run(models[0].label, 0).predictions, allow_pickle=False) as found:
        return paths, found["probabilities"][:10], models


def test_what_it_said_of_its_test_pictures(call, pictures, tmp_path):
    paths, expected, models = pictures
    done = call(*paths, "--csv", tmp_path / "new" / "found.csv")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0].startswith("custom_cnn-digits, ")
    assert lines[0].endswith(f": {models[0].accuracy:.4f} of the test pictures correct")
    for line, path, row in zip(lines[1:11], paths, expected, strict=True):
        name, said, share = line.split()
        assert (name, said, float(share)) == (str(path), str(row.argmax()), pytest.approx(row.max(), abs=1e-4))
    with (tmp_path / "new" / "found.csv").open() as file:
        table = list(csv.reader(file))
    assert table[0][:4] == ["picture", "class", "probability", "p(0)"]
    assert np.abs(np.array(table)[1:, 3:].astype(float) - expected).max() < 1e-4
    assert np.array(table)[1:, 1].tolist() == [str(row.argmax()) for row in expected]


def test_another_model_and_a_large_coloured_picture(call, evaluated, pictures, tmp_path):
    """In the middle of it is the first picture, eighty times as large."""
    (path, *_), _, models = pictures
    square = Image.open(path).resize((640, 640), Image.Resampling.BICUBIC).convert("RGB")
    wide = Image.new("RGB", (900, 640), "red")
    wide.paste(square, (130, 0))
    wide.save(tmp_path / "wide.png")
    scaled = to_pictures([tmp_path / "wide.png"], (8, 8, 1))
    small = np.asarray(square.resize((8, 8), Image.Resampling.BILINEAR).convert("L"))
    assert np.array_equal(scaled[0, :, 1:-1, 0], small[:, 1:-1])  # at the edge some red comes in, as in a data set
    done = call(tmp_path / "wide.png", "--model", "trial-2")
    assert done.exit_code == 0, done.output
    assert done.output.startswith("custom_cnn-digits, trial 2: ")
    path = StudyFiles(evaluated.study_dir).run("2", 0).model
    (expected,) = probabilities(pick(models, "trial-2").runs[0], path, scaled)
    _, said, share = done.output.splitlines()[1].split()
    assert (said, share) == (str(expected.argmax()), f"{expected.max():.4f}")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("gone.png", None, "no such file"),
        ("text.png", b"a diary", "not a JPEG, PNG, BMP or GIF picture"),
        ("folder", "folder", "not a regular file"),
    ],
)
def test_what_cannot_be_read_is_named_before_anything_is_written(call, pictures, tmp_path, name, content, reason):
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif content:
        path.write_bytes(content)
    done = call(pictures[0][0], path, "--csv", tmp_path / "found.csv")
    assert (done.exit_code, done.output) == (2, f"error: {path} cannot be read: {reason}\n")
    assert not (tmp_path / "found.csv").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Missing argument 'PICTURE...'"),
        (["x.png", "--model", "trial-7"], "--model must be one of those evaluated ("),
        (["x.png", "--csv", "."], "--csv must be a file. Received the folder ."),
        (["x.png", "--csv", "/proc/x.csv"], "cannot write to the folder /proc"),
        (["x.png", "--device", "tpu"], "--device must be auto, cpu, gpu or gpu:N"),
    ],
)
def test_mistakes_in_one_line(call, words, said):
    done = call(*words)
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert done.output.startswith("error: ")
    assert said in done.output


def test_nothing_evaluated_there(call, pictures, tmp_path):
    done = call(pictures[0][0], out=tmp_path / "other")
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert "first: python -m hpo.evaluate custom_cnn-digits" in done.output


def test_a_damaged_model(call, evaluated, pictures, tmp_path):
    shutil.copytree(evaluated.out, tmp_path / "runs")
    for path in tmp_path.rglob("model.keras"):
        path.write_bytes(b"no")
    done = call(pictures[0][0], out=tmp_path / "runs")
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert "model.keras is not the model that it should be" in done.output


def test_a_worker_that_fails(call, pictures, monkeypatch):
    def fail(run, path, pictures):
        raise MemoryError("3 GiB")

    monkeypatch.setattr("hpo.final.models.probabilities", fail)
    done = call(pictures[0][0])
    assert (done.exit_code, done.output) == (1, "error: out of memory: 3 GiB\n")


@pytest.mark.slow
def test_in_a_process_of_its_own(evaluated, pictures):
    done = CliRunner().invoke(main, [evaluated.study_name, str(pictures[0][0]), "--storage", evaluated.storage])
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[1].split()[1] == str(pictures[1][0].argmax())
