"""Networks of one's own as Python hands them over."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hpo import Backbone, StudyConfig
from models import ModelError
from models.own import registry
from models.own.backbone import allow
from models.own.registry import named, own_of

ROOT = Path(__file__).parents[3]


def tiny(shape: tuple[int, int, int]) -> Any:
    return shape


def halved(x: Any) -> Any:
    return x / 2


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_known", {})


def test_a_study_knows_it_by_its_name() -> None:
    config = StudyConfig(backbone=Backbone("tiny", tiny, preprocess=halved, min_resolution=8, native_resolution=16))  # type: ignore[arg-type]
    assert (config.backbone, config.study_name) == ("tiny", "tiny-digits")
    own = own_of("tiny")
    assert (own.build, own.min_resolution, own.native_resolution) == (tiny, 8, 16)
    assert own.preprocess is not None and own.preprocess(3) == 1.5
    assert [part.split()[0] for part in own.source.split(" and ")] == [
        "test_backbone.py:tiny",
        "test_backbone.py:halved",
    ]


def test_until_then_it_is_not_known() -> None:
    Backbone("tiny", tiny)
    with pytest.raises(ModelError, match="was not named"):
        own_of("tiny")


def test_functions_of_a_script_are_found_in_its_file(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from hpo import Backbone\n"
        "from models.own.registry import own_of\n"
        "def build(shape): return 'mine'\n"
        "if __name__ == '__main__':\n"
        "    Backbone('mine', build).register()\n"
        "    own = own_of('mine')\n"
        "    print(own.build is build, own.source.split()[0])\n"
    )
    environment = {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=environment)
    assert (done.stdout, done.stderr) == ("True script.py:build\n", "")


def test_python_and_the_command_line_mean_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lab_twice.py").write_text("def build(shape): return 1\ndef preprocess(x): return x\n")
    monkeypatch.syspath_prepend(tmp_path)
    import lab_twice  # type: ignore[import-not-found]

    Backbone("python", lab_twice.build, preprocess=lab_twice.preprocess).register()
    Backbone("bare", lab_twice.build).register()
    named(f"{tmp_path / 'lab_twice.py'}:build", "typed")
    assert own_of("python").source == own_of("typed").source != own_of("bare").source


def test_a_study_is_gone_on_with_under_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "lab.py").write_text("def build(shape): return 1\n")
    named(f"{tmp_path / 'lab.py'}:build", "before")
    source = own_of("before").source
    allow("mine", source, f"{tmp_path / 'lab.py'}:build")
    assert (own_of("mine").name, own_of("mine").source) == ("mine", source)


def test_of_several_codes_the_one_of_its_name_is_taken(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / f"{name}.py").write_text(f"def build(shape): return {name!r}\n")
    given = ",".join(f"{tmp_path / name}.py:build" for name in ("one", "other"))
    named(f"{tmp_path / 'other.py'}:build", "before")
    source = own_of("before").source
    allow("other", source, given)
    assert own_of("other").build((1, 1, 3)) == "other"
    allow("third", source, given)
    assert not registry.is_registered("third")


def test_other_code_is_refused_here_and_in_processes_that_are_started(tmp_path: Path) -> None:
    (tmp_path / "lab.py").write_text("def build(shape): return 1\n")
    allow("lab", f"lab.py:build {'0' * 64}", f"{tmp_path / 'lab.py'}:build")
    with pytest.raises(
        ModelError, match="the code of lab has changed. Received: lab.py:build .* Begun with: lab.py:build 000"
    ):
        own_of("lab")
    code = "from models.own.registry import own_of; own_of('lab')"
    environment = {"PYTHONPATH": str(ROOT), **registry.variables()}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert "the code of lab has changed" in done.stderr


def test_the_same_code_may_be_given_other_settings() -> None:
    Backbone("tiny", tiny).register()
    Backbone("tiny", tiny, min_resolution=8).register()
    assert own_of("tiny").min_resolution == 8


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"build": lambda shape: shape}, "build must be a function at the top level of a module or script"),
        ({"build": "tiny"}, "build must be a function at the top level of a module or script"),
        ({"build": tiny, "preprocess": 3}, "preprocess must be a function at the top level"),
        ({"build": tiny, "min_resolution": 64, "native_resolution": 32}, "must be from 1 to 4096 px, the first not"),
        ({"build": tiny, "min_resolution": 0}, "must be from 1 to 4096 px.* Received: 0 and 224"),
    ],
)
def test_what_cannot_be(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Backbone("tiny", **values)


def test_functions_that_were_typed_in(tmp_path: Path) -> None:
    code = (
        "from hpo import Backbone\n"
        "def build(shape): return shape\n"
        "try:\n    Backbone('mine', build)\nexcept ValueError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT)}
    )
    assert done.stdout.startswith("build must stand in a file, from which worker processes can import it. Received: ")
