"""Formats and what they need."""

import importlib.util

import pytest

from models.export.formats import DEPLOYED, FORMATS, needs
from models.latency.runtimes import RUNTIMES


@pytest.fixture
def without(monkeypatch):
    def without(*missing):
        find = importlib.util.find_spec
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else find("json"))

    return without


def test_formats_and_those_with_a_runtime_of_their_own():
    assert list(FORMATS) == ["savedmodel", "onnx", "litert", "litert-int8"]
    assert set(DEPLOYED) == {name for name, one in FORMATS.items() if one.runtime}
    assert {FORMATS[name].runtime for name in DEPLOYED} <= set(RUNTIMES)


def test_what_is_there_needs_nothing(without):
    without()
    assert [needs(name) for name in FORMATS] == [""] * 4


def test_what_is_missing_is_named_with_what_brings_it(without):
    without("tf2onnx", "ai_edge_litert")
    assert needs("onnx") == (
        'needs the extra onnx (tf2onnx not installed): pip install -c constraints.txt -e ".[onnx]"'
    )
    assert needs("litert-int8") == "needs a package (ai_edge_litert not installed): pip install ai-edge-litert"
    assert needs("savedmodel") == ""
