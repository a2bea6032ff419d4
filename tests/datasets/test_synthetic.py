"""The random pictures of `fake`: as many, as large and of as many classes as asked, and the same everywhere."""

import numpy as np
import pytest

from datasets import DataError
from datasets.registry import check_name, inspect, open_dataset, open_test, safe_name
from models.reuse.store import picture_store


def test_alone_it_has_sensible_defaults(tmp_path):
    data = open_dataset("fake", None, picture_store(tmp_path), None)
    images, labels = open_test("fake", None, picture_store(tmp_path), None)
    assert data.images.shape == (400, 32, 32, 3) and images.shape == (100, 32, 32, 3)
    assert data.images.dtype == np.uint8 and data.labels.dtype == np.int64
    assert np.bincount(data.labels).tolist() == [40] * 10 and np.bincount(labels).tolist() == [10] * 10
    assert data.facts == inspect("fake", None)
    assert (data.facts.name, data.facts.n_train, data.facts.n_val, data.facts.n_test) == ("fake", 400, None, 100)
    assert data.facts.class_names[:2] == ("class_0", "class_1")


@pytest.mark.parametrize("name", ["fake:shape=8x6x1,classes=3,size=20", "fake: size=20, shape=8x6x1, classes=3"])
def test_options_in_any_order(name, tmp_path):
    data = open_dataset(name, None, picture_store(tmp_path), None)
    images, labels = open_test(name, None, picture_store(tmp_path), None)
    assert data.images.shape == (16, 8, 6, 1) and images.shape == (4, 8, 6, 1)
    assert data.facts.class_names == ("class_0", "class_1", "class_2")
    assert (data.facts.height, data.facts.width, data.facts.channels) == (8, 6, 1)
    assert data.facts.name == safe_name(name) == "fake_8x6x1_3_20"
    assert data.labels.tolist() == [0, 1, 2] * 5 + [0] and labels.tolist() == [0, 1, 2, 0]


def test_any_of_the_options_alone():
    assert (inspect("fake:size=1000", None).n_train, inspect("fake:size=1000", None).n_test) == (800, 200)
    assert len(inspect("fake:classes=100", None).class_names) == 100
    assert inspect("fake:shape=5x7x3", None).width == 7
    assert safe_name("fake:size=500,classes=10") == "fake"


def test_the_same_name_is_the_same_data(tmp_path):
    names = ("fake", "fake", "fake:size=501", "fake:classes=9", "fake:shape=31x32x3")
    digests = [open_dataset(name, None, picture_store(tmp_path), None).digest for name in names]
    assert digests[0] == digests[1] and len(set(digests)) == 4
    assert digests[0] == "3456c6b77f347cb420db9493042dd9908bd9241f8c4fd201eeb8f6bbc87a155c"


def test_test_pictures_are_others(tmp_path):
    train, test = (
        open_dataset("fake", None, picture_store(tmp_path), None).images,
        open_test("fake", None, picture_store(tmp_path), None)[0],
    )
    assert not {picture.tobytes() for picture in train} & {picture.tobytes() for picture in test}


@pytest.mark.parametrize("channels", [1, 3])
def test_the_tint_tells_the_class(channels, tmp_path):
    name = f"fake:shape=16x16x{channels},classes=4,size=200"
    data, (images, labels) = (
        open_dataset(name, None, picture_store(tmp_path), None),
        open_test(name, None, picture_store(tmp_path), None),
    )
    means = np.stack([data.images[data.labels == number].mean((0, 1, 2)) for number in range(4)])
    nearest = np.abs(images.mean((1, 2))[:, None] - means).sum(-1).argmin(1)
    assert (nearest == labels).mean() > 0.9


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("", "options are shape=HxWxC, classes=N and size=N.*Received: ''"),
        ("0,1", "options are shape=HxWxC.*Received: '0,1'"),
        ("colour=red", "options are shape=HxWxC.*Received: 'colour=red'"),
        ("size=40,size=50", "size is given twice"),
        ("shape=32x32", "shape must be HEIGHTxWIDTHxCHANNELS.*Received: '32x32'"),
        ("shape=32x32x2", "1 or 3 channels.*Received: '32x32x2'"),
        ("shape=0x32x3", "sides from 1 to 4096.*Received: '0x32x3'"),
        ("shape=4097x32x3", "sides from 1 to 4096"),
        ("classes=1", "classes must be an integer from 2 to 1000. Received: '1'"),
        ("classes=ten", "classes must be an integer"),
        ("classes=²", "classes must be an integer"),
        ("size=29", r"size must be an integer from 30 to 1398101 \(3 for each class.*Received: '29'"),
        ("size=2000000", "at most 4 GiB"),
        ("size=-1", "size must be an integer"),
        ("size=\n", "Received: ''"),
    ],
)
def test_refusals(options, words):
    with pytest.raises(DataError, match=words) as caught:
        check_name(f"fake:{options}")
    assert "\n" not in str(caught.value) and str(caught.value).startswith("fake: ")


def test_a_large_shape_may_leave_no_size():
    with pytest.raises(DataError, match="size must be an integer from 30 to 85"):
        check_name("fake:shape=4096x4096x3,size=100")
