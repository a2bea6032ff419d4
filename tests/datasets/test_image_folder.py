"""Folders of pictures, through datasets/registry.py: layouts, splits, words of each refusal."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets import DataError
from datasets.registry import inspect, open_dataset, open_test
from datasets.splits import split
from models.reuse.store import picture_store

REAL = os.environ.get("HPO_DATA_DIR")


def pictures(folder: Path, n: int, value: int = 0, size: tuple[int, int] = (12, 10), suffix: str = ".png") -> None:
    """`n` plain grey pictures; number i has the grey level value + i, by which it can be told."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(n):
        Image.new("L", size, value + index).save(folder / f"{index:03}{suffix}")


def pets(root: Path, parts: tuple[str, ...] = ("",), n: int = 10) -> Path:
    for number, part in enumerate(parts):
        pictures(root / part / "cat", n, value=40 * number)
        pictures(root / part / "dog", n, value=40 * number + 20)
    return root


def levels(images: np.ndarray) -> list[int]:
    return images[:, 0, 0, 0].tolist()


def refused(folder: Path, call=None, **options) -> str:
    with pytest.raises(DataError) as caught:
        if call is None:
            inspect(str(folder), None, **options)
        else:
            call(str(folder), None, picture_store(folder.parent / "cache"), 8, **options)
    message = str(caught.value)
    assert "\n" not in message and message.isprintable()
    return message


def test_flat_folder(tmp_path):
    folder = str(pets(tmp_path / "my pets"))
    facts = inspect(folder, None)
    assert facts.name == "my-pets"
    assert facts.class_names == ("cat", "dog")
    assert (facts.n_train, facts.n_val, facts.n_test, facts.skipped) == (16, None, 4, 0)
    assert (facts.height, facts.width, facts.channels) == (10, 10, 3)
    assert "stratified fifth" in facts.test_split
    data = open_dataset(folder, None, picture_store(tmp_path / "cache"), side=8)
    images, labels = open_test(folder, None, picture_store(tmp_path / "cache"), side=8)
    assert data.images.shape == (16, 8, 8, 3) and data.images.dtype == np.uint8
    assert not data.images.flags.writeable
    assert data.labels.tolist() == [0] * 8 + [1] * 8 and data.labels.dtype == np.int64
    assert labels.tolist() == [0, 0, 1, 1]
    assert sorted(levels(data.images) + levels(images)) == list(range(10)) + list(range(20, 30))
    assert (data.facts.height, data.facts.width) == (8, 8)
    assert data.fixed_val is None


def test_split_folder_keeps_its_parts(tmp_path):
    folder = str(pets(tmp_path / "pets", ("train", "val", "test"), n=4))
    facts = inspect(folder, None)
    assert (facts.n_train, facts.n_val, facts.n_test) == (8, 8, 8)
    assert facts.test_split == "the folder's own test split"
    data = open_dataset(folder, None, picture_store(tmp_path / "cache"), side=8)
    assert data.fixed_val is not None
    assert data.fixed_val.tolist() == list(range(8, 16)) and data.fixed_val.dtype == np.int64
    assert levels(data.images) == [0, 1, 2, 3, 20, 21, 22, 23, 40, 41, 42, 43, 60, 61, 62, 63]
    assert data.labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 1] * 2
    cut = split(data.labels, train_size=None, val_size=None, seed=0, fixed_val=data.fixed_val)
    assert np.array_equal(cut.val, data.fixed_val) and cut.train.tolist() == list(range(8))
    images, labels = open_test(folder, None, picture_store(tmp_path / "cache"), side=8)
    assert levels(images) == [80, 81, 82, 83, 100, 101, 102, 103] and labels.tolist() == [0] * 4 + [1] * 4


@pytest.mark.parametrize("name", ["validation", "valid", "Val"])
def test_other_names_of_the_validation_split(tmp_path, name):
    folder = pets(tmp_path / "pets", ("train", name), n=3)
    assert inspect(str(folder), None).n_val == 6


def test_without_test_pictures_there_is_no_test_split(tmp_path):
    folder = pets(tmp_path / "pets", ("train",), n=3)
    facts = inspect(str(folder), None)
    assert facts.n_test is None and facts.test_split.startswith("none")
    assert "has no test split" in refused(folder, open_test)


def test_the_search_decodes_no_test_picture(tmp_path):
    folder = pets(tmp_path / "pets", ("train", "test"), n=3)
    for path in (folder / "test").rglob("*.png"):
        path.write_bytes(b"damaged")
    assert len(open_dataset(str(folder), None, picture_store(tmp_path / "cache"), side=8).labels) == 6
    assert "none of the 6 pictures" in refused(folder, open_test)


@pytest.mark.parametrize("suffix", [".JPG", ".jpeg", ".Png", ".bmp", ".GIF"])
def test_suffixes_in_any_case(tmp_path, suffix):
    for name in ("a", "b"):
        pictures(tmp_path / "pets" / name, 3, suffix=suffix)
    assert inspect(str(tmp_path / "pets"), None).n_train == 4


def test_hidden_files_and_thumbnail_stores_are_ignored(tmp_path):
    folder = pets(tmp_path / "pets")
    (folder / ".git").mkdir()
    for name in (".DS_Store", "cat/.hidden.jpg", "cat/Thumbs.db", "dog/desktop.ini"):
        (folder / name).write_bytes(b"x")
    assert inspect(str(folder), None).skipped == 0


def test_foreign_files_are_named_or_left_out(tmp_path):
    folder = pets(tmp_path / "pets")
    for name in ("readme.txt", "cat/notes.txt", "dog/picture.webp"):
        (folder / name).write_bytes(b"x")
    message = refused(folder)
    assert "3 files" in message and "cat/notes.txt" in message and "--skip-unreadable" in message
    assert inspect(str(folder), None, skip_unreadable=True).skipped == 3


def test_unreadable_pictures_are_all_found_and_three_are_named(tmp_path):
    folder = pets(tmp_path / "pets", ("train", "val"))
    for name in ("train/cat/001", "train/cat/002", "train/dog/000", "val/dog/005"):
        (folder / f"{name}.png").write_bytes(b"damaged")
    assert inspect(str(folder), None).n_train == 20
    message = refused(folder, open_dataset)
    assert "4 pictures of 40" in message and "and 1 more" in message and "--skip-unreadable" in message
    for name in ("train/cat/001.png", "train/cat/002.png", "train/dog/000.png"):
        assert f"{name}: not a JPEG" in message
    data = open_dataset(str(folder), None, picture_store(tmp_path / "cache"), 8, skip_unreadable=True)
    assert (data.facts.n_train, data.facts.n_val, data.facts.skipped) == (17, 19, 4)
    assert data.images.shape == (36, 8, 8, 3)
    assert data.fixed_val is not None and data.fixed_val.tolist() == list(range(17, 36))
    assert levels(data.images)[:9] == [0, 3, 4, 5, 6, 7, 8, 9, 21]
    assert data.labels.tolist() == [0] * 8 + [1] * 9 + [0] * 10 + [1] * 9
    refused(folder, open_dataset)  # the cached entry does not make them readable


def test_pixel_bombs_and_damaged_exif_raise_no_warnings(tmp_path):
    folder = pets(tmp_path / "pets", ("train",), n=3)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    for name, side in (("train/cat/000", 10_001), ("train/cat/001", 60_000)):
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)) + chunk(b"IDAT", b"")
        (folder / f"{name}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header)
    Image.new("RGB", (9, 9)).save(folder / "train/dog/001.jpg", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff damaged")
    inspect(str(folder), None)
    message = refused(folder, open_dataset)
    assert "2 pictures of 7" in message and message.count("above the limit of 100 megapixels") == 2


def test_a_class_that_loses_its_pictures_is_named(tmp_path):
    folder = pets(tmp_path / "pets", ("train",), n=3)
    for path in (folder / "train/dog").iterdir():
        path.write_bytes(b"damaged")
    message = refused(folder, open_dataset, skip_unreadable=True)
    assert "class 'dog'" in message and "0 readable pictures" in message


def test_no_readable_picture_at_all(tmp_path):
    folder = pets(tmp_path / "pets")
    for path in folder.rglob("*.png"):
        path.write_bytes(b"damaged")
    assert "can be read" in refused(folder)
    assert "none of the 16 pictures" in refused(folder, open_dataset, skip_unreadable=True)


def test_layout_refusals(tmp_path):
    root = tmp_path / "pets"
    root.mkdir()
    assert "holds nothing" in refused(root)
    (root / "a.jpg").touch()
    assert "1 file but no class folders" in refused(root)
    (root / "a.jpg").unlink()
    pictures(root / "cat", 3)
    assert "one class only, 'cat'" in refused(root)
    (root / "dog").mkdir()
    assert "class 'dog'" in refused(root) and "is empty" in refused(root)
    pictures(root / "dog", 2)
    assert "has 2 pictures; at least 3 are needed, one each to train, to validate and to test" in refused(root)
    pictures(root / "train" / "cat", 3)
    message = refused(root)
    assert "mixes two layouts" in message and "train/" in message and "cat, dog" in message


def test_split_layout_refusals(tmp_path):
    root = pets(tmp_path / "pets", ("test",), n=2)
    assert "no train/" in refused(root)
    pictures(root / "train" / "cat", 2)
    pictures(root / "train" / "cow", 2)
    assert "only in train/: cow" in refused(root)
    os.rename(root / "train/cow", root / "train/dog")
    assert inspect(str(root), None).n_train == 4
    (root / "train/dog/001.png").unlink()
    assert "class 'train/dog'" in refused(root) and "at least 2 are needed" in refused(root)
    pets(root, ("val",), n=1)
    assert inspect(str(root), None).n_train == 3
    pets(root, ("valid",), n=1)
    assert "mean the same split" in refused(root)


def test_unlabelled_test_pictures_are_no_class(tmp_path):
    root = pets(tmp_path / "pets", ("train",), n=3)
    pictures(root / "test", 3)
    assert "no class folders in test/" in refused(root)


def test_a_class_may_be_called_train(tmp_path):
    for name in ("bus", "train"):
        pictures(tmp_path / "vehicles" / name, 3)
    assert inspect(str(tmp_path / "vehicles"), None).class_names == ("bus", "train")


def test_any_folder_name_is_a_class_name(tmp_path):
    names = ["<script>", "Käfer", "new\nline", "鳥"]
    for name in names:
        pictures(tmp_path / "鳥 <b>" / name, 3)
    data = open_dataset(str(tmp_path / "鳥 <b>"), None, picture_store(tmp_path / "cache"), side=8)
    assert data.facts.class_names == tuple(names) and data.facts.name == "b"
    (tmp_path / "鳥 <b>" / "new\nline" / "000.png").unlink()
    assert "'new?line'" in refused(tmp_path / "鳥 <b>")


def test_a_class_folder_whose_name_is_no_text_is_refused_at_the_door(tmp_path):
    """Old archives have such names; neither a database nor a page can hold them."""
    folder = pets(tmp_path / "pets")
    os.rename(folder / "cat", os.fsencode(folder) + b"/c\xff\xfet")
    assert refused(folder) == f"{folder}: the name of the class folder 'c??t' is not UTF-8; rename it"


def test_a_folder_named_like_a_data_set_has_its_own_name(tmp_path):
    assert inspect(str(pets(tmp_path / "mnist")), None).name == "mnist-folder"


def test_circles_of_symbolic_links_do_not_crash(tmp_path):
    folder = pets(tmp_path / "pets")
    (folder / "cat" / "zz.jpg").symlink_to(folder / "cat" / "zz.jpg")
    (folder / "dog" / "parent").symlink_to(folder)
    assert "1 file" in refused(folder) and "dog/parent" in refused(folder)
    (folder / "dog" / "parent").unlink()
    open_dataset(str(folder), None, picture_store(tmp_path / "cache"), 8, skip_unreadable=True)


def test_side_defaults_to_the_typical_one_and_must_be_positive(tmp_path):
    folder = pets(tmp_path / "pets")
    assert open_dataset(str(folder), None, picture_store(tmp_path / "cache"), side=None).images.shape[1:] == (10, 10, 3)
    with pytest.raises(DataError, match=r"at least 1\. Received: 0"):
        open_dataset(str(folder), None, picture_store(tmp_path / "cache"), side=0)


@pytest.mark.skipif(REAL is None, reason="HPO_DATA_DIR is not set: no folder with the real data")
def test_real_photographs(tmp_path):
    folder = f"{REAL}/cats_vs_dogs"
    facts = inspect(folder, None)
    assert (facts.class_names, facts.n_train, facts.n_val, facts.n_test) == (("cat", "dog"), 2000, None, 2000)
    assert 100 <= facts.height <= 160
    data = open_dataset(folder, None, picture_store(tmp_path), side=32)
    assert data.images.shape == (2000, 32, 32, 3) and np.bincount(data.labels).tolist() == [1000, 1000]
    assert 60 < data.images[::50].mean() < 180


def test_links_that_lead_out_of_the_folder_are_refused_unless_they_are_to_be_followed(tmp_path):
    folder, other = pets(tmp_path / "pets"), pets(tmp_path / "other")
    (folder / "cat" / "a.png").symlink_to(folder / "dog" / "000.png")  # stays inside
    assert inspect(str(folder), None).n_train == 17
    (folder / "cat" / "b.png").symlink_to(other / "cat" / "000.png")
    message = refused(folder)
    assert f"holds links that lead out of it, the first is cat/b.png to {other}/cat/000.png;" in message
    assert "--follow-links" in message
    assert refused(folder, open_dataset) == message
    assert inspect(str(folder), None, follow_links=True).n_train == 18
    data = open_dataset(str(folder), None, picture_store(tmp_path / "cache"), 8, follow_links=True)
    assert len(data.images) == 18


def test_a_class_that_is_a_link_is_one_link(tmp_path):
    folder, other = pets(tmp_path / "pets", ("train",)), pets(tmp_path / "pets-2")
    (folder / "train" / "emu").symlink_to(other / "cat")
    assert f"holds links that lead out of it, the first is train/emu to {other}/cat;" in refused(folder)
    assert inspect(str(folder), None, follow_links=True).class_names == ("cat", "dog", "emu")


def test_the_folder_itself_may_be_a_link(tmp_path):
    pets(tmp_path / "pets")
    (tmp_path / "link").symlink_to("pets")
    assert inspect(str(tmp_path / "link"), None).n_train == 16
