"""models/prefix_cache.py: what is kept, how large, last used when; and away with it."""

import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from models.prefix_cache import command
from models.reuse.activations import ActivationStore, Key

KEY = Key("vgg19", "w" * 64, "block4_pool", 32, "caffe", "d" * 64, "train", "all", "", "float16")
SHAPE = (10, 2, 3)


@pytest.fixture
def store(tmp_path) -> ActivationStore:
    return ActivationStore(tmp_path, 10_000)


def path_of(tmp_path: Path, kind: str, of: Key = KEY) -> Path:
    return tmp_path / "prefix" / f"{of.digest()}.{kind}"


def batches():
    return iter([np.ones(SHAPE, "float32")])


def run(*words: object, **env: str):
    return CliRunner().invoke(command, [str(word) for word in words], env=env)


def test_list_and_clear(store, tmp_path, monkeypatch):
    assert run("list", "--cache-dir", tmp_path).output == f"no activations are kept in {tmp_path}\n"
    assert not (tmp_path / "prefix").exists()
    store.get(KEY, SHAPE, batches)
    store.get(replace(KEY, cut="[red]odd[/red]", view="3 of 4", dtype="float32"), SHAPE, batches)
    for kind in ("npy", "json"):
        os.utime(path_of(tmp_path, kind), (1_700_000_000, 1_700_000_000))
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        done = run("list", HPO_CACHE_DIR=str(tmp_path))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.output.splitlines()]
    assert "backbone cut pixels data set split view dtype shape MiB last use".split() in lines
    row = "vgg19 block4_pool 32 dddddddddddd train float16 10 x 2 x 3 0.0 2023-11-15T07:13:20+09:00"
    assert lines.index(row.split()) < next(i for i, line in enumerate(lines) if "[red]odd[/red]" in line)
    assert done.output.splitlines()[-1] == f"2 entries, 0.0 MiB in {tmp_path}"
    path_of(tmp_path, "json").write_text("{")
    assert "(damaged)" in run("list", "--cache-dir", tmp_path).output
    path_of(tmp_path, "npy").write_bytes(bytes(3 * 2**20))
    assert run("clear", "--cache-dir", tmp_path).output == f"3.0 MiB freed in {tmp_path}\n"
    assert list((tmp_path / "prefix").iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Missing argument"),
        (["remove"], "'remove' is not one of 'list', 'clear'"),
        (["list", "more"], "unexpected extra argument"),
        (["list", "--cache-dri", "x"], "--cache-dir"),
        (["list", "--cache-dir", __file__], "cannot be used: Not a directory"),
        (["clear", "--cache-dir", __file__], "cannot be used: Not a directory"),
    ],
)
def test_wrong_arguments_are_one_line(words, said):
    done = run(*words)
    assert done.exit_code == 2
    assert done.output.startswith("error: ") and done.output.count("\n") == 1 and said in done.output


def test_help_says_what_is_shown_and_deleted():
    done = run("--help")
    assert done.exit_code == 0
    for part in ("list", "clear", "--cache-dir", "HPO_CACHE_DIR", "~/.cache/keras-hpo", "least recently used"):
        assert part in done.output
