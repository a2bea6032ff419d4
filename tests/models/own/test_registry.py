"""Which networks of the user's own may be built, by whom, and what never makes one so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hpo.config import make_config, restore_config
from hpo.errors import BadField
from models import ModelError
from models.backbones import get_backbone, sides_of, with_top
from models.catalogue import OWN
from models.own import registry
from models.own.reference import Reference
from models.own.registry import Registered, Settings, code_of, named, own_of, register, variables

BUILDS = "def build(shape): return shape\n"


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_known", {})
    monkeypatch.delenv(registry.VARIABLE, raising=False)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(BUILDS + "def preprocess(x): return x\nmin_resolution = 8\nnative_resolution = 16\n")
    return path


def test_a_file_is_named_and_then_known_by_its_name(mine: Path) -> None:
    assert named(f"{mine}:build") == "mine"
    assert get_backbone("mine").weights == OWN
    own = own_of("mine")
    assert (own.build((4, 4, 3)), own.min_resolution, own.native_resolution) == ((4, 4, 3), 8, 16)
    assert own.preprocess is not None
    assert sides_of(get_backbone("mine")) == (8, 16)


def test_commands_to_go_on_with_name_it_as_it_is_seen_from_here(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named(f"{mine}:build")
    monkeypatch.chdir("/")
    assert code_of("mine") == f"{str(mine)[1:]}:build"
    monkeypatch.chdir(mine.parent)
    assert code_of("mine") == "mine.py:build"
    (mine.parent / "elsewhere").mkdir()
    monkeypatch.chdir(mine.parent / "elsewhere")
    assert (code_of("mine"), code_of("vgg16")) == (f"{mine}:build", "")


def test_naming_does_not_import(tmp_path: Path) -> None:
    path = tmp_path / "loud.py"
    path.write_text("raise SystemExit('imported')")
    assert named(f"{path}:build") == "loud"
    with pytest.raises(ModelError, match="loud.py cannot be imported: SystemExit: imported"):
        own_of("loud")


def test_a_name_of_ours_is_a_name() -> None:
    assert named("vgg16") == "vgg16"
    assert variables() == {}


def test_a_module_is_found_beside_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "module_of_mine.py").write_text(BUILDS)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    assert named("module_of_mine:build") == "module_of_mine"
    monkeypatch.chdir("/")
    assert own_of("module_of_mine").build((2, 2, 3)) == (2, 2, 3)


def test_settings_of_python_stand_in_for_what_is_beside_the_function(mine: Path) -> None:
    register("other", Registered(Reference(str(mine), "build"), Settings(None, 32, 64)))
    own = own_of("other")
    assert (own.name, own.preprocess, own.min_resolution, own.native_resolution) == ("other", None, 32, 64)


def test_the_source_has_preprocessing_of_another_file(mine: Path, tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("def scaled(x): return x\n")
    beside = Reference(str(tmp_path / "beside.py"), "scaled")
    register("both", Registered(Reference(str(mine), "build"), Settings(beside)))
    first, second = own_of("both").source.split(" and ")
    assert first.startswith("mine.py:build ") and second.startswith("beside.py:scaled ")


def test_processes_that_we_start_know_the_same(mine: Path) -> None:
    register("mine", Registered(Reference(str(mine), "build"), Settings(Reference(str(mine), "preprocess"), 4, 8)))
    code = "from models.own.registry import own_of; own = own_of('mine'); print(own.min_resolution, own.preprocess(7))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | variables()
    )
    assert done.stdout == "4 7\n"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("vgg16.py", ":build", "vgg16.py:build would be called vgg16, which is one of ours"),
        ("my net.py", ":build", "the name of a network must be 1 to 100 letters, digits .* Received: my net"),
        ("vgg16.keras", "", "vgg16.keras would be called vgg16, which is one of ours"),
    ],
)
def test_names_that_cannot_be(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(BUILDS)
    with pytest.raises(ModelError, match=message):
        named(f"{tmp_path / name}{text}")


def test_two_networks_have_two_names(mine: Path, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "mine.py").write_text(BUILDS)
    named(f"{mine}:build")
    assert named(f"{mine}:build") == "mine"  # the same again
    with pytest.raises(ModelError, match=r"sub/mine.py:build would be called mine, which .*mine.py:build is called"):
        named(f"{tmp_path / 'sub' / 'mine.py'}:build")


@pytest.mark.parametrize("text", ["nowhere/mine.py:build", "nowhere.keras"])
def test_a_file_that_is_not_there(text: str) -> None:
    with pytest.raises(ModelError, match=f"there is no file {text.split(':')[0]}"):
        named(text)


@pytest.mark.parametrize("text", ["{}:build", "mine", "module:build"])
def test_what_a_configuration_says_is_never_code(text: str, mine: Path) -> None:
    """So a study's options in a database, and a preset, cannot make code be imported: they pass through here."""
    with pytest.raises(BadField, match="backbone must be a known network.* one of your own is named by its code"):
        make_config({"backbone": text.format(mine)})
    assert registry.variables() == {}


def test_neither_a_preset_nor_a_database_names_a_hypermodel(mine: Path, tmp_path: Path) -> None:
    preset = tmp_path / "mine.toml"
    preset.write_text(f'hypermodel = "{mine}:build"\n')
    with pytest.raises(BadField, match="has the unknown field hypermodel"):
        make_config({}, str(preset))
    with pytest.raises(BadField, match="hypermodel must be an instance of keras_tuner.HyperModel"):
        restore_config({"hypermodel": f"{mine}:build", "dataset": "digits"}, "mine", {})
    assert registry.variables() == {}


def test_a_classifier_of_its_own_it_has_none(mine: Path) -> None:
    named(f"{mine}:build")
    with pytest.raises(ModelError, match="mine is a network of your own, without a classifier: --no-top"):
        with_top(get_backbone("mine"), 16)


def test_what_was_not_named_is_not_built() -> None:
    with pytest.raises(ModelError, match="the code of mine, a network of your own, was not named"):
        own_of("mine")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("min_resolution = 0", "min_resolution in .* must be from 1 to 4096 px. Received: 0"),
        ("native_resolution = '64'", "native_resolution in .* must be from 1 to 4096 px. Received: 64"),
        ("min_resolution = 64; native_resolution = 32", "native_resolution in .* must be at least 64 px. Received: 32"),
    ],
)
def test_sides_that_cannot_be(line: str, message: str, mine: Path) -> None:
    mine.write_text(BUILDS + line)
    named(f"{mine}:build")
    with pytest.raises(ModelError, match=message):
        own_of("mine")


def test_a_large_least_side_is_the_native_one(mine: Path) -> None:
    mine.write_text(BUILDS + "min_resolution = 256")
    named(f"{mine}:build")
    assert sides_of(get_backbone("mine")) == (256, 256)


def test_the_environment_of_the_caller_is_left_alone(mine: Path) -> None:
    before = dict(os.environ)
    named(f"{mine}:build")
    assert dict(os.environ) == before
    assert json.loads(variables()[registry.VARIABLE])["mine"]["code"]["module"] == str(mine)
