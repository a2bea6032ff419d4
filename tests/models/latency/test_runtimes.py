"""Which runtime a latency is measured in."""

import pytest

from models import ModelError
from models.latency import runtimes
from models.latency.runtimes import RUNTIMES, Runtime, describe, resolve


@pytest.mark.parametrize(("name", "on_gpu", "expected"), [("auto", False, "litert"), ("auto", True, "keras")])
def test_auto_is_what_is_deployed(name, on_gpu, expected):
    assert resolve(name, on_gpu) == expected


@pytest.mark.parametrize("on_gpu", [False, True])
@pytest.mark.parametrize("name", ["litert", "keras"])
def test_a_name_is_itself_on_every_device(name, on_gpu):
    assert resolve(name, on_gpu) == name


def test_an_unknown_name():
    with pytest.raises(ModelError, match="must be one of auto, litert, onnx, keras. Received: tflite"):
        resolve("tflite", False)


@pytest.mark.parametrize(
    ("extra", "way_out"),
    [
        ("onnx", r'the extra onnx: pip install -c constraints.txt -e "\.\[onnx\]"'),
        ("", "the package x-y: pip install x-y"),
    ],
)
def test_what_is_missing_is_named_with_the_way_out(monkeypatch, extra, way_out):
    row = Runtime("Some", ("json", "no_such_package"), "x-y", extra)
    monkeypatch.setitem(runtimes.RUNTIMES, "some", row)
    assert not row.installed
    with pytest.raises(ModelError, match=f"latency in Some needs {way_out} .no_such_package not installed."):
        resolve("some", False)


def test_words():
    assert [describe(name, threads) for name, threads in (("litert", 1), ("onnx", 4), ("keras", 1))] == [
        "LiteRT, 1 thread",
        "ONNX Runtime, 4 threads",
        "Keras",
    ]
    assert RUNTIMES["litert"].version.split(".")[0] == "2" and RUNTIMES["keras"].version == ""
