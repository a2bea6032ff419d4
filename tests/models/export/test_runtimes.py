"""Exported models say what the original says, run by their own runtime."""

import importlib.util

import keras
import numpy as np
import pytest

from models import ModelError
from models.build import Task, build_network
from models.export.formats import FORMATS
from models.export.runtimes import export, load, original, size
from tests import made

CANDIDATE = made.candidate(unfreeze_depth=1, head_width=128, dropout=0.3)
PICTURES = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), dtype=np.uint8)

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="exports need the TensorFlow backend")


@pytest.fixture(scope="module")
def model():
    return build_network(CANDIDATE, Task(8, 8, 1, 10, "none"), 3).model


def skip_without(name):
    lacking = [package for package in FORMATS[name].packages if importlib.util.find_spec(package) is None]
    if lacking:
        pytest.skip(f"needs the extra {FORMATS[name].extra}: {', '.join(lacking)}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "tolerance", "runtime"),
    [
        ("savedmodel", 1e-6, "tensorflow 2."),
        ("onnx", 1e-5, "onnxruntime 1."),
        ("litert", 1e-5, "lite"),
        ("litert-int8", 0.05, "lite"),
    ],
)
def test_the_same_from_raw_pictures(model, tmp_path, name, tolerance, runtime):
    skip_without(name)
    expected, _ = original(model)
    path = tmp_path / "new" / FORMATS[name].file
    export(model, name, path, PICTURES)
    run, said = load(name, path, 2)
    for batch in (PICTURES, PICTURES[:1], PICTURES[3:5]):
        found = run(batch)
        assert found.shape == (len(batch), 10)
        assert np.abs(found - expected(batch)).max() < tolerance
    assert runtime in said
    assert said.endswith(", CPU")
    assert [one.name for one in path.parent.iterdir()] == [FORMATS[name].file]
    assert size(path) == sum(one.stat().st_size for one in [path, *path.rglob("*")] if one.is_file()) > 0


@pytest.mark.slow
def test_int8_is_int8(model, tmp_path):
    export(model, "litert", tmp_path / "a", PICTURES)
    export(model, "litert-int8", tmp_path / "b", PICTURES)
    assert size(tmp_path / "b") < 0.4 * size(tmp_path / "a")


@pytest.mark.parametrize("name", ["savedmodel", "litert"])
def test_what_was_there_is_replaced_at_the_end(model, tmp_path, monkeypatch, name):
    path = tmp_path / "exported"
    if name == "savedmodel":
        path.mkdir()
        (path / "left.txt").write_text("of an earlier one")
    else:
        path.write_text("an earlier one")
    monkeypatch.setattr("models.export.runtimes._lite", _fail)
    monkeypatch.setattr(type(model), "export", _fail)
    with pytest.raises(RuntimeError, match="no memory"):
        export(model, name, path, PICTURES)
    assert [one.name for one in tmp_path.iterdir()] == ["exported"]
    assert (path / "left.txt" if path.is_dir() else path).read_text().endswith("an earlier one")
    monkeypatch.undo()
    export(model, name, path, PICTURES)
    assert not (path / "left.txt").exists()
    assert [one.name for one in tmp_path.iterdir()] == ["exported"]


def _fail(*_, **__):
    raise RuntimeError("no memory")


def test_only_with_tensorflow(model, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ModelError, match="exported with the tensorflow backend. Received: jax"):
        export(model, "litert", tmp_path / "x", PICTURES)
