"""Which forms are made, which are there already, and what is kept. The worker's part is played."""

import csv
import dataclasses
import importlib.util
import json

import pytest

from hpo.errors import BadField, BadInput, TaskFailed
from hpo.final.exporting import check_formats, convert_all, make_forms
from models import ModelError
from models.export.formats import DEPLOYED
from models.latency.runtimes import RUNTIMES
from studies.finals import read_runs
from studies.forms import digest_of, read_forms
from studies.paths import StudyFiles
from tests import made

NO_ONNX = importlib.util.find_spec("onnxruntime") is None
needs_onnx = pytest.mark.skipif(NO_ONNX, reason="the extra onnx is not installed")


@pytest.fixture
def runs(copied, study):
    runs = read_runs(StudyFiles(copied.study_dir), study.user_attrs["study_id"])
    return {run.label: run for run in runs if run.seed == 0}


class Played:
    """Writes a byte for each form, and measures milliseconds that rise from form to form."""

    def __init__(self):
        self.made, self.timed, self.failing = [], [], {}

    def convert(self, job):
        if error := self.failing.get(job.name):
            raise error
        self.made.append((job.run.label, job.name))
        if job.name in DEPLOYED:
            job.path.parent.mkdir(parents=True, exist_ok=True)
            job.path.write_bytes(b"1")
        latency = None if job.name in DEPLOYED else made.latency(float(len(self.made)))
        about = {"study_id": job.run.study_id, "label": job.run.label, "run": digest_of(job.run)}
        return made.form(job.name, None, **about, bytes=1, latency=latency)

    def time_files(self, job):
        if error := self.failing.get(job.runtime + " latency"):
            raise error
        self.timed.append([path.name for path in job.paths])
        backend = RUNTIMES[job.runtime].full_name
        return [(made.deployed_latency(float(ms + 1), backend=backend), None) for ms in range(len(job.paths))]


@pytest.fixture
def played(monkeypatch):
    played = Played()
    monkeypatch.setattr("hpo.final.exporting.convert", played.convert)
    monkeypatch.setattr("hpo.final.exporting.time_files", played.time_files)
    return played


def test_names_are_checked(monkeypatch):
    assert check_formats(["litert", "litert-int8", "litert"], DEPLOYED, "runtimes") == ("litert", "litert-int8")
    assert check_formats([], DEPLOYED, "runtimes") == ()
    for name, shown in (("savedmodel", "savedmodel"), ("", "nothing")):
        with pytest.raises(BadField, match=f"^runtimes must be one of litert, litert-int8, onnx. Received: {shown}$"):
            check_formats(["litert", name], DEPLOYED, "runtimes")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadField, match=r"^runtimes onnx needs the extra onnx \(onnx, onnxruntime, tf2onnx not"):
        check_formats(["onnx"], DEPLOYED, "runtimes")


@needs_onnx
def test_all_formats_with_files_and_table(copied, study, recorder, played):
    found, folder = convert_all(study, copied, "2", ["litert", "savedmodel", "litert-int8"], recorder)
    assert played.made == [("2", "keras"), ("2", "litert"), ("2", "savedmodel"), ("2", "litert-int8")]
    assert played.timed == [["model.tflite", "model-int8.tflite"]]
    assert [(one.format, one.latency_ms) for one in found] == [
        ("keras", 1.0),
        ("litert", 1.0),
        ("savedmodel", 3.0),
        ("litert-int8", 2.0),
    ]
    assert [one.latency.dtype for one in found] == ["float32", "float32", "float32", "int8"]
    assert folder == copied.study_dir / "exports" / "trial-2"
    convert_all(study, copied, "2", ["onnx"], recorder)  # what was exported before stays in the table
    with (folder / "exports.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["format"], row["measured_in"]) for row in rows] == [
        ("keras", "Keras"),
        ("litert", "LiteRT, 1 thread"),
        ("savedmodel", "Keras"),
        ("litert-int8", "LiteRT, 1 thread"),
        ("onnx", "ONNX Runtime, 1 thread"),
    ]
    assert [row["format"] for row in json.loads((folder / "exports.json").read_text())] == [
        row["format"] for row in rows
    ]
    assert json.loads((folder / "class_names.json").read_text()) == [str(digit) for digit in range(10)]
    assert convert_all(study, copied, "baseline", ["litert"], recorder)[1].name == "baseline"


def test_one_that_fails_leaves_those_before_it(copied, study, recorder, played):
    played.failing["litert"] = MemoryError("x")
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


@needs_onnx
def test_forms_of_all_models_and_nothing_twice(copied, study, runs, recorder, played):
    names, chosen = ("litert", "litert-int8", "onnx"), [runs["2"], runs["baseline"]]
    assert make_forms(study, copied, chosen, names, recorder) == []
    everything = [(label, name) for label in ("2", "baseline") for name in names]
    assert played.made == everything
    assert played.timed == [["model.tflite", "model-int8.tflite"], ["model.onnx"]] * 2
    path = StudyFiles(copied.study_dir).forms("2")
    before = path.read_text()
    assert make_forms(study, copied, chosen, names, recorder) == []
    assert (played.made, path.read_text()) == (everything, before)
    assert recorder.notes[-1].endswith("baseline as onnx: test accuracy 0.9000, done before")


def test_what_is_not_as_it_was_is_made_again(copied, study, runs, recorder, played):
    run, files = runs["2"], StudyFiles(copied.study_dir)
    make_forms(study, copied, [run], ("litert", "onnx"), recorder)
    (files.exports("2") / "model.onnx").write_bytes(b"another size")
    make_forms(study, copied, [run], ("litert", "onnx"), recorder)
    assert played.made[2:] == [("2", "onnx")]
    again = dataclasses.replace(run, peak_memory_mib=7.0)  # trained again
    make_forms(study, copied, [again], ("litert",), recorder)
    assert played.made[3:] == [("2", "litert")]
    assert [form.format for form in read_forms(files.forms("2"), again)] == ["litert"]


def test_with_other_threads_only_the_latency_is_measured_again(copied, study, runs, recorder, played):
    make_forms(study, copied, [runs["2"]], ("litert",), recorder)
    make_forms(study, copied.model_copy(update={"latency_threads": 2}), [runs["2"]], ("litert",), recorder)
    assert (played.made, played.timed) == ([("2", "litert")], [["model.tflite"]] * 2)


@needs_onnx
def test_forms_that_fail_are_named_and_the_others_kept(copied, study, runs, recorder, played):
    played.failing = {"litert": RuntimeError("no such operator"), "onnx latency": ModelError("it hangs")}
    found = make_forms(study, copied, [runs["2"]], ("litert", "litert-int8", "onnx"), recorder)
    assert found == [
        "[1/1] trial 2 as litert: RuntimeError: no such operator",
        "[1/1] trial 2 as litert-int8, onnx: it hangs",
    ]
    assert recorder.notes[-2:] == found
    kept = {form.format: form.deployed for form in read_forms(StudyFiles(copied.study_dir).forms("2"), runs["2"])}
    assert kept == {"litert-int8": True, "onnx": False}
    played.failing = {}
    made_before = len(played.made)
    assert make_forms(study, copied, [runs["2"]], ("litert", "litert-int8", "onnx"), recorder) == []
    assert played.made[made_before:] == [("2", "litert")]  # onnx was tested, and is only measured


def test_what_a_killed_run_left_is_removed(copied, study, runs, recorder, played):
    folder = StudyFiles(copied.study_dir).exports("2")
    (folder / ".7.savedmodel").mkdir(parents=True)
    (folder / ".7.model.tflite").write_bytes(b"half")
    make_forms(study, copied, [runs["2"]], ("litert",), recorder)
    assert {path.name for path in folder.iterdir()} == {
        "model.tflite",
        "exports.json",
        "exports.csv",
        "class_names.json",
    }
