"""A chosen model's final training: against training the whole network, scikit-learn, and Keras without this project."""

import dataclasses
import json
import os
import subprocess
import sys
import textwrap
import zipfile

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn import metrics

from datasets import DataError
from datasets.registry import open_dataset, open_test
from datasets.splits import split
from hpo.final.conversion import Conversion, convert
from hpo.final.prediction import probabilities, to_pictures
from hpo.final.training import FinalJob, classify, look, throughput, train_final
from hpo.worker.job import Job
from hpo.worker.session import prepare
from models import ModelError
from models.build import Task, build_network
from models.reuse.store import picture_store
from models.training.batches import Examples
from models.training.recipe import Recipe
from models.training.trainer import train
from studies.finals import FinalRun
from studies.forms import AS_TRAINED
from studies.overlap import Overlap
from studies.paths import RunFiles
from tests import made

TAIL = made.candidate(unfreeze_depth=1, head_width=128, dropout=0.3, learning_rate=3e-3, lr_schedule="cosine")


@pytest.fixture
def finish(tmp_path, monkeypatch):
    """Runs of a candidate: the result, and the folder it lies in."""
    monkeypatch.setattr("hpo.final.training.LONG_SECONDS", 0.1)
    monkeypatch.setattr("hpo.final.conversion.LONG_SECONDS", 0.1)

    def finish(config, candidate, seed=0, epochs=2, plateaus=(), measure=False):
        job = Job(config, "id", 3, candidate, prepare(config), tmp_path / "final")
        final = FinalJob(job, "3", seed, epochs, plateaus, measure)
        train_final(final)
        return FinalRun.from_json(final.files.result.read_text()), final.files.folder

    return finish


@pytest.mark.slow
def test_scores_are_those_of_the_predictions_kept(small, finish):
    run, folder = finish(small, TAIL, measure=True)
    with np.load(folder / "predictions.npz", allow_pickle=False) as kept:
        probabilities, labels = kept["probabilities"], kept["labels"]
    images, expected = open_test("digits", None, picture_store(small.cache_dir), None)
    assert labels.tolist() == expected.tolist()
    assert probabilities.shape == (len(images), 10)
    predicted = probabilities.argmax(1)
    assert run.scores.accuracy == metrics.accuracy_score(expected, predicted)
    assert run.scores.macro_f1 == pytest.approx(metrics.f1_score(expected, predicted, average="macro"))
    assert run.scores.confusion == metrics.confusion_matrix(expected, predicted).tolist()
    assert (run.n_train, run.epochs, run.seed, run.label) == (300, 2, 0, "3")
    assert [point["val_accuracy"] for point in run.curve] == [None, None]
    assert run.shape == [8, 8, 1]
    assert run.model_bytes == (folder / "model.keras").stat().st_size
    assert run.costs.flops == 2 * run.costs.macs > 0
    assert 0 < run.costs.latency.median_ms <= run.costs.latency.p90_ms <= run.costs.latency.p99_ms
    assert set(run.costs.throughput) == {"32", "256"}
    assert run.costs.throughput["256"] > 0
    assert set(run.seconds) == {"prepare", "train", "measure", "test"}


@pytest.mark.slow
def test_it_is_training_the_whole_network_on_all_development_pictures(small, finish):
    """Stored features are float16, so a few pictures may fall on the other side."""
    run, folder = finish(small, TAIL, seed=5)
    data = open_dataset("digits", None, picture_store(small.cache_dir), None)
    parts = split(data.labels, train_size=200, val_size=100, seed=0)
    rows = np.sort(np.concatenate([parts.train, parts.val]))
    network = build_network(TAIL, Task(8, 8, 1, 10, "pretrained"), 5)
    recipe = Recipe(3e-3, "cosine", 2, 32, 5, 0.3)
    train(network, Examples(data.images, data.labels, rows), Examples(data.images, data.labels, rows[:0]), recipe)
    images, labels = open_test("digits", None, picture_store(small.cache_dir), None)
    expected = network.model.predict(images, verbose=0)
    with np.load(folder / "predictions.npz", allow_pickle=False) as kept:
        assert np.abs(kept["probabilities"] - expected).max() < 0.02
    assert run.scores.accuracy == pytest.approx((expected.argmax(1) == labels).mean(), abs=0.01)


@pytest.mark.slow
def test_the_file_needs_nothing_of_this_project(small, finish, tmp_path):
    _, folder = finish(small, TAIL)
    np.savez(tmp_path / "pictures.npz", pictures=open_test("digits", None, picture_store(small.cache_dir), None)[0])
    script = textwrap.dedent(f"""
        import sys, keras, numpy as np
        model = keras.saving.load_model({str(folder / "model.keras")!r})
        pictures = np.load({str(tmp_path / "pictures.npz")!r})["pictures"]
        assert pictures.dtype == np.uint8
        np.save({str(tmp_path / "found.npy")!r}, model.predict(pictures, verbose=0))
        assert not {{"hpo", "models", "datasets", "studies"}} & set(sys.modules)
    """)
    subprocess.run([sys.executable, "-P", "-c", script], check=True, cwd=tmp_path, env=_without_project())
    with np.load(folder / "predictions.npz", allow_pickle=False) as kept:
        assert np.abs(np.load(tmp_path / "found.npy") - kept["probabilities"]).max() < 1e-5
    with zipfile.ZipFile(folder / "model.keras") as archive:
        assert json.loads(archive.read("class_names.json")) == [str(digit) for digit in range(10)]


def _without_project():
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}


@pytest.mark.slow
def test_same_seed_same_model_and_another_seed_another(small, finish):
    first, again, other = (finish(small, TAIL, seed)[0].scores for seed in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.slow
def test_fewer_epochs_follow_the_schedule_of_the_search(small, finish):
    four = small.model_copy(update={"epochs": 4})
    short, long = (finish(four, TAIL, epochs=epochs)[0].curve for epochs in (2, 4))
    assert short == long[:2]


def test_plateaus_are_repeated(small, finish):
    candidate = dataclasses.replace(TAIL, lr_schedule="reduce_on_plateau")
    run, _ = finish(small, candidate, plateaus=(1.0, 0.25))
    assert [point["learning_rate"] for point in run.curve] == pytest.approx([3e-3, 0.75e-3])


def test_two_classes_have_two_probabilities(configure, finish):
    config = configure(dataset="digits:3,8", train_size=60, val_size=20, resolutions=(16,))
    run, folder = finish(config, dataclasses.replace(TAIL, unfreeze_depth=0))
    with np.load(folder / "predictions.npz", allow_pickle=False) as kept:
        assert kept["probabilities"].shape == (len(kept["labels"]), 2)
        assert kept["probabilities"].sum(1) == pytest.approx(1)
    assert run.class_names == ["3", "8"]
    plain = keras.saving.load_model(folder / "model.keras")  # as anyone would
    assert plain.output_shape == (None, 2)


def test_what_goes_wrong_leaves_no_result(small, tmp_path):
    job = Job(small, "id", 3, dataclasses.replace(TAIL, unfreeze_depth=9), prepare(small), tmp_path)
    final = FinalJob(job, "3", 0, 2, (), True)
    with pytest.raises(ModelError, match="unfreeze depth must be 0 to 4"):
        train_final(final)
    assert not final.files.result.exists()
    assert not job.files.progress.exists()


def test_left_overs_of_a_kill_go(small, finish, tmp_path):
    folder = tmp_path / "final" / "3" / "seed-0"
    folder.mkdir(parents=True)
    (folder / ".123.model.keras").write_text("half")
    finish(small, TAIL)
    assert {path.name for path in folder.iterdir()} == {"model.keras", "predictions.npz", "result.json"}


def test_no_test_pictures_is_said_before_training(configure, tmp_path):
    for part in ("train/a", "train/b", "val/a", "val/b"):
        (tmp_path / "pictures" / part).mkdir(parents=True)
        for number in range(3):
            colour = (70 * number, 200 if part.endswith("a") else 0, 60 if part.startswith("t") else 0)
            Image.new("RGB", (16, 16), colour).save(tmp_path / "pictures" / part / f"{number}.png")
    config = configure(dataset=str(tmp_path / "pictures"), resolutions=(16,))
    with pytest.raises(DataError, match="has no test split"):
        look(config)


def test_test_pictures_that_are_trained_on_are_counted(configure, tmp_path):
    for part, first, number in (("train/a", 0, 5), ("train/b", 100, 5), ("test/a", 3, 4), ("test/b", 200, 1)):
        folder = tmp_path / "pictures" / part
        folder.mkdir(parents=True)
        for index in range(number):
            Image.new("RGB", (16, 16), (first + index, 0, 0)).save(folder / f"{index}.png")
    config = configure(dataset=str(tmp_path / "pictures"), resolutions=(16,))
    facts, overlap = look(config)
    assert (facts.n_train + facts.n_val, overlap) == (10, Overlap(2, 5))


def test_a_model_of_a_folder_takes_pictures_of_the_side_that_it_sees(configure, finish, tmp_path):
    for part, number in (("train", 12), ("test", 3)):
        for name, grey in (("dark", 40), ("light", 200)):
            folder = tmp_path / "pictures" / part / name
            folder.mkdir(parents=True)
            for index in range(number):
                Image.new("RGB", (50, 40), (grey, grey + index, number)).save(folder / f"{index}.png")
    config = configure(dataset=str(tmp_path / "pictures"), resolutions=(16, 32))
    run, folder = finish(config, dataclasses.replace(TAIL, head_width=0, batch_size=4))
    assert (run.shape, run.scores.accuracy) == ([16, 16, 3], 1.0)
    prepared = to_pictures([tmp_path / "pictures" / "test" / name / "0.png" for name in ("dark", "light")], run.shape)
    assert prepared.shape == (2, 16, 16, 3)
    assert probabilities(run, folder / "model.keras", prepared).argmax(1).tolist() == [0, 1]
    digest, files = prepare(config).dataset_digest, RunFiles(folder)  # of the pictures at the largest side
    same = convert(Conversion(config, digest, 32, run, files, AS_TRAINED, files.model, tmp_path / "x.progress"))
    assert (same.accuracy, same.max_difference < 1e-6) == (1.0, True)


@pytest.mark.parametrize(
    ("one", "seconds", "expected"),
    [
        (0.01, {32: 0.16, 256: 0.64}, {"32": 200.0, "256": 400.0}),
        (0.1, {32: 3.2}, {"32": 10.0, "256": None}),  # 256 would take 25.6 s
        (0.4, {}, {"32": None, "256": None}),
        (0.01, {32: 0.16, 256: MemoryError()}, {"32": 200.0, "256": None}),
    ],
)
def test_throughput_of_what_does_not_take_for_ever(one, seconds, expected):
    def seconds_of(batch):
        if isinstance(seconds[batch], Exception):
            raise seconds[batch]
        return seconds[batch]

    assert throughput(seconds_of, one) == expected


def test_throughput_hides_no_other_error():
    with pytest.raises(KeyError):
        throughput({}.__getitem__, 0.01)


def test_batches_of_one_size_whatever_the_number_of_pictures():
    seen = []

    def run(batch):
        seen.append(len(batch))
        return np.stack([batch[:, 0], 1 - batch[:, 0]], axis=1)

    pictures = np.random.default_rng(0).random((300, 4))
    assert np.array_equal(classify(run, pictures)[:, 0], pictures[:, 0])
    assert seen == [128, 128, 128]
