"""How processes of ours are started, wherever this one was: our packages are found there, and nothing else changes."""

import os
import sys
from pathlib import Path

from models.own import registry


def command(module: str) -> list[str]:
    """That calls `main` of a module in a process of its own. -P: no `models` of the user's is taken for ours."""
    return [sys.executable, "-P", "-c", f"from {module} import main; main()"]


def environment(**changes: str) -> dict[str, str]:
    """This process's, with what such a process needs."""
    here = str(Path(__file__).parent.parent.parent)
    path = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, **registry.variables(), "PYTHONPATH": path, **changes}
