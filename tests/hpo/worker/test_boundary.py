"""What goes wrong in a worker comes back as plain text."""

import pickle
import subprocess
import sys

import pytest

from datasets import DataError
from hpo.errors import MISTAKES, BadInput, TaskFailed
from hpo.worker.boundary import explain, shielded
from models import ModelError


class BackendError(Exception):
    """Like those of TensorFlow: it cannot be made again from its arguments."""

    def __init__(self, node, op, message):
        super().__init__(message)


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (MemoryError(), "out of memory", "MemoryError"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory"), "out of memory", "RESOURCE_EXHAUSTED"),
        (KeyError("x"), "KeyError", "KeyError: 'x'"),
    ],
)
def test_reasons(error, kind, reason):
    found = explain(error)
    assert found[0] == kind
    assert reason in found[1]


def fail(error):
    raise error


def test_a_backends_exception_becomes_a_text_that_any_process_can_read():
    with pytest.raises(TaskFailed) as failed:
        shielded(fail, BackendError(None, None, "no such kernel\nand more"))
    again = pickle.loads(pickle.dumps(failed.value))
    assert (again.kind, again.reason, str(again)) == (
        "BackendError",
        "BackendError: no such kernel",
        "BackendError: no such kernel",
    )
    assert "in fail\n    raise error" in again.details
    assert explain(again) == ("BackendError", "BackendError: no such kernel")


@pytest.mark.parametrize("error", [BadInput("x"), DataError("x"), ModelError("x")])
def test_the_users_mistakes_pass_as_they_are(error):
    assert isinstance(error, MISTAKES)
    with pytest.raises(type(error), match="^x$"):
        shielded(fail, error)


def test_a_result_passes():
    assert shielded(divmod, 7, 2) == (3, 1)


def test_reading_a_failure_imports_no_backend():
    failure = pickle.dumps(TaskFailed("a", "b", "c"))
    heavy = "{'keras', 'tensorflow', 'optuna'} & set(sys.modules)"
    script = f"import pickle, sys; pickle.loads({failure!r}); assert not {heavy}"
    subprocess.run([sys.executable, "-c", script], check=True)
