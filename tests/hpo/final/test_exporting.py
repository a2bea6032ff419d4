"""Final models for other runtimes, beside the original."""

import csv
import json
import shutil

import numpy as np
import pytest

from hpo.errors import BadInput, TaskFailed
from hpo.final.exporting import CALIBRATION, HEADS, ORIGINAL, Conversion, Converted, cells, convert, convert_all
from hpo.worker.session import current
from models import ModelError
from studies.finals import read_runs
from studies.paths import StudyFiles
from studies.storage import load_study


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("hpo.final.conversion.LONG_SECONDS", 0.1)


@pytest.fixture
def copied(evaluated, tmp_path):
    shutil.copytree(evaluated.out, tmp_path / "runs")
    return evaluated.model_copy(update={"out": tmp_path / "runs"})


@pytest.fixture
def study(evaluated):
    return load_study(evaluated.storage, evaluated.study_name)


@pytest.fixture
def make_job(copied, study, tmp_path):
    def make(name, digest=None, label="2"):
        files = StudyFiles(copied.study_dir)
        run = next(one for one in read_runs(files, study.user_attrs["study_id"]) if (one.label, one.seed) == (label, 0))
        original = files.run(label, 0)
        same = digest or study.user_attrs["fingerprint"]["dataset_digest"]
        path = original.model if name == ORIGINAL else tmp_path / "exported"
        return Conversion(copied, same, run, original, name, path, tmp_path / "x.progress")

    return make


def test_the_original_gives_its_own_numbers(make_job):
    job = make_job(ORIGINAL)
    found = convert(job)
    assert (found.format, found.accuracy, found.same_class) == (ORIGINAL, job.run.scores.accuracy, 1.0)
    assert found.max_difference < 1e-6
    assert found.bytes == job.run.model_bytes
    assert 0 < found.latency_ms <= found.p90_ms


@pytest.mark.slow
def test_exported_for_another_runtime(make_job):
    job = make_job("litert")
    found = convert(job)
    assert found.accuracy == pytest.approx(job.run.scores.accuracy, abs=0.003)
    assert found.max_difference < 1e-4
    assert found.bytes == job.path.stat().st_size


def test_ranges_of_int8_come_from_training_pictures(make_job, copied, monkeypatch):
    seen = []
    monkeypatch.setattr("models.export.runtimes.export", lambda *given: seen.append(given[3]))
    monkeypatch.setattr("models.export.runtimes.load", lambda *given: (lambda x: np.full((len(x), 10), 0.1), "none"))
    monkeypatch.setattr("models.export.runtimes.size", lambda path: 1)
    assert convert(make_job("litert-int8")).same_class < 1
    train = current().data(copied, 8).images[current().split(copied, 8).train]
    assert len(train) == CALIBRATION == 200
    assert np.array_equal(seen[0], train)


def test_other_pictures_than_the_study_had(make_job, copied):
    with pytest.raises(BadInput, match="digits is not what study custom_cnn-digits was made with"):
        convert(make_job(ORIGINAL, digest="d" * 64))
    job = make_job(ORIGINAL)
    np.savez(job.original.predictions, probabilities=np.ones((1, 10)), labels=np.zeros(1, int))
    with pytest.raises(BadInput, match="digits is not what study"):
        convert(job)


def test_what_goes_wrong_in_a_worker(make_job, monkeypatch):
    job = make_job("litert")
    monkeypatch.setattr("models.export.runtimes.export", _fail)
    with pytest.raises(RuntimeError, match="no such operator"):
        convert(job)
    assert not job.progress.exists()
    job.original.model.write_bytes(b"no")
    with pytest.raises(ModelError, match="not the model that it should be"):
        convert(job)


def _fail(*_):
    raise RuntimeError("no such operator")


def test_all_formats_with_files_and_table(copied, study, recorder, monkeypatch):
    made = []

    def fake(job):
        made.append((job.name, job.path.relative_to(copied.study_dir).as_posix()))
        return Converted(job.name, 0.5, 1.0, 0.0, float(len(made)), 2.0, 2**20, "a runtime")

    monkeypatch.setattr("hpo.final.exporting.convert", fake)
    found, folder = convert_all(study, copied, "2", ["litert", "savedmodel"], recorder)
    assert made == [
        ("keras", "final/2/seed-0/model.keras"),
        ("litert", "exports/trial-2/model.tflite"),
        ("savedmodel", "exports/trial-2/savedmodel"),
    ]
    assert [one.format for one in found] == ["keras", "litert", "savedmodel"]
    assert folder == copied.study_dir / "exports" / "trial-2"
    convert_all(study, copied, "2", ["litert-int8"], recorder)  # what was exported before stays in the table
    with (folder / "exports.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["format"], row["latency_ms"]) for row in rows] == [
        ("keras", "4.0"),
        ("litert", "2.0"),
        ("savedmodel", "3.0"),
        ("litert-int8", "5.0"),
    ]
    assert [row["format"] for row in json.loads((folder / "exports.json").read_text())] == [
        row["format"] for row in rows
    ]
    assert json.loads((folder / "class_names.json").read_text()) == [str(digit) for digit in range(10)]
    assert convert_all(study, copied, "baseline", ["litert"], recorder)[1].name == "baseline"


def test_one_that_fails_leaves_those_before_it(copied, study, recorder, monkeypatch):
    def fake(job):
        if job.name == "litert":
            raise MemoryError("x")
        return Converted(job.name, 0.5, 1, 0, 1, 2, 1, "r")

    monkeypatch.setattr("hpo.final.exporting.convert", fake)
    with pytest.raises(TaskFailed, match="^litert: out of memory: x$"):
        convert_all(study, copied, "2", ["savedmodel", "litert"], recorder)
    rows = json.loads((copied.study_dir / "exports" / "trial-2" / "exports.json").read_text())
    assert [row["format"] for row in rows] == ["keras", "savedmodel"]


@pytest.mark.parametrize(("label", "words"), [("1", "--trials 1"), ("baselin", ""), ("x/../2", "")])
def test_not_evaluated(copied, study, recorder, label, words):
    with pytest.raises(BadInput) as told:
        convert_all(study, copied, label, ["litert"], recorder)
    assert str(told.value).endswith(
        f"was not evaluated; first: python -m hpo.evaluate custom_cnn-digits {words}".rstrip()
    )
    assert not (copied.study_dir / "exports").exists()


def test_row():
    found = Converted("onnx", 0.97531, 1.0, 1e-6, 1.2345, 2.0, 3 * 2**20, "onnxruntime 1.31.1, CPU")
    assert dict(zip(HEADS, cells(found), strict=True)) == {
        "format": "onnx",
        "test accuracy": "0.9753",
        "same class": "1.0000",
        "latency ms (p90)": "1.23 (2)",
        "MiB": "3.00",
        "runtime": "onnxruntime 1.31.1, CPU",
    }
