"""Functions of the user's by their names."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from models import ModelError
from models.own.reference import Reference, load, parse


def written(folder: Path, text: str, name: str = "mine.py") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("text", "expected", "name"),
    [
        ("mine:build", Reference("mine", "build"), "mine"),
        ("lab.networks.tiny:build", Reference("lab.networks.tiny", "build"), "tiny"),
        ("a b/mine.py:wide", Reference("a b/mine.py", "wide"), "mine.wide"),
        ("C:/mine.py:build", Reference("C:/mine.py", "build"), "mine"),
        ("a/mine.keras", Reference("a/mine.keras", ""), "mine"),
    ],
)
def test_a_reference_from_its_text(text: str, expected: Reference, name: str) -> None:
    assert parse(text) == expected
    assert parse(text).name == name


@pytest.mark.parametrize(
    "text", ["", "keras_hub:", "build", "mine.py", "mine:", ":build", "mine:bu ild", "1mine:build", "a..b:build"]
)
def test_another_form_is_refused(text: str) -> None:
    with pytest.raises(
        ModelError,
        match=r"named as my_package.my_module:build, path/file.py:build, path/file.keras or keras_hub:PRESET. ",
    ):
        parse(text)


def test_a_file_is_imported_once_with_what_lies_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    written(tmp_path, "WIDTH = 7", "beside_mine.py")
    text = "import beside_mine\nbuild = lambda shape: beside_mine.WIDTH\ndef preprocess(x): return x\n"
    path = written(tmp_path, text)
    own = load(parse(f"{path}:build"))
    assert own.build((8, 8, 3)) == 7
    assert own.preprocess is not None and own.preprocess(3) == 3
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert own.source == f"mine.py:build {digest} and mine.py:preprocess {digest}"
    assert load(parse(f"{path}:build")).build is own.build


def test_a_module_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    written(tmp_path, "def build(shape): return shape\n", "own_by_name.py")
    own = load(parse("own_by_name:build"))
    assert own.build((8, 8, 3)) == (8, 8, 3)
    assert own.preprocess is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("other = 1", "build is not there in .*mine.py. Allowed: it has no function of its own"),
        ("build = 1\ndef wide(shape): pass", "build is no function in .*mine.py. Allowed: wide"),
        ("def build(shape): pass\npreprocess = 1", "preprocess in .*mine.py must be a function. Received: int"),
        ("x = 1\nraise OSError('gone')", r"mine.py cannot be imported: OSError: gone \(mine.py, line 2\)"),
        ("import no_such_module", r"cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"),
        ("def build(:", r"cannot be imported: SyntaxError: .* \(mine.py, line 1\)"),
        ("raise SystemExit(0)", "cannot be imported: SystemExit: 0"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(text: str, message: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ModelError, match=message) as caught:
        load(parse(f"{path}:build"))
    assert "\n" not in str(caught.value)


def test_a_file_that_failed_is_read_again_when_it_is_mended(tmp_path: Path) -> None:
    path = written(tmp_path, "raise OSError")
    with pytest.raises(ModelError):
        load(parse(f"{path}:build"))
    written(tmp_path, "def build(shape): return 1  # mended")
    assert load(parse(f"{path}:build")).build((8, 8, 3)) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no_such_module:build", "there is no module no_such_module; a file is named by its path"),
        ("no_such_package.mine:build", "there is no module no_such_package.mine"),
        ("nowhere/mine.py:build", "there is no file nowhere/mine.py"),
        ("builtins:print", "builtins is part of Python itself"),
    ],
)
def test_what_is_not_there_is_said(text: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load(parse(text))
