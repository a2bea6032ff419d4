"""hpo/__init__.py: who else has a package called datasets, models or studies is told so in one line."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def distribution(folder: Path, package: str = "datasets", name: str = "datasets", listing: str = "RECORD") -> Path:
    """A made distribution that owns a package, as pip would leave it."""
    (folder / package).mkdir(parents=True)
    (folder / package / "__init__.py").write_text("THEIRS = True\n")
    about = folder / f"{name}-9.9.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.9\n")
    lines = {"top_level.txt": f"{package}\n", "RECORD": f"{package}/__init__.py,sha256=x,14\n{about.name}/METADATA,,\n"}
    if listing:
        (about / listing).write_text(lines[listing])
    return folder


def python(*words: str, path: tuple[Path, ...]):
    """With exactly these folders before the environment's own."""
    code = f"import runpy, sys; sys.path[:0] = {[str(folder) for folder in path]!r}; " + words[0]
    return subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60)


def refusal(name: str, owner: str) -> str:
    return (
        f"hpo.NameTaken: the package '{name}' is keras-hpo's and also that of {owner}: only one can be imported, so "
        "give keras-hpo an environment of its own (python -m venv)"
    )


IMPORT = "import hpo.config; print('well')"


@pytest.mark.parametrize("listing", ["top_level.txt", "RECORD", ""])
@pytest.mark.parametrize("package", ["datasets", "models", "studies"])
def test_theirs_would_hide_ours(tmp_path, package, listing):
    theirs = distribution(tmp_path, package, package, listing)
    done = python(IMPORT, path=(theirs, ROOT))
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.splitlines()[-1] == refusal(package, f"{package} 9.9 in {theirs}, which is found first")


@pytest.mark.parametrize("listing", ["top_level.txt", "RECORD"])
def test_ours_would_hide_theirs(tmp_path, listing):
    theirs = distribution(tmp_path, "models", "some_models", listing)
    done = python(IMPORT, path=(ROOT, theirs))
    assert done.stderr.splitlines()[-1] == refusal("models", f"some_models 9.9 in {theirs}")
    assert (done.returncode, done.stdout) == (1, "")


def test_theirs_is_imported_already(tmp_path):
    theirs = distribution(tmp_path)
    done = python(f"import datasets; sys.path.remove({str(theirs)!r}); {IMPORT}", path=(theirs, ROOT))
    assert done.stderr.splitlines()[-1] == refusal("datasets", f"datasets 9.9 in {theirs}, which is found first")


def test_a_package_of_nobodys_that_hides_ours_is_named_by_its_folder(tmp_path):
    (tmp_path / "models.py").write_text("")
    done = python(IMPORT, path=(tmp_path, ROOT))
    assert done.stderr.splitlines()[-1] == (
        f"hpo.NameTaken: 'models' in {tmp_path} hides keras-hpo's package of that name: rename it, or import keras-hpo "
        "from another folder"
    )


def test_both_installed_into_one_folder(tmp_path):
    (tmp_path / "hpo").mkdir()
    (tmp_path / "hpo" / "__init__.py").write_text((ROOT / "hpo" / "__init__.py").read_text())
    distribution(tmp_path)
    for package in ("models", "studies"):
        distribution(tmp_path, package, "Keras_HPO" if package == "models" else "keras_hpo")
    done = python("import hpo", path=(tmp_path,))
    assert done.stderr.splitlines()[-1] == refusal("datasets", f"datasets 9.9 in {tmp_path}")


def test_what_is_no_distribution_s_and_hides_nothing_is_no_matter(tmp_path):
    (tmp_path / "datasets" / "cats").mkdir(parents=True)  # a folder of pictures
    (tmp_path / "later" / "models").mkdir(parents=True)
    (tmp_path / "later" / "models" / "__init__.py").touch()
    done = python(IMPORT, path=(tmp_path, ROOT, tmp_path / "later"))
    assert (done.returncode, done.stdout) == (0, "well\n"), done.stderr


@pytest.mark.parametrize("command", ["hpo.run", "models.profile", "models.pretrain", "datasets.preview"])
@pytest.mark.parametrize("ours_first", [True, False])
def test_commands_say_it_too(tmp_path, command, ours_first):
    theirs = distribution(tmp_path, "studies", "studies")
    run = f"sys.argv = ['x', '--help']; runpy.run_module({command!r}, run_name='__main__', alter_sys=True)"
    done = python(run, path=(ROOT, theirs) if ours_first else (theirs, ROOT))
    assert done.returncode == 1 and done.stdout == ""
    assert "the package 'studies' is keras-hpo's and also that of studies 9.9" in done.stderr.splitlines()[-1]


def test_python_m_shows_one_line(tmp_path):
    theirs = distribution(tmp_path)
    words = [sys.executable, "-m", "hpo.run", "--help"]
    done = subprocess.run(words, cwd=ROOT, env={"PYTHONPATH": str(theirs)}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert f"the package 'datasets' is keras-hpo's and also that of datasets 9.9 in {theirs}" in done.stderr
