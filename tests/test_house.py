"""The house: three floors, no circles, and who may import what (see DESIGN: The house)."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = {
    "hpo": {"hpo", "studies", "models", "datasets"},
    "studies": {"studies", "models.candidate"},
    "models": {"models"},
    "datasets": {"datasets"},
}
# A command stands above the house, and nothing in it uses a command: one trains a network on a data set, one speaks to
# the user as all commands do.
COMMANDS = {
    "models/pretrain.py": {"datasets"},
    "datasets/preview/__main__.py": {"models.command", "models.quiet", "models.reuse.store"},
}
ONLY_IN = {
    "keras": ("models/", "datasets/"),
    "optuna": ("hpo/", "studies/"),
    "tensorflow": ("models/latency.py", "models/training/backend.py", "models/export/runtimes.py"),
    "jax": ("models/latency.py", "models/training/backend.py"),
    "torch": ("models/latency.py", "models/training/backend.py", "models/weights/torchvision.py"),
}
FILES = sorted(path.relative_to(ROOT).as_posix() for floor in FLOORS for path in (ROOT / floor).rglob("*.py"))


def imported(path: str) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def within(name: str, allowed: set[str]) -> bool:
    return any(name == one or name.startswith(one + ".") for one in allowed)


@pytest.mark.parametrize("path", FILES)
def test_imports_stay_on_their_floor(path):
    allowed = FLOORS[path.split("/")[0]] | COMMANDS.get(path, set())
    for name in imported(path):
        if name.split(".")[0] in FLOORS and name not in FLOORS:
            assert within(name, allowed), f"{path} imports {name}"
        for library, places in ONLY_IN.items():
            if within(name, {library}):
                assert path.startswith(places), f"{path} imports {library}"


@pytest.mark.parametrize("path", FILES)
def test_nothing_uses_a_command(path):
    modules = {command.removesuffix(".py").replace("/", ".") for command in COMMANDS}
    assert not [name for name in imported(path) if within(name, modules)]


@pytest.mark.parametrize("path", FILES)
def test_only_the_space_suggests_and_nothing_is_evaluated(path):
    called = [
        node.func
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    ]
    methods = {function.attr for function in called if isinstance(function, ast.Attribute)}
    names = {function.id for function in called if isinstance(function, ast.Name)}
    suggesting = {name for name in methods if name.startswith("suggest_")}
    assert not suggesting or path == "hpo/search/space.py"
    assert not {"eval", "exec"} & names
    assert not {"load_model"} & (names | methods)


def test_every_test_file_mirrors_a_source_file():
    for path in (ROOT / "tests").glob("*/**/test_*.py"):
        source = ROOT / path.parent.relative_to(ROOT / "tests") / path.name.removeprefix("test_")
        assert source.is_file(), f"{path.name} tests {source.relative_to(ROOT)}, which does not exist"
