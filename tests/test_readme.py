"""The README and the pages of docs/ are true: options, tables, commands, files, links; what is marked as run is run."""

import contextlib
import functools
import importlib.util
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

import hpo
from models.catalogue import BACKBONES
from tests.places import cache_in

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [README, *DOCS]
TEXTS = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
MOST_LINES = 150  # of the README
# Options of other programs that the pages name.
NOT_OURS = {"--editable", "--constraint", "--strict", "--directory"} | {
    "--head", "--port", "--min-nodes",  # of Ray
    "--nodes", "--ntasks-per-node", "--gpus-per-node", "--cpus-per-task", "--time",  # of SLURM
}  # fmt: skip
OTHERS = {"venv", "pytest", "http.server"}  # what is run by `python -m` and is not ours
# What makes the commands and scripts of the pages small: put behind a command, or in place of a text in a script.
SMALL_STUDY = "--trials 3 --epochs 1 --train-size 100 --val-size 50 --resolutions 8,16"
SMALL = {
    "hpo.run": SMALL_STUDY,
    "hpo.evaluate": "--trials 0 --seeds 1",
    "hpo.report": "--no-figures --no-pictures",
}
IN_SCRIPTS = {
    "trials=10": 'trials=3, epochs=1, train_size=100, val_size=50, resolutions=(8, 16), cache_dir="cache"',
    'pick="few", seeds=3': "trials=[0], seeds=1",
    "pdf=False": "pdf=False, figures=False, pictures=False",
}
TO_RUN = re.compile(r"<!-- run -->\n```(python)?\n(.*?)```", re.DOTALL)


def load_tables():
    """docs/tables.py, which is no module of a package."""
    spec = importlib.util.spec_from_file_location("tables", ROOT / "docs" / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TABLES = load_tables()


def of(pages):
    return pytest.mark.parametrize("page", pages, ids=lambda page: page.name)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose_of(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL)


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub and MkDocs make it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@functools.cache
def anchors(page: Path) -> set[str]:
    return {slug(heading) for heading in re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)}


def all_options() -> set[str]:
    """Every option of every command, and of every benchmark."""
    names = set(NOT_OURS) | {"--help"}
    for place in TABLES.COMMANDS.values():
        module, _, function = place.partition(":")
        for parameter in getattr(importlib.import_module(module), function).params:
            names |= set(parameter.opts) if isinstance(parameter, click.Option) else set()
    for path in (ROOT / "benchmarks").glob("*.py"):
        names |= set(re.findall(r'"(--[a-z-]+)"', path.read_text(encoding="utf-8")))
    return names


def test_the_readme_is_short():
    assert len(text_of(README).splitlines()) <= MOST_LINES


@of(DOCS)
def test_tables_are_current(page):
    assert TABLES.renewed(text_of(page)) == text_of(page), "run: make docs-tables"


def test_every_table_stands_somewhere():
    marks = [name for page in DOCS for _, name, _ in TABLES.MARKED.findall(text_of(page))]
    assert sorted(marks) == sorted(TABLES.TABLES)


def test_options_are_grouped_as_the_fields_say(monkeypatch):
    monkeypatch.setattr(TABLES, "_extra", lambda name: {"group": "where" if name == "out" else "what"})
    text = TABLES.options()
    assert text.index("### What is trained") < text.index("`--seed`") < text.index("### Where") < text.index("`--out`")
    monkeypatch.setattr(TABLES, "_extra", lambda name: {})
    assert TABLES.options().startswith("| option | default | meaning |\n| --- | --- | --- |\n| `--backbone` |")


@of(TEXTS)
def test_options_that_are_named_exist(page):
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text_of(page)))
    assert named <= all_options()


@of(TEXTS)
def test_files_that_are_named_exist(page):
    pattern = r"(?<![\w/])(?:\.\./)?((?:tests/)?(?:hpo|models|studies|datasets|benchmarks|tests|docs)/[\w/]+\.?\w*)"
    for path in re.findall(pattern, text_of(page)):
        assert (ROOT / path).exists(), path


@of(TEXTS)
def test_commands_that_are_named_exist(page):
    for module in re.findall(r"python -m ([\w.]+)", text_of(page)):
        path = ROOT / module.replace(".", "/")
        assert module in OTHERS or path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module
    makefile = text_of(ROOT / "Makefile")
    for target in re.findall(r"`make ([a-z-]+)`|^make ([a-z-]+) ", text_of(page), re.MULTILINE):
        assert re.search(rf"^{''.join(target)}:", makefile, re.MULTILINE), target


@of(TEXTS)
def test_links_and_pictures_are_there(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose_of(page)):
        assert "://" not in target, f"{target} is outside"
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.is_file(), target
        assert not anchor or anchor in anchors(file), target


@of(TEXTS)
def test_nothing_is_left_to_fill_in(page):
    assert not re.search(r"@@|TODO|TBD|FIXME", text_of(page))


def test_pages_are_in_the_navigation_and_the_entry():
    entry, navigation = text_of(ROOT / "docs" / "index.md"), text_of(ROOT / "mkdocs.yml")
    for page in DOCS:
        assert page.name in navigation
        assert page.name == "index.md" or f"({page.name})" in entry


def test_numbers_that_are_named():
    for page in (README, ROOT / "docs" / "search_space.md", ROOT / "docs" / "commands.md"):
        assert f"{len(BACKBONES)} networks" in text_of(page)
    of_keras = sum(bool(backbone.application) for backbone in BACKBONES.values())
    assert f"{of_keras} classifiers" in text_of(ROOT / "CHANGELOG.md")


def test_the_version_is_the_same_everywhere():
    assert f"\nversion: {hpo.__version__}\n" in text_of(ROOT / "CITATION.cff")
    assert re.search(rf"^## {re.escape(hpo.__version__)} \(\d{{4}}-\d\d-\d\d\)$", text_of(TEXTS[-1]), re.MULTILINE)
    assert "version = attr: hpo.__version__" in text_of(ROOT / "setup.cfg")


def test_the_tree_of_the_house_names_every_module():
    tree = text_of(ROOT / "docs" / "architecture.md").split("```\nhpo/")[1].split("```")[0]
    words = set(re.findall(r"[\w.]+", tree.replace(".py", "")))
    for path in sorted(
        path for package in ("hpo", "models", "datasets", "studies") for path in ROOT.glob(f"{package}/**/*.py")
    ):
        folder = path.parent.relative_to(ROOT).as_posix()
        if folder not in ("models/zoo", "studies/report") and not path.stem.startswith("__"):
            assert path.stem in words, f"docs/architecture.md has no {path.relative_to(ROOT)}"


def small(line: str) -> list[str]:
    """A line of a shell as an argument list: this Python, and small sizes."""
    words = shlex.split(line, comments=True)
    assert words[:2] == ["python", "-m"], line
    return [sys.executable, *words[1:], *SMALL.get(words[2], "").split()]


def small_script(script: str) -> str:
    for text, instead in IN_SCRIPTS.items():
        assert text in script
        script = script.replace(text, instead)
    return script


def scripts(page: Path) -> list[str]:
    return [block for language, block in TO_RUN.findall(text_of(page)) if language]


def run(words: list[str], folder: Path, variables: Mapping[str, str] = {}) -> str:
    """In a folder as a newcomer has it, with one picture in it; what is printed."""
    Image.fromarray(np.full((8, 8), 128, np.uint8)).save(folder / "a.png")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HPO_CACHE_DIR": str(cache_in(folder)), **variables}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def typed(tmp_path_factory):
    """A folder in which the commands of the pages were typed in their order: later ones use what earlier ones made."""
    folder = tmp_path_factory.mktemp("newcomer")
    blocks = [block for page in PAGES for language, block in TO_RUN.findall(text_of(page)) if not language]
    lines = dict.fromkeys(" ".join(small(line)) for block in blocks for line in block.splitlines())
    assert len(lines) >= 5
    for line in lines:
        run(line.split(), folder)
    return folder


@pytest.mark.slow
def test_commands_that_are_marked_run(typed):
    for path in (
        "previews/digits.png",
        "runs/custom_cnn-digits/final/final.csv",
        "runs/custom_cnn-digits/report/index.html",
    ):
        assert (typed / path).is_file()


@pytest.mark.slow
def test_the_script_runs(typed):
    """The one of docs/python.md, of which the README's is a part, with the study that the commands made.

    That Python searches and trains from nothing is shown by the notebook's test.
    """
    [script] = scripts(ROOT / "docs" / "python.md")
    (typed / "script.py").write_text(small_script(script), encoding="utf-8")
    made = [typed / "runs/custom_cnn-digits" / name for name in ("report/index.html", "front.csv")]
    for path in made:
        path.unlink()
    printed = run([sys.executable, "script.py"], typed)
    assert all(path.is_file() for path in made)
    assert printed.rstrip().endswith("runs/custom_cnn-digits/report/index.html") and "model.tflite" in printed
    assert (typed / "front.html").is_file()


def test_the_readme_has_ten_lines_of_that_script():
    [short], [script] = scripts(README), scripts(ROOT / "docs" / "python.md")
    lines = [line.partition("  #")[0].strip() for line in short.splitlines()]
    assert len([line for line in lines if line]) == 10
    assert lines[0] == "from hpo import StudyConfig, run_study" and "load_study, run_study" in script
    long = {line.partition("  #")[0].strip() for line in script.splitlines()}
    assert set(lines[1:]) <= long


def test_small_is_small():
    words = small("python -m hpo.run --trials 20  # the search")
    assert words[1:] == ["-m", "hpo.run", "--trials", "20", *SMALL_STUDY.split()]


@pytest.mark.slow
def test_a_cluster_by_hand(tmp_path):
    """The four commands of docs/cluster.md, with the second node on this machine, too.

    The last one would end every Ray on this machine, so what was started is ended instead.
    """
    pytest.importorskip("ray", reason="the package ray is not installed")
    [block] = re.findall(r"<!-- run cluster -->\n```\n(.*?)```", text_of(ROOT / "docs" / "cluster.md"), re.DOTALL)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    here = {"6379": port, "HEAD": "127.0.0.1", "--workers 8": "--workers 2", "vgg19": "custom_cnn", "FOLDER": "digits"}
    for text, instead in here.items():
        block = block.replace(text, instead)
    head, node, search, end = block.splitlines()
    assert end == "ray stop"
    nodes, short = [], tempfile.mkdtemp(prefix="ray")  # a socket's path has at most 107 characters
    try:
        for line, own in ((head, f"--include-dashboard=false --temp-dir={short}"), (node, "")):
            program, *words = shlex.split(f"{line} {own} --num-cpus=1 --block")
            ray = [str(Path(sys.executable).parent / program), *words]
            nodes.append(subprocess.Popen(ray, env={**os.environ, **NO_TOKEN}, stdout=subprocess.DEVNULL))
            wait_for(port)
        printed = run(small(f"{search} --device cpu"), tmp_path, NO_TOKEN)
    finally:
        for process in nodes:
            process.terminate()
        for process in nodes:
            process.wait(30)
        shutil.rmtree(short, ignore_errors=True)
    assert "[3/3]" in printed
    log = (tmp_path / "runs/custom_cnn-digits/worker.log").read_text()
    assert log.count("takes tasks") == 2


NO_TOKEN = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}


def wait_for(port: str) -> None:
    """Until something listens there."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(port)), 1):
            return
        time.sleep(0.2)
    raise TimeoutError(f"nothing listens at port {port}")


def test_scripts_for_schedulers_can_be_read():
    page = text_of(ROOT / "docs" / "cluster.md")
    [script] = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0
    yaml = pytest.importorskip("yaml", reason="no reader of YAML is installed")
    [text] = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    job = yaml.safe_load(text)
    groups = job["spec"]["rayClusterSpec"]
    assert (job["kind"], groups["workerGroupSpecs"][0]["replicas"]) == ("RayJob", 8)
    for entry in (job["spec"]["entrypoint"], script.partition("-- \\\n")[2].replace("\\\n", " ")):
        words = shlex.split(entry)
        assert words[:3] == ["python", "-m", "hpo.run"]
        parsed = importlib.import_module("hpo.run").main.make_context("hpo.run", words[3:])
        assert parsed.params["executor"] == "ray"
