"""models/reuse/entry.py: what is written of an entry is read again, and nothing else is taken for it."""

import io
import json

import numpy as np
import pytest

from models.reuse.entry import Record, entry_bytes, fill, header, name_of, read_record

RECORD = Record({"b": 1, "a": ["x"]}, (2, 3), "uint8", "0" * 64)


def test_the_name_depends_on_the_key_alone():
    assert name_of({"a": ["x"], "b": 1}) == name_of({"b": 1, "a": ["x"]}) != name_of({"b": 1, "a": ["y"]})
    assert len(name_of({})) == 64


@pytest.mark.parametrize("details", [None, {}, {"labels": [1, 2], "name": "ä\udcff"}])
def test_a_record_is_read_as_it_was_written(tmp_path, details):
    record = Record(RECORD.key, RECORD.shape, RECORD.dtype, RECORD.sha256, details)
    (tmp_path / "r.json").write_text(record.to_json())
    assert read_record(tmp_path / "r.json") == record
    assert ("details" in json.loads(record.to_json())) == (details is not None)


def test_no_file_is_no_record(tmp_path):
    assert read_record(tmp_path / "r.json") is None


@pytest.mark.parametrize("shape", [(1,), (7, 2), (123456, 64, 64, 3)])
def test_the_header_is_numpys_and_as_long_for_any_number_of_rows(shape):
    assert len(header(shape, "float16")) == len(header((10**9, *shape[1:]), "float16")) == 128
    array = np.zeros((2, 3), "float16")
    np.save(stream := io.BytesIO(), array)
    assert header((2, 3), "float16") + array.tobytes() == stream.getvalue()
    assert entry_bytes((2, 3), "float16") == len(stream.getvalue())


def test_fewer_rows_are_written_as_if_they_had_been_asked_for():
    rows = np.arange(12, dtype="uint8").reshape(4, 3)
    short, whole = io.BytesIO(), io.BytesIO()
    written = fill(short, (9, 3), "uint8", iter([rows[:1], rows[1:]]), fewer=True)
    assert written == fill(whole, (4, 3), "uint8", iter([rows])) and written[0] == (4, 3)
    assert short.getvalue() == whole.getvalue()
