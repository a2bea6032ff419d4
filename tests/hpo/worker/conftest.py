"""What workers are given to do that import it for themselves."""

import importlib
import os
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def tasks():
    """What workers can import, too."""
    folder = str(Path(__file__).parent)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("PYTHONPATH", folder, prepend=os.pathsep)
        yield importlib.import_module("executor_tasks")
    del sys.modules["executor_tasks"]
