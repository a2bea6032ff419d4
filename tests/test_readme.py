"""The README is true: every option with its default and text, every command, every file that it names."""

import re
from pathlib import Path

import pytest

from hpo.config import StudyConfig, meta
from models.backbones import BACKBONES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def option_row(name: str) -> str:
    field = StudyConfig.model_fields[name]
    text, _, words = str(field.description).partition("; default ")
    default = (
        words if words else "off" if field.default is False else "" if field.default is None else f"`{field.default}`"
    )
    variable = meta(name, "env")
    env = f" (environment: `{variable}`)" if variable else ""
    return f"| `--{name.replace('_', '-')}` | {default} | {text}{env} |".replace("<", "&lt;")


def test_options_table():
    table = "\n".join(
        ["| option | default | meaning |", "| --- | --- | --- |", *map(option_row, StudyConfig.model_fields)]
    )
    assert table in README, f"the README's options table should be:\n{table}"


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"(?:tests/)?(?:hpo|models|studies|datasets)/[\w/]+\.?\w*", README)))
)
def test_files_that_are_named_exist(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("module", sorted(set(re.findall(r"python -m ([\w.]+)", README))))
def test_commands_that_are_named_exist(module):
    path = ROOT / module.replace(".", "/")
    assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()


def test_pictures_that_are_shown_exist_and_nothing_is_left_to_fill_in():
    assert all((ROOT / path).is_file() for path in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README))
    assert "@@" not in README


def test_numbers_that_are_named():
    assert f"{len(BACKBONES)} networks" in README
    of_keras = sum(bool(backbone.application) for backbone in BACKBONES.values())
    assert f"{of_keras} classifiers" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
