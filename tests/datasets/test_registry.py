"""datasets/registry.py: names, suggestions, and that a look costs nothing."""

import subprocess
import sys

import pytest

from datasets import DataError
from datasets.registry import DATASETS, check_name, inspect, open_dataset
from models.reuse.store import picture_store


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "mnist", "fashion_mnist", "digits", "fake"])
def test_catalogue(name):
    info = DATASETS[name]
    assert info.name == name
    assert len(set(info.class_names)) == (100 if name == "cifar100" else 10)
    check_name(name)
    facts = inspect(name, None)
    assert (facts.name, facts.n_train, facts.n_test, facts.n_val) == (name, info.n_train, info.n_test, None)


def test_cifar100_names_are_in_the_official_order():
    names = DATASETS["cifar100"].class_names
    assert list(names) == sorted(names)
    assert (names[0], names[52], names[99]) == ("apple", "oak_tree", "worm")


@pytest.mark.parametrize("name", DATASETS)
def test_official_numbers_of_each_class_add_up(name):
    info = DATASETS[name]
    train, test = info.per_class()
    assert len(train) == len(test) == len(info.class_names)
    assert (sum(train), sum(test)) == (info.n_train, info.n_test)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("cifar-10", "Did you mean cifar10"),
        ("Fashion-MNIST", "Did you mean fashion_mnist"),
        ("", "neither a known"),
        ("cifar-10:cat,dog", "'cifar-10:cat,dog'.*Did you mean cifar10"),
        ("nowhere:cat,dog", "NAME:class,class"),
    ],
)
def test_unknown_names(given, words):
    with pytest.raises(DataError, match=words) as caught:
        check_name(given)
    assert "cifar10, cifar100, mnist, fashion_mnist, digits, fake, or a folder" in str(caught.value)
    assert "folder of pictures" in str(caught.value)


def test_an_existing_folder_passes_and_a_file_does_not(tmp_path):
    check_name(str(tmp_path))
    (tmp_path / "file.npz").touch()
    for call in (
        check_name,
        lambda name: open_dataset(name, None, picture_store(tmp_path), None),
        lambda name: inspect(name, None),
    ):
        with pytest.raises(DataError, match="is a file, not a folder"):
            call(str(tmp_path / "file.npz"))


def test_a_look_imports_no_framework():
    code = (
        "import sys; from datasets.registry import DATASETS, inspect; [inspect(n, None) for n in DATASETS];"
        "print({'keras', 'tensorflow', 'sklearn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "set()\n"
