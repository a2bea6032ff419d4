"""datasets/decoded_cache.py through datasets/registry.py: decoded once, never half, never what was changed since."""

import contextlib
import json
import multiprocessing
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets import DataError, decoded_cache
from datasets.digest import digest
from datasets.registry import check_room, open_dataset
from models.reuse.store import picture_store


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
    return open_dataset(str(folder), None, picture_store(cache), side)


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
    (cache / "pictures" / f"{record.stem}.abc.tmp").write_bytes(b"half")
    again = opened(folder, cache)
    assert again.digest == whole.digest and len(again.images) == 160
    assert entries(cache) == [".json", ".npy"]


def changed(record: Path, **changes) -> None:
    content = json.loads(record.read_text())
    record.write_text(json.dumps({**content, "details": {**content["details"], **changes}}))


def zeroed(array: Path) -> None:
    content = array.read_bytes()
    array.write_bytes(content[:128] + bytes(len(content) - 128))
    os.utime(array, ns=(1, 1))  # at least a tick of the file system's clock lies between two writes


DAMAGES = {
    "zeros": lambda array, record: zeroed(array),
    "short array": lambda array, record: array.write_bytes(array.read_bytes()[:-100]),
    "flipped labels": lambda array, record: changed(record, labels=[1] * 80 + [0] * 80),
    "fewer labels": lambda array, record: changed(record, labels=[0]),
    "another digest": lambda array, record: changed(record, digest="0" * 64),
    "others left out": lambda array, record: changed(record, left_out=[[0, "no pixels"]]),
    "no json": lambda array, record: record.write_text("{"),
    "other json": lambda array, record: record.write_text("[]"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_made_again(folder, tmp_path, damage):
    cache = tmp_path / "cache"
    whole = opened(folder, cache).digest
    (array,), (record,) = ((cache / "pictures").glob(f"*.{kind}") for kind in ("npy", "json"))
    before = record.read_text()
    DAMAGES[damage](array, record)
    data = opened(folder, cache)
    assert data.digest == whole == digest(data.images, data.labels, ("a", "b"))
    assert data.images[:, 0, 0, 0].tolist() == list(range(80)) * 2 and data.labels.tolist() == [0] * 80 + [1] * 80
    assert record.read_text() == before and entries(cache) == [".json", ".npy"]


def test_unreadable_pictures_are_left_out_again_from_the_store(folder, tmp_path, monkeypatch):
    (folder / "train/a/003.png").write_bytes(b"none")
    store = picture_store(tmp_path / "cache")
    first = open_dataset(str(folder), None, store, 9, skip_unreadable=True)
    monkeypatch.setattr(decoded_cache, "decode", lambda path, side: pytest.fail("decoded again"))
    again = open_dataset(str(folder), None, store, 9, skip_unreadable=True)
    assert first.images[:, 0, 0, 0].tolist() == [0, 1, 2, *range(4, 80), *range(80)]
    assert np.array_equal(first.images, again.images) and np.array_equal(first.labels, again.labels)
    assert (first.facts, first.digest) == (again.facts, again.digest) and first.facts.skipped == 1
    assert first.digest == digest(again.images, again.labels, ("a", "b"))


def test_an_interrupted_decoding_leaves_nothing(folder, tmp_path, monkeypatch):
    def interrupt(path, side):
        raise KeyboardInterrupt

    monkeypatch.setattr(decoded_cache, "decode", interrupt)
    with pytest.raises(KeyboardInterrupt):
        opened(folder, tmp_path / "cache")
    assert entries(tmp_path / "cache") == []


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


@contextlib.contextmanager
def writing(store, folder: Path, side: int):
    """As an entry looks while it is being written: its file has its whole size from the start."""
    began, go_on = threading.Event(), threading.Event()

    def on_step(share: float) -> None:
        began.set()
        go_on.wait(10)

    opening = threading.Thread(target=open_dataset, args=(str(folder), None, store, side, False, False, on_step))
    opening.start()
    try:
        assert began.wait(10)
        yield
    finally:
        go_on.set()
        opening.join()


def test_room_for_all_sizes_is_looked_for_at_once(folder, tmp_path, monkeypatch):
    """160 pictures of 3 side**2 bytes; those that are there already take no more."""
    store, usage = picture_store(tmp_path / "cache"), shutil.disk_usage(tmp_path)

    def with_room(free: int) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=free))
        check_room(str(folder), store, (64, 128))

    needed = 160 * 3 * (64**2 + 128**2)
    with_room(needed)
    with pytest.raises(
        DataError,
        match=r"cache/pictures has room for 9\.3 MiB; 160 pictures decoded to 2 sizes take 9\.4 MiB more; make room, "
        r"choose another with --cache-dir, name fewer --resolutions, or decode once with --decode largest$",
    ):
        with_room(needed - 10**5)
    opened(folder, tmp_path / "cache", side=64)
    with_room(160 * 3 * 128**2)
    with pytest.raises(DataError, match=r"take 7\.5 MiB more"):
        with_room(160 * 3 * 128**2 - 1)
    monkeypatch.undo()
    with writing(store, folder, 128):  # another process, which has its room already
        with_room(0)
    (tmp_path / "file").touch()
    check_room(str(folder), picture_store(tmp_path / "file"), (64,))  # that it cannot be used is said when it is opened


def test_a_full_disk_is_said_before_and_during_decoding(folder, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=100))
    with pytest.raises(
        DataError, match=r"pictures cannot be used: decoded pictures take 0\.0 MiB; there is room for 0"
    ):
        opened(folder, tmp_path / "cache")
    monkeypatch.undo()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="cannot be used: No space left on device"):
        opened(folder, tmp_path / "cache")
    assert entries(tmp_path / "cache") == []
