"""Which models are shown in detail, and what is read of their files."""

import json
import zipfile

import pytest

from studies.paths import StudyFiles
from studies.report.detail import ModelFile, choose, read_model_file


def test_the_recommended_model_and_the_most_accurate_one(make_material, curved, make_finals):
    material = make_material(curved)
    assert material.recommendation.record.number == 1
    finals, *_ = make_finals(curved[:3], (20, 26, 27))
    details = choose(finals, material.recommendation)
    assert [one.title for one in details] == ["trial 1 (recommended)", "trial 2 (most accurate in the search)"]
    assert [one.model.label for one in details] == ["1", "2"]


def test_one_model_can_be_both(make_material, curved, make_finals):
    finals, *_ = make_finals(curved[:2], (20, 26))
    (both,) = choose(finals, make_material(curved[:2]).recommendation)
    assert both.title == "trial 1 (recommended and most accurate in the search)"


def test_what_was_not_evaluated_is_not_shown(make_material, curved, make_finals):
    found = make_material(curved).recommendation
    finals, *_ = make_finals([curved[0], curved[2]], (20, 27))
    assert [one.title for one in choose(finals, found)] == ["trial 2 (most accurate in the search)"]
    finals, *_ = make_finals(curved[:1], (20,))
    assert [one.title for one in choose(finals, found)] == ["baseline (most accurate in the test)"]
    assert choose([], found) == []


def test_files_are_read_back(tmp_path, curved, write_final):
    write_final(tmp_path, curved[:2], (20, 26))
    file = read_model_file(StudyFiles(tmp_path).run("1", 0))
    assert (file.class_names, file.input_shape, file.one_column) == (("a", "b", "c"), (8, 8, 1), False)
    assert file.predictions.labels.shape == (30,)


@pytest.mark.parametrize(("layer", "one_column"), [("probabilities", True), ("both_logits", False)])
def test_one_column_is_seen(tmp_path, layer, one_column):
    files = StudyFiles(tmp_path).run("1", 0)
    files.model.parent.mkdir(parents=True)
    layers = [{"config": {"batch_shape": [None, 8, 8, 1]}}, {"config": {"name": layer}}]
    with zipfile.ZipFile(files.model, "w") as archive:
        archive.writestr("class_names.json", json.dumps(["no", "yes"]))
        archive.writestr("config.json", json.dumps({"config": {"layers": layers}}))
    assert read_model_file(files) == ModelFile(("no", "yes"), (8, 8, 1), one_column)


@pytest.mark.parametrize("content", [b"", b"no zip", b"{}"])
def test_damaged_files_are_empty(tmp_path, content):
    files = StudyFiles(tmp_path).run("1", 0)
    files.model.parent.mkdir(parents=True)
    for path in (files.model, files.predictions):
        path.write_bytes(content)
    assert read_model_file(files) == ModelFile()


def test_classes_without_names_are_numbered(make_material, curved, make_finals):
    finals, *_ = make_finals(curved[1:2], (26,))
    (one,) = make_material(curved, finals=finals).details
    assert one.class_names == ("class 0", "class 1", "class 2")
