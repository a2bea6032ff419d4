"""The house: who may import what, and what starts fast (see docs, architecture). There are no exceptions by name."""

import ast
import functools
import graphlib
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Each of the top packages may import itself and these; a command stands above the house and may import everything.
FLOORS = {"hpo": {"studies", "models", "datasets"}, "studies": {"models.candidate"}, "models": set(), "datasets": set()}
ONLY_IN = {
    "keras": ("models/", "datasets/"),
    "optuna": ("hpo/", "studies/"),
    "tensorflow": (
        "models/device.py",
        "models/training/backend.py",
        "models/export/runtimes.py",
        "models/export/one_output.py",
    ),
    "jax": ("models/device.py", "models/training/backend.py"),
    "torch": ("models/device.py", "models/training/backend.py", "models/weights/torchvision.py"),
}
# What is private in a library is used in one module, and first missed by its test.
PRIVATE = {
    "models/keras_graph.py": "tests/models/test_keras_graph.py",
    "studies/one_writer.py": "tests/studies/test_one_writer.py",
    "studies/optuna_private.py": "tests/studies/test_optuna_private.py",
    "studies/waiting_storage.py": "tests/studies/test_waiting_storage.py",
    "hpo/worker/ray_private.py": "tests/hpo/worker/test_ray_private.py",
}
# Inside hpo/, from the top: each room may import itself and these.
ROOMS = {
    "command": {"study", "terminal", "config", "errors"},
    "hpo": {"study", "config", "errors"},
    "study": {"terminal", "search", "final", "reporting", "worker", "config", "errors"},
    "terminal": {"final", "reporting", "worker", "config", "errors"},
    "search": {"integrations", "worker", "config", "errors"},
    "final": {"worker", "config", "errors"},
    "reporting": {"worker", "config", "errors"},
    "worker": {"config", "errors"},
    "integrations": set(),
    "config": {"errors"},
    "errors": set(),
}
OWN = {"self", "cls", "super()"}
DOCUMENTED = {"_replace", "_exit"}  # of a named tuple, of os: public in spite of their names
SLOW = {"keras", "tensorflow", "optuna", "plotly", "matplotlib", "sklearn", "ray"}  # half a second to ten seconds each
MOST_FILES = 13  # directly in hpo/: what can be typed, and what that needs
WHAT_ONE_TYPES = {
    "hpo.run",
    "hpo.evaluate",
    "hpo.predict",
    "hpo.export",
    "hpo.report",
    "hpo.compare",
    "hpo.dashboard",
    "models.profile",
    "models.pretrain",
    "models.prefix_cache",
    "datasets.preview",
}


def files_below(*folders: str) -> list[str]:
    return sorted(path.relative_to(ROOT).as_posix() for folder in folders for path in (ROOT / folder).rglob("*.py"))


@functools.cache
def tree(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def module_of(path: str) -> str:
    """`models/zoo/__init__.py` -> `models.zoo`."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def is_command(path: str) -> bool:
    """Whether it ends in `if __name__ == "__main__":`."""
    last = tree(path).body[-1:]
    return bool(last) and isinstance(last[0], ast.If) and ast.unparse(last[0].test) == "__name__ == '__main__'"


def typed(command: str) -> str:
    """What stands behind `python -m`."""
    return module_of(command).removesuffix(".__main__")


FILES, OUTSIDE = files_below(*FLOORS), files_below("tests", "benchmarks")
MODULES = {module_of(path): path for path in FILES}
COMMANDS = [path for path in FILES if is_command(path)]


@functools.cache
def imported(path: str) -> set[str]:
    """All modules that a file imports anywhere, ours and others'; of a package's name it takes: the package."""
    names = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path} has a relative import"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in MODULES else node.module for name in inner}
    return names


def ours(path: str) -> set[str]:
    """The files of the project among them."""
    return {MODULES[name] for name in imported(path) if name in MODULES}


def within(name: str, allowed: set[str]) -> bool:
    return any(name == package or name.startswith(package + ".") for package in allowed)


@functools.cache
def private_names(path: str) -> set[str]:
    """Names with a leading underscore that a file takes from another object or module than its own."""
    names = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) not in OWN:
            names.add(node.attr)
        elif isinstance(node, ast.ImportFrom):
            names |= {*(node.module or "").split("."), *(alias.name for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {part for alias in node.names for part in alias.name.split(".")}
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.endswith("attr"):
            names |= {argument.value for argument in node.args[1:2] if isinstance(argument, ast.Constant)}
    return {name for name in names if name.startswith("_") and not name.startswith("__")} - DOCUMENTED


@pytest.mark.parametrize("path", FILES)
def test_imports_stay_on_their_floor(path):
    package = path.split("/")[0]
    allowed = set(FLOORS) if path in COMMANDS else FLOORS[package] | {package}
    for name in imported(path):
        if name.split(".")[0] in FLOORS:
            assert within(name, allowed), f"{path} imports {name}"
        for library, places in ONLY_IN.items():
            if within(name, {library}):
                assert path.startswith(places), f"{path} imports {library}"


def room_of(path: str) -> str:
    """`hpo/search/loop.py` -> `search`, `hpo/config.py` -> `config`, `hpo/__init__.py` -> `hpo`."""
    return "command" if path in COMMANDS else module_of(path).removeprefix("hpo.").split(".")[0]


@pytest.mark.parametrize("path", [path for path in FILES if path.startswith("hpo/")])
def test_inside_hpo_nobody_calls_upwards(path):
    here = room_of(path)
    for other in ours(path) - {path}:
        if other.startswith("hpo/"):
            assert room_of(other) in ROOMS[here] | {here}, f"{path} ({here}) imports {other} ({room_of(other)})"


def test_no_imports_run_in_a_circle():
    graph = graphlib.TopologicalSorter({path: ours(path) for path in FILES})
    try:
        graph.prepare()
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])), pytrace=False)


@pytest.mark.parametrize("path", FILES)
def test_nobody_imports_a_command(path):
    assert not ours(path) & set(COMMANDS)


def test_what_one_types_is_there():
    assert {typed(path) for path in COMMANDS} >= WHAT_ONE_TYPES
    assert len(list((ROOT / "hpo").glob("*.py"))) <= MOST_FILES


@pytest.mark.parametrize("path", COMMANDS)
def test_help_waits_for_nothing_slow(path):
    code = (
        "import runpy, sys\n"
        f"sys.argv = [{typed(path)!r}, '--help']\n"
        "try:\n"
        f"    runpy.run_module({typed(path)!r}, run_name='__main__')\n"
        "except SystemExit as exit:\n"
        "    assert not exit.code, exit.code\n"
        f"print('imported:', *sorted({SLOW!r} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Usage: ") and done.stdout.splitlines()[-1] == "imported:"


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
    called = [node.func for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    methods = {function.attr for function in called if isinstance(function, ast.Attribute)}
    names = {function.id for function in called if isinstance(function, ast.Name)}
    suggesting = {name for name in methods if name.startswith("suggest_")}
    assert not suggesting or path in ("hpo/search/space.py", "hpo/integrations/hyperparameters.py")
    assert not {"eval", "exec"} & names
    assert "load_model" not in names | methods or path == "models/own/saved.py"  # a user's file, in safe mode


def test_every_test_file_mirrors_a_source_file():
    """But those of faults, which are of the whole."""
    for path in (ROOT / "tests").glob("*/**/test_*.py"):
        if path.parent.name == "faults":
            continue
        source = ROOT / path.parent.relative_to(ROOT / "tests") / path.name.removeprefix("test_")
        assert source.is_file(), f"{path.name} tests {source.relative_to(ROOT)}, which does not exist"


@pytest.mark.parametrize("path", files_below("benchmarks"))
def test_benchmarks_use_what_there_is(path):
    """They take minutes to hours and are not run here, so a rename would not be noticed."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in FLOORS:
            module = importlib.import_module(node.module)
            for alias in node.names:
                missing = not hasattr(module, alias.name) and f"{node.module}.{alias.name}" not in MODULES
                assert not missing, f"{path}: there is no {alias.name} in {node.module}"
