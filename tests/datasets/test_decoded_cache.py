"""datasets/decoded_cache.py through datasets/registry.py: decoded once, never half, by any number at once."""

import json
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets import DataError, decoded_cache
from datasets.digest import digest
from datasets.registry import open_dataset


@pytest.fixture
def folder(tmp_path) -> Path:
    for number, name in enumerate(("a", "b")):
        (tmp_path / "set" / "train" / name).mkdir(parents=True)
        for index in range(80):
            Image.new("RGB", (9, 9), (index, number, 0)).save(tmp_path / "set" / "train" / name / f"{index:03}.png")
    return tmp_path / "set"


def entries(cache: Path) -> list[str]:
    return sorted(path.suffix for path in (cache / "pictures").iterdir())


def opened(folder: Path, cache: Path, side: int = 9):
    return open_dataset(str(folder), None, cache, side)


def test_rows_are_in_order_across_chunks(folder, tmp_path):
    data = opened(folder, tmp_path / "cache")
    assert data.images[:, 0, 0, 0].tolist() == list(range(80)) * 2
    assert data.images[:, 0, 0, 1].tolist() == data.labels.tolist() == [0] * 80 + [1] * 80
    assert isinstance(data.images, np.memmap)
    assert data.digest == digest(data.images, data.labels, ("a", "b"))
    assert entries(tmp_path / "cache") == [".json", ".npy"]


def test_pictures_are_decoded_once(folder, tmp_path, monkeypatch):
    first = opened(folder, tmp_path / "cache")
    monkeypatch.setattr(decoded_cache, "decode", lambda path, side: pytest.fail("decoded again"))
    again = opened(folder, tmp_path / "cache")
    assert np.array_equal(first.images, again.images) and first.digest == again.digest
    assert np.array_equal(first.labels, again.labels)


def test_another_size_a_changed_and_a_new_picture_make_new_entries(folder, tmp_path):
    cache = tmp_path / "cache"
    digests = {opened(folder, cache).digest, opened(folder, cache, side=5).digest}
    os.utime(folder / "train/a/000.png", ns=(1, 1))
    assert opened(folder, cache).digest in digests  # same pictures, so the same digest
    assert len(entries(cache)) == 6
    Image.new("RGB", (9, 9), "white").save(folder / "train/a/000.png")
    digests.add(opened(folder, cache).digest)
    Image.new("RGB", (9, 9), "white").save(folder / "train/a/new.png")
    digests.add(opened(folder, cache).digest)
    assert len(digests) == 4


def test_what_a_killed_process_left_is_neither_used_nor_kept(folder, tmp_path):
    cache = tmp_path / "cache"
    whole = opened(folder, cache)
    record = next((cache / "pictures").glob("*.json"))
    record.unlink()  # killed after the array was renamed, before the record was
    next((cache / "pictures").glob("*.npy")).write_bytes(b"\x93NUMPY half")
    (cache / "pictures" / "tmpabc.tmp").write_bytes(b"half")
    again = opened(folder, cache)
    assert again.digest == whole.digest and len(again.images) == 160
    assert entries(cache) == [".json", ".npy"]


@pytest.mark.parametrize("damage", ["short array", "no json", "other json", "fewer labels"])
def test_a_damaged_entry_is_made_again(folder, tmp_path, damage):
    cache = tmp_path / "cache"
    whole = opened(folder, cache).digest
    array = next((cache / "pictures").glob("*.npy"))
    record = next((cache / "pictures").glob("*.json"))
    if damage == "short array":
        array.write_bytes(array.read_bytes()[:-100])
    elif damage == "no json":
        record.write_text("{")
    elif damage == "other json":
        record.write_text("[]")
    else:
        record.write_text(json.dumps({**json.loads(record.read_text()), "labels": [0]}))
    data = opened(folder, cache)
    assert data.digest == whole and data.images[:, 0, 0, 0].tolist() == list(range(80)) * 2


def test_an_interrupted_decoding_leaves_nothing(folder, tmp_path, monkeypatch):
    def interrupt(path, side):
        raise KeyboardInterrupt

    monkeypatch.setattr(decoded_cache, "decode", interrupt)
    with pytest.raises(KeyboardInterrupt):
        opened(folder, tmp_path / "cache")
    assert entries(tmp_path / "cache") == []


def test_a_file_that_is_being_written_is_left_alone(folder, tmp_path):
    place = tmp_path / "cache" / "pictures"
    place.mkdir(parents=True)
    with decoded_cache._temporary(place) as (_, name):
        opened(folder, tmp_path / "cache")
        assert os.path.exists(name)
    assert not os.path.exists(name)


def _in_a_process(folder: Path, cache: Path, results) -> None:
    results.put(opened(folder, cache).digest)


def test_two_processes_at_once_both_end_well(folder, tmp_path):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    both = [context.Process(target=_in_a_process, args=(folder, tmp_path / "cache", results)) for _ in range(2)]
    for process in both:
        process.start()
    digests = {results.get(timeout=60) for _ in both}
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    assert digests == {opened(folder, tmp_path / "cache").digest}
    assert entries(tmp_path / "cache") == [".json", ".npy"]


def test_a_cache_folder_that_cannot_be_written_is_named(folder, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"the cache folder .*/file/pictures cannot be used: Not a directory"):
        opened(folder, tmp_path / "file")


def test_a_full_disk_is_said_before_and_during_decoding(folder, tmp_path, monkeypatch):
    usage = decoded_cache.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(decoded_cache.shutil, "disk_usage", lambda place: usage._replace(free=100))
    with pytest.raises(DataError, match=r"pictures has 0\.00 GB free"):
        opened(folder, tmp_path / "cache")
    monkeypatch.undo()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(decoded_cache.os, "fsync", full)
    with pytest.raises(DataError, match="cannot be used: No space left on device"):
        opened(folder, tmp_path / "cache")
    assert entries(tmp_path / "cache") == []
