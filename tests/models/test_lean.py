"""Keras imported for our code alone. Nothing here looks at a clock."""

import contextlib
import subprocess
import sys

import pytest

from models import lean
from models.own import registry


@pytest.fixture
def names(monkeypatch):
    """What is left out while Keras is imported."""
    found = []

    @contextlib.contextmanager
    def left_out(names):
        found.extend(names)
        yield

    monkeypatch.setattr(lean, "left_out", left_out)
    monkeypatch.setattr(lean, "_alone", True)
    monkeypatch.setattr(registry, "_known", {})
    monkeypatch.delenv(registry.VARIABLE, raising=False)
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    return found


def test_in_a_process_of_ours(names):
    lean.import_keras()
    assert names == [*lean.LEFT_OUT]


def test_not_where_others_may_use_keras(names, monkeypatch):
    monkeypatch.setattr(lean, "_alone", False)
    lean.import_keras()
    assert names == []


def test_not_for_code_of_the_users(names, monkeypatch):
    monkeypatch.setattr(registry, "variables", lambda: {registry.VARIABLE: "a network"})
    lean.import_keras()
    assert names == []


@pytest.mark.parametrize(
    ("variable", "file", "is_lean"),
    [
        ("jax", None, False),
        ("jax", '{"backend": "tensorflow"}', False),
        (None, '{"backend": "jax"}', False),
        (None, '{"backend": "tensorflow"}', True),
        (None, "{}", True),
        (None, None, True),
        (None, "no JSON", False),
        (None, "[]", False),
    ],
)
def test_not_for_a_backend_that_needs_them(names, monkeypatch, tmp_path, variable, file, is_lean):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND") if variable is None else monkeypatch.setenv("KERAS_BACKEND", variable)
    if file is not None:
        (tmp_path / "keras.json").write_text(file)
    lean.import_keras()
    assert names == ([*lean.LEFT_OUT] if is_lean else [])


def test_what_is_there_already_stays_and_the_rest_can_be_imported_afterwards(monkeypatch):
    here = sys.modules["contextlib"]
    monkeypatch.delitem(sys.modules, "this_is_one", raising=False)
    with pytest.raises(ZeroDivisionError), lean.left_out(["contextlib", "this_is_one"]):
        assert sys.modules["contextlib"] is here
        with pytest.raises(ImportError):
            import this_is_one  # noqa: F401
        raise ZeroDivisionError
    assert sys.modules["contextlib"] is here and "this_is_one" not in sys.modules


@pytest.mark.slow
def test_none_of_them_is_imported_and_each_can_be(tmp_path):
    code = (
        "import sys; from models import lean; lean.alone(); lean.import_keras(); "
        "assert 'tensorflow' in sys.modules and not {*lean.LEFT_OUT} & {*sys.modules}; "
        "import matplotlib, sklearn.datasets, keras; keras.layers.Dense(1).build((None, 2)); "
        "print(len(sklearn.datasets.load_digits().target))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "1797\n"), done.stderr
