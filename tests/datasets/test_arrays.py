"""datasets/arrays.py through datasets/registry.py: .npz files, Keras' loaders (a stand-in) and the digits."""

import hashlib
import io
import os
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest

from datasets import DataError
from datasets.registry import DATASETS, inspect, open_dataset, open_test
from models.reuse.store import picture_store
from tests.datasets.cifar100_archive import FINE_NAMES, write_archive

REAL = os.environ.get("HPO_DATA_DIR")
needs_data = pytest.mark.skipif(REAL is None, reason="HPO_DATA_DIR is not set: no folder with the real data")
RNG = np.random.default_rng(0)


def members(n_train: int = 30, n_test: int = 10, picture: tuple[int, ...] = (28, 28), n_classes: int = 10) -> dict:
    return {
        "x_train": RNG.integers(0, 256, (n_train, *picture), dtype=np.uint8),
        "y_train": (np.arange(n_train) % n_classes).astype(np.uint8),
        "x_test": RNG.integers(0, 256, (n_test, *picture), dtype=np.uint8),
        "y_test": (np.arange(n_test) % n_classes).astype(np.uint8),
    }


def write_raw(path: Path, content: dict, **raw: bytes) -> None:
    """An .npz in which the members named in `raw` hold these bytes."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in content.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array)
            archive.writestr(f"{name}.npy", raw.get(name, buffer.getvalue()))


def test_grey_file(tmp_path):
    content = members()
    np.savez_compressed(tmp_path / "mnist.npz", **content)
    data = open_dataset("mnist", tmp_path, picture_store(tmp_path / "cache"), side=None)
    assert np.array_equal(data.images, content["x_train"][..., None]) and data.images.dtype == np.uint8
    assert np.array_equal(data.labels, content["y_train"]) and data.labels.dtype == np.int64
    assert data.fixed_val is None
    assert data.facts == inspect("mnist", tmp_path)
    assert (data.facts.n_train, data.facts.n_val, data.facts.n_test, data.facts.skipped) == (30, None, 10, 0)
    assert (data.facts.height, data.facts.width, data.facts.channels) == (28, 28, 1)
    assert data.facts.source == str(tmp_path / "mnist.npz")
    images, labels = open_test("mnist", tmp_path, picture_store(tmp_path / "cache"), side=None)
    assert np.array_equal(images, content["x_test"][..., None])
    assert np.array_equal(labels, content["y_test"]) and labels.dtype == np.int64
    assert not (tmp_path / "cache").exists()


def test_colour_file_with_labels_as_a_column(tmp_path):
    content = members(picture=(32, 32, 3), n_classes=100, n_train=200)
    content["y_train"] = content["y_train"][:, None]
    np.savez(tmp_path / "cifar100.npz", **content)
    data = open_dataset("cifar100", tmp_path, picture_store(tmp_path), side=None)
    assert data.images.shape == (200, 32, 32, 3) and data.labels.shape == (200,)


def test_digest_covers_pictures_and_labels(tmp_path):
    def digest_of(content: dict) -> str:
        np.savez(tmp_path / "mnist.npz", **content)
        return open_dataset("mnist", tmp_path, picture_store(tmp_path), side=None).digest

    content = members()
    first = digest_of(content)
    assert len(first) == 64 and digest_of(content) == first
    other_picture = dict(content, x_train=content["x_train"].copy())
    other_picture["x_train"][3, 4, 5] ^= 1
    other_label = dict(content, y_train=(content["y_train"] + 1) % 10)
    other_test = dict(content, x_test=content["x_test"] ^ 1)
    assert digest_of(other_picture) != first
    assert digest_of(other_label) != first
    assert digest_of(other_test) == first


@pytest.mark.parametrize("member", ["x_test", "y_test"])
def test_the_test_part_is_not_read_by_the_search(tmp_path, member):
    content = members()
    write_raw(tmp_path / "mnist.npz", content, **{member: b"no array at all"})
    data = open_dataset("mnist", tmp_path, picture_store(tmp_path), side=None)
    assert np.array_equal(data.labels, content["y_train"])
    assert data.facts.n_test == (None if member == "y_test" else 10)
    with pytest.raises(DataError, match=r"mnist\.npz cannot be read"):
        open_test("mnist", tmp_path, picture_store(tmp_path), side=None)


def test_a_damaged_test_part_leaves_the_search_alone(tmp_path):
    path = tmp_path / "mnist.npz"
    np.savez(path, **members())
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("x_test.npy")
    content = bytearray(path.read_bytes())
    content[info.header_offset + 1000] ^= 0xFF  # its checksum no longer fits
    path.write_bytes(content)
    assert len(open_dataset("mnist", tmp_path, picture_store(tmp_path), side=None).labels) == 30
    with pytest.raises(DataError, match="CRC"):
        open_test("mnist", tmp_path, picture_store(tmp_path), side=None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x_train": np.zeros((30, 32, 32), np.uint8)}, r"x_train must be uint8 \(n, 28, 28, 1\).*\(30, 32, 32\)"),
        ({"x_train": np.zeros((30, 28, 28), np.float32)}, "x_train must be uint8 .*float32"),
        ({"y_train": np.zeros(30)}, "y_train must be integers"),
        ({"y_train": np.zeros(29, np.uint8)}, "30 pictures but 29 labels"),
        ({"y_train": np.full(30, 10, np.uint8)}, r"labels must lie in 0\.\.9\. Received: 10"),
        ({"y_train": np.full(30, -1, np.int64)}, r"labels must lie in 0\.\.9\. Received: -1"),
        ({"x_train": np.zeros((0, 28, 28), np.uint8), "y_train": np.zeros(0, np.uint8)}, "n > 0"),
        ({"y_train": np.array([object()] * 30)}, "y_train must be integers"),
        ({"y_train": np.full(30, 3)}, "all pictures are of one class, '3'; at least 2 are needed"),
    ],
)
def test_foreign_content_is_refused(tmp_path, change, words):
    np.savez(tmp_path / "mnist.npz", **{**members(), **change})
    with pytest.raises(DataError, match=words) as caught:
        open_dataset("mnist", tmp_path, picture_store(tmp_path), side=None)
    assert "mnist.npz" in str(caught.value) and "\n" not in str(caught.value)


def test_a_header_that_claims_more_than_there_is_is_not_believed(tmp_path):
    """Nor is memory asked for: 8 PiB here."""
    header = io.BytesIO()
    claim = {"descr": "|u1", "fortran_order": False, "shape": (1 << 43, 28, 28)}
    np.lib.format.write_array_header_1_0(header, claim)
    write_raw(tmp_path / "mnist.npz", members(), x_train=header.getvalue())
    for call in (inspect, lambda *where: open_dataset(*where, picture_store(tmp_path), side=None)):
        with pytest.raises(
            DataError, match=r"x_train says that it has 6,896,136,929,411,072 bytes, and has no more than"
        ):
            call("mnist", tmp_path)


def test_missing_members_are_named(tmp_path):
    np.savez(tmp_path / "mnist.npz", x_train=np.zeros(3), foo=np.zeros(3))
    with pytest.raises(DataError, match="missing: y_train, x_test, y_test"):
        inspect("mnist", tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 truncated"], ids=["empty", "text", "broken zip"])
def test_files_that_are_no_archives(tmp_path, content):
    (tmp_path / "mnist.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"mnist\.npz") as caught:
        inspect("mnist", tmp_path)
    assert "\n" not in str(caught.value) and "pickle" not in str(caught.value)


def test_truncated_archive(tmp_path):
    np.savez(tmp_path / "whole.npz", **members())
    content = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "mnist.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"mnist\.npz"):
        open_dataset("mnist", tmp_path, picture_store(tmp_path), side=None)


def test_data_dir_must_be_a_folder(tmp_path):
    with pytest.raises(DataError, match="--data-dir must be a folder"):
        inspect("mnist", tmp_path / "nowhere")


def fake_keras(monkeypatch: pytest.MonkeyPatch, name: str, load_data) -> None:
    loader = types.SimpleNamespace(load_data=load_data)
    fake = types.SimpleNamespace(datasets=types.SimpleNamespace(**{name: loader}))
    monkeypatch.setitem(sys.modules, "keras", fake)


def test_without_a_file_keras_is_asked(tmp_path, monkeypatch, capsys):
    content = members(picture=(32, 32, 3))

    def load_data():
        print("Downloading data")
        return (content["x_train"], content["y_train"][:, None]), (content["x_test"], content["y_test"][:, None])

    fake_keras(monkeypatch, "cifar10", load_data)
    data = open_dataset("cifar10", tmp_path, picture_store(tmp_path), side=None)
    assert np.array_equal(data.images, content["x_train"]) and np.array_equal(data.labels, content["y_train"])
    assert np.array_equal(open_test("cifar10", None, picture_store(tmp_path), side=None)[1], content["y_test"])
    assert data.facts.n_train == 50_000  # the official number: a look does not ask Keras
    assert capsys.readouterr().out == ""


def test_a_failed_download_names_url_reason_file_and_ways_out(tmp_path, monkeypatch):
    def load_data():
        raise Exception("URL fetch failure on https://example.org: None --\n Name or service not known")

    fake_keras(monkeypatch, "cifar100", load_data)
    monkeypatch.setenv("KERAS_HOME", "/kept/here")
    with pytest.raises(DataError) as caught:
        open_dataset("cifar100", None, picture_store(tmp_path), side=None)
    message = str(caught.value)
    assert "\n" not in message
    for words in (
        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        "Name or service not known",
        "/kept/here/datasets/cifar-100-python-target_archive",
        "--data-dir",
        "cifar100.npz",
        "KERAS_HOME",
    ):
        assert words in message


def test_cifar100_from_the_official_archive(tmp_path, monkeypatch):
    """Keras itself reads the archive, after checking its hash, by an unpickler that makes NumPy arrays alone."""
    cifar100 = pytest.importorskip("keras.src.datasets.cifar100")
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(100), 2))
    train = (RNG.integers(0, 256, (200, 32, 32, 3), dtype=np.uint8), labels)
    test = (RNG.integers(0, 256, (100, 32, 32, 3), dtype=np.uint8), np.arange(100)[::-1])
    home = tmp_path / "home"
    (home / "datasets").mkdir(parents=True)
    archive = home / "datasets" / "cifar-100-python-target_archive"  # where our message tells people to put it
    write_archive(archive, train, test)
    get_file, asked = cifar100.get_file, []

    def small(fname, origin, extract, file_hash):
        asked.append((origin, len(file_hash)))
        own_hash = hashlib.sha256(archive.read_bytes()).hexdigest()
        return get_file(fname, "file:///nowhere", extract=extract, file_hash=own_hash, cache_dir=str(home))

    monkeypatch.setattr(cifar100, "get_file", small)
    data = open_dataset("cifar100", None, picture_store(tmp_path), side=None)
    assert np.array_equal(data.images, train[0]) and np.array_equal(data.labels, labels)
    assert list(data.facts.class_names) == FINE_NAMES and len(FINE_NAMES) == 100
    images, fine = open_test("cifar100", None, picture_store(tmp_path), side=None)
    assert np.array_equal(images, test[0]) and np.array_equal(fine, test[1])
    assert set(asked) == {("https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz", 64)}
    trees = open_dataset("cifar100:oak_tree,maple_tree", None, picture_store(tmp_path), side=None)
    assert trees.facts.class_names == ("maple_tree", "oak_tree")
    assert np.array_equal(trees.images, train[0][np.isin(labels, [47, 52])])
    assert np.array_equal(trees.labels, (labels[np.isin(labels, [47, 52])] == 52).astype(int))


def test_an_archive_that_would_run_code_is_refused(tmp_path, monkeypatch):
    cifar100 = pytest.importorskip("keras.src.datasets.cifar100")
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    (folder / "train").write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR.")
    monkeypatch.setattr(cifar100, "get_file", lambda *_, **__: str(tmp_path))
    with pytest.raises(DataError, match=r"Refusing to deserialize `os.system`"):
        open_dataset("cifar100", None, picture_store(tmp_path), side=None)
    assert not (tmp_path / "ran").exists()


def test_digits_need_no_file(tmp_path):
    pytest.importorskip("sklearn")
    data = open_dataset("digits", None, picture_store(tmp_path), side=None)
    images, labels = open_test("digits", None, picture_store(tmp_path), side=None)
    assert data.images.shape == (1438, 8, 8, 1) and images.shape == (359, 8, 8, 1)
    assert (data.facts.n_train, data.facts.n_test) == (len(data.labels), len(labels))
    assert data.images.min() == 0 and data.images.max() == 255
    official = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert np.bincount(np.concatenate([data.labels, labels])).tolist() == official
    assert np.abs(np.bincount(labels) - 35.9).max() < 1.5
    assert "fixed seed 0" in data.facts.test_split


@needs_data
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
def test_real_data(name, tmp_path):
    assert REAL is not None
    info = DATASETS[name]
    facts = inspect(name, Path(REAL))
    assert (facts.n_train, facts.n_test) == (info.n_train, info.n_test)
    images, labels = open_test(name, Path(REAL), picture_store(tmp_path), side=None)
    assert images.shape == (10_000, info.height, info.width, info.channels)
    assert np.bincount(labels, minlength=10).min() > 800


@needs_data
def test_real_development_part(tmp_path):
    assert REAL is not None
    data = open_dataset("mnist", Path(REAL), picture_store(tmp_path), side=None)
    assert data.images.shape == (60_000, 28, 28, 1)
    assert data.labels[:5].tolist() == [5, 0, 4, 1, 9]
