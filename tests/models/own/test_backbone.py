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
from models.own.registry import own_of

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
    assert own.source.startswith("tests.models.own.test_backbone:tiny ")


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
