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
    "tensorflow": ("models/device.py", "models/training/backend.py", "models/export/runtimes.py"),
    "jax": ("models/device.py", "models/training/backend.py"),
    "torch": ("models/device.py", "models/training/backend.py", "models/weights/torchvision.py"),
}
# What is private in a library is used in one module, and first missed by its test.
PRIVATE = {
    "models/keras_graph.py": "tests/models/test_keras_graph.py",
    "studies/optuna_private.py": "tests/studies/test_optuna_private.py",
}
OWN = {"self", "cls"}
DOCUMENTED = {"_replace", "_exit"}  # of a named tuple, of os: public in spite of their names
FILES = sorted(path.relative_to(ROOT).as_posix() for floor in FLOORS for path in (ROOT / floor).rglob("*.py"))
OUTSIDE = sorted(
    path.relative_to(ROOT).as_posix() for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")
)


def private_names(path: str) -> set[str]:
    """Names with a leading underscore that a file takes from another object or module than its own."""
    names = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and not (isinstance(node.value, ast.Name) and node.value.id in OWN):
            names.add(node.attr)
        elif isinstance(node, ast.ImportFrom):
            names |= {*(node.module or "").split("."), *(alias.name for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {part for alias in node.names for part in alias.name.split(".")}
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.endswith("attr"):
            names |= {argument.value for argument in node.args[1:2] if isinstance(argument, ast.Constant)}
    return {name for name in names if name.startswith("_") and not name.startswith("__")} - DOCUMENTED


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
def test_nobody_reaches_into_another_object_but_the_adapters(path):
    if path not in PRIVATE:
        assert not private_names(path), f"{path} uses what is private"


@pytest.mark.parametrize("path", OUTSIDE)
def test_nor_do_tests_and_benchmarks_where_it_is_a_librarys(path):
    theirs = set().union(*(private_names(adapter) for adapter in PRIVATE))
    if path not in PRIVATE.values() and path != "tests/studies/dashboard.py":
        assert not private_names(path) & theirs, f"{path} uses what is private to a library"


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
