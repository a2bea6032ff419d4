"""Records as a data frame."""

import importlib.util

import pytest

from studies.errors import PackageMissing
from studies.tables.frame import records_to_frame


def test_a_row_for_each_record():
    pytest.importorskip("pandas")
    frame = records_to_frame([{"a": 1, "b": "x"}, {"a": 2, "b": None}])
    assert list(frame.columns) == ["a", "b"]
    assert frame["a"].tolist() == [1, 2]
    assert list(records_to_frame([], ["a", "b"]).columns) == ["a", "b"]


def test_without_pandas_one_line_says_so(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PackageMissing, match="^a data frame needs the package pandas, .*: pip install pandas$"):
        records_to_frame([])
