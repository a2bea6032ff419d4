"""Formats and what they need."""

import importlib.util

import pytest

from models import ModelError
from models.export.formats import FORMATS, check_installed


def test_what_tensorflow_brings_needs_nothing():
    assert list(FORMATS) == ["savedmodel", "onnx", "litert", "litert-int8"]
    check_installed(["savedmodel", "litert", "litert-int8"])


def test_a_missing_package_names_the_extra(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tf2onnx" else find("json"))
    with pytest.raises(ModelError) as told:
        check_installed(["litert", "onnx"])
    assert str(told.value) == (
        '--format onnx needs the extra onnx (tf2onnx not installed): pip install -c constraints.txt -e ".[onnx]"'
    )
