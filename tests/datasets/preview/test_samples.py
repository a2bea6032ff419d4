"""What a preview shows, before it is drawn."""

import numpy as np

from datasets.preview.samples import CHANGED, MAX_CLASSES, MAX_SLICES, balance, heading, to_preview, to_slices
from datasets.registry import open_dataset
from models.reuse.store import picture_store


def preview(tmp_path, name="fake:shape=8x6x1,classes=3,size=30", per_class=4, augment="none"):
    data = open_dataset(name, None, picture_store(tmp_path), None)
    return data, to_preview(data, 8, per_class, augment, name)


def test_samples_belong_to_their_class(tmp_path):
    data, shown = preview(tmp_path)
    assert [(row.name, row.pictures, len(row.samples)) for row in shown.rows] == [
        (f"class_{number}", 8, 4) for number in range(3)
    ]
    for label, row in enumerate(shown.rows):
        members = {picture.tobytes() for picture in data.images[data.labels == label]}
        assert {sample.tobytes() for sample in row.samples} <= members
        assert len({sample.tobytes() for sample in row.samples}) == 4 and row.changed.shape == (0, 8, 6, 1)
    assert (shown.counts, shown.n, shown.digest) == ((8, 8, 8), 24, data.digest)


def test_no_more_samples_than_there_are(tmp_path):
    assert [len(row.samples) for row in preview(tmp_path, per_class=50)[1].rows] == [8, 8, 8]


def test_changed_copies_are_of_the_first_sample(tmp_path):
    for row in preview(tmp_path, augment="light")[1].rows:
        assert row.changed.shape == (CHANGED, 8, 6, 1)
        assert all(set(np.unique(copy)) <= set(np.unique(row.samples[0])) for copy in row.changed)


def test_many_classes_are_cut_but_counted(tmp_path):
    _, shown = preview(tmp_path, "fake:shape=4x4x1,classes=130,size=400", per_class=1)
    assert len(shown.rows) == MAX_CLASSES and len(shown.counts) == 130
    assert sum(count for _, count in shown.slices) == shown.n


def test_few_classes_are_slices_by_size():
    assert to_slices(("a", "b", "c"), [10, 30, 20]) == (("b", 30), ("c", 20), ("a", 10))
    names = tuple("abcdefghijkl")
    assert to_slices(names, [5] * 12) == tuple((name, 5) for name in names)


def test_small_slices_become_one():
    names = tuple(f"c{number}" for number in range(100))
    slices = to_slices(names, [10] * 100)
    assert len(slices) == MAX_SLICES and slices[0] == ("c0", 10) and slices[-1] == ("89 other classes", 890)
    assert to_slices(("a", "b", "c", "d"), [1, 9000, 2, 997]) == (("b", 9000), ("d", 997), ("2 other classes", 3))
    assert to_slices(("a", "b", "c"), [1, 9000, 999]) == (("b", 9000), ("c", 999), ("a", 1))
    assert to_slices(tuple(str(n) for n in range(200)), [3] * 200) == (("200 classes, each below 1%", 600),)


def test_words(tmp_path):
    _, shown = preview(tmp_path)
    assert heading(shown) == "fake_8x6x1_3_30: 24 pictures, 3 classes, 8 x 6 pixels, grey"
    assert balance(shown) == "8 of each class"
    assert balance(shown._replace(counts=(8, 2, 1000))) == "from 2 (class_1) to 1,000 (class_2) of a class"
