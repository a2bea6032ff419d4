"""Some classes of a data set, through datasets/registry.py: the same pictures, numbered anew, under another name."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets import DataError
from datasets.registry import DATASETS, check_name, inspect, open_dataset, open_test, safe_name
from datasets.subset import base_name, cut_name
from models.reuse.store import picture_store


def mnist(folder: Path) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    content = {
        "x_train": rng.integers(0, 256, (60, 28, 28), dtype=np.uint8),
        "y_train": (np.arange(60) % 10).astype(np.uint8)[:, None],
        "x_test": rng.integers(0, 256, (20, 28, 28), dtype=np.uint8),
        "y_test": (np.arange(20) % 10).astype(np.uint8)[:, None],
    }
    np.savez(folder / "mnist.npz", **content)
    return content


def pets(root: Path, parts: tuple[str, ...] = ("",), names: tuple[str, ...] = ("cat", "cow", "dog")) -> Path:
    """Ten pictures of each class and part, each of a grey level of its own."""
    for part in parts:
        for number, name in enumerate(names):
            (root / part / name).mkdir(parents=True)
            for index in range(10):
                Image.new("L", (9, 9), 20 * number + index).save(root / part / name / f"{index}.png")
    return root


def levels(images: np.ndarray) -> list[int]:
    return images[:, 0, 0, 0].tolist()


def refused(name: str, call=check_name) -> str:
    with pytest.raises(DataError) as caught:
        call(name)
    message = str(caught.value)
    assert "\n" not in message and message.isprintable()
    return message


@pytest.mark.parametrize("name", ["mnist:3,5", "mnist:5,3", "mnist: 3 , 5"])
def test_two_classes_of_a_file(tmp_path, name):
    content = mnist(tmp_path)
    data = open_dataset(name, tmp_path, picture_store(tmp_path), None)
    rows = np.flatnonzero(np.isin(content["y_train"][:, 0], [3, 5]))
    assert np.array_equal(data.images[..., 0], content["x_train"][rows])
    assert data.labels.tolist() == [0, 1] * 6 and data.labels.dtype == np.int64
    assert data.facts == inspect(name, tmp_path)
    assert (data.facts.name, data.facts.class_names) == ("mnist_3_5", ("3", "5"))
    assert (data.facts.n_train, data.facts.n_test, data.fixed_val) == (12, 4, None)
    images, labels = open_test(name, tmp_path, picture_store(tmp_path), None)
    assert np.array_equal(images[..., 0], content["x_test"][[3, 5, 13, 15]]) and labels.tolist() == [0, 1, 0, 1]


def test_each_subset_has_its_own_digest_and_name(tmp_path):
    mnist(tmp_path)
    names = ["mnist", "mnist:3,5", "mnist:3,4,5", "mnist:4,5"]
    assert len({open_dataset(name, tmp_path, picture_store(tmp_path), None).digest for name in names}) == 4
    assert [safe_name(name) for name in names] == ["mnist", "mnist_3_5", "mnist_3_4_5", "mnist_4_5"]


def test_all_classes_are_the_whole(tmp_path):
    mnist(tmp_path)
    every = "mnist:" + ",".join("9876543210")
    whole, data = (open_dataset(name, tmp_path, picture_store(tmp_path), None) for name in ("mnist", every))
    assert (data.facts, data.digest) == (whole.facts, whole.digest)


@pytest.mark.parametrize(
    ("name", "n_train", "n_test"), [("cifar10:cat,dog", 10_000, 2_000), ("mnist:0,1,9", 18_614, 3_124)]
)
def test_without_a_file_the_official_numbers_are_known(name, n_train, n_test):
    facts = inspect(name, None)
    assert (facts.n_train, facts.n_test) == (n_train, n_test)


def test_digits_keep_their_test_pictures(tmp_path):
    pytest.importorskip("sklearn")
    images, labels = open_test("digits", None, picture_store(tmp_path), None)
    some, renumbered = open_test("digits:8,1", None, picture_store(tmp_path), None)
    assert np.array_equal(some, images[np.isin(labels, [1, 8])])
    assert np.array_equal(renumbered, (labels[np.isin(labels, [1, 8])] == 8).astype(int))
    facts = inspect("digits:8,1", None)
    assert facts.n_test == len(some)
    assert facts.n_train == len(open_dataset("digits:8,1", None, picture_store(tmp_path), None).labels)


def test_a_class_without_pictures_is_named(tmp_path):
    content = mnist(tmp_path)
    np.savez(tmp_path / "mnist.npz", **{**content, "y_train": np.zeros(60, np.uint8)})
    assert "no picture of the class '5'" in refused(
        "mnist:0,5", lambda name: open_dataset(name, tmp_path, picture_store(tmp_path), None)
    )


def test_labels_that_cannot_be_counted_do_not_stop_the_search(tmp_path):
    content = mnist(tmp_path)
    np.savez(tmp_path / "mnist.npz", **{**content, "y_test": np.array([object()] * 20)})
    assert inspect("mnist:0,5", tmp_path).n_test is None
    assert len(open_dataset("mnist:0,5", tmp_path, picture_store(tmp_path), None).labels) == 12


def test_names_are_matched_without_case_if_not_exactly():
    assert inspect("cifar10:DOG,Cat", None).class_names == ("cat", "dog")
    assert inspect("fashion_mnist:t-shirt/top,ankle boot", None).class_names == ("T-shirt/top", "Ankle boot")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cifar10:cat,dgo", ("'dgo'", "Did you mean dog?", "Allowed: airplane, automobile, bird")),
        ("cifar100:maple,rose", ("'maple'", "maple_tree", "apple, aquarium_fish, baby and 97 more")),
        ("cifar10:cat", ("at least 2 classes", "Received: cat.", "truck")),
        ("cifar10:cat,dog,CAT", ("class 'cat' is named twice", "Received: cat,dog,CAT")),
        ("cifar10:", ("must follow the colon", "Received: ''", "truck")),
        ("cifar10:cat,,dog", ("must follow the colon", "Received: 'cat,,dog'")),
        ("mnist:3,10", ("no class '10'", "Allowed: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9")),
        ("cifar10:cat,\ndog\x1b", ("no class 'dog?'",)),
    ],
)
def test_refusals(name, words):
    for call in (check_name, safe_name, lambda name: inspect(name, None)):
        message = refused(name, call)
        assert all(word in message for word in words), message


def test_some_classes_of_a_flat_folder(tmp_path):
    root = pets(tmp_path / "my pets")
    whole, name = str(root), f"{root}:dog,cat"
    check_name(name)
    facts = inspect(name, None)
    assert (facts.name, facts.class_names) == ("my-pets_cat_dog", ("cat", "dog")) and safe_name(name) == facts.name
    assert (facts.n_train, facts.n_val, facts.n_test) == (16, None, 4)
    data = open_dataset(name, None, picture_store(tmp_path / "cache"), 8)
    everything = open_dataset(whole, None, picture_store(tmp_path / "cache"), 8)
    assert levels(data.images) == [level for level in levels(everything.images) if not 20 <= level < 40]
    assert data.labels.tolist() == [0] * 8 + [1] * 8 and data.digest != everything.digest
    # a test picture of the whole stays one
    images, labels = open_test(name, None, picture_store(tmp_path / "cache"), 8)
    assert levels(images) == [
        level
        for level in levels(open_test(whole, None, picture_store(tmp_path / "cache"), 8)[0])
        if not 20 <= level < 40
    ]
    assert labels.tolist() == [0, 0, 1, 1]


def test_some_classes_of_a_folder_with_splits(tmp_path):
    name = f"{pets(tmp_path / 'pets', ('train', 'val', 'test'))}:cow,dog"
    data = open_dataset(name, None, picture_store(tmp_path / "cache"), 8)
    assert (data.facts.n_train, data.facts.n_val, data.facts.n_test) == (20, 20, 20)
    assert data.fixed_val is not None and data.fixed_val.tolist() == list(range(20, 40))
    assert data.labels.tolist() == ([0] * 10 + [1] * 10) * 2
    assert levels(open_test(name, None, picture_store(tmp_path / "cache"), 8)[0]) == [*range(20, 30), *range(40, 50)]


def test_what_is_wrong_with_other_classes_does_not_matter(tmp_path):
    root = pets(tmp_path / "pets")
    (root / "cow" / "notes.txt").touch()
    (root / "cow" / "0.png").write_bytes(b"damaged")
    (root / "empty").mkdir()
    assert "1 file" in refused(str(root), lambda name: inspect(name, None))
    assert len(open_dataset(f"{root}:cat,dog", None, picture_store(tmp_path / "cache"), 8).labels) == 16
    assert "class 'empty'" in refused(f"{root}:cat,empty", lambda name: inspect(name, None))


def test_only_the_chosen_classes_are_decoded(tmp_path):
    root = pets(tmp_path / "pets")
    open_dataset(f"{root}:cat,dog", None, picture_store(tmp_path / "cache"), 8)
    (decoded,) = (tmp_path / "cache" / "pictures").glob("*.npy")
    assert len(np.load(decoded, mmap_mode="r")) == 16


def test_folder_refusals(tmp_path):
    root = pets(tmp_path / "pets", names=("Cat", "cat", "dog"))
    assert inspect(f"{root}:cat,DOG", None).class_names == ("cat", "dog")
    assert "Did you mean Cat or cat?" in refused(f"{root}:CAT,dog", lambda name: inspect(name, None))
    assert "at least 2 classes" in refused(f"{root}:dog", lambda name: inspect(name, None))


def test_any_class_name_can_be_chosen(tmp_path):
    root = pets(tmp_path / "pets", names=("a", "a,b", "b:c", "鳥"))
    assert inspect(f"{root}:a,b,鳥", None).class_names == ("a,b", "鳥")
    assert inspect(f"{root}:b:c,a", None).class_names == ("a", "b:c")
    names = [safe_name(f"{root}:{chosen}") for chosen in ("a,鳥", "a,烏", "a,b:c", "a,b-c", "a,b_c")]
    assert len(set(names)) == 5 and all(name.isascii() and "/" not in name and ":" not in name for name in names)


def test_what_exists_goes_before_the_colon(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pets(tmp_path / "mnist:3,5")
    pets(tmp_path / "C:" / "pets")
    assert inspect("mnist:3,5", None).class_names == ("cat", "cow", "dog")
    assert cut_name("mnist:3,5") == ("mnist:3,5", None)
    assert cut_name("C:/pets:cat,dog") == ("C:/pets", "cat,dog")
    assert cut_name("C:/pets") == ("C:/pets", None)
    assert (base_name("mnist:3,4"), base_name("digits"), base_name("no:where")) == ("mnist", "digits", "no:where")


def test_names_of_many_classes_stay_short():
    classes = ",".join(DATASETS["cifar100"].class_names[:60])
    other = ",".join(DATASETS["cifar100"].class_names[1:61])
    assert len(safe_name(f"cifar100:{classes}")) < 40
    assert safe_name(f"cifar100:{classes}").startswith("cifar100_60_classes-")
    assert safe_name(f"cifar100:{classes}") != safe_name(f"cifar100:{other}")
