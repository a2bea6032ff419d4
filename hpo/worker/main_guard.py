"""A script that starts workers needs `if __name__ == "__main__":`, found out before a worker is started.

Workers are spawned, and Python runs the main script again in each of them under another name. A call outside of that
guard would be made again there, by a worker that is still starting; it would die and be replaced without end.
"""

import ast
import inspect
import sys
from pathlib import Path
from types import FrameType

from hpo.errors import BadInput

WAY_OUT = 'put what calls it below `if __name__ == "__main__":`, since each worker process runs the script again'


def check_main_guard() -> None:
    """Do nothing unless the main script makes this call outside of its guard.

    Raises:
        BadInput: it does, one line that names the file and the line; or the script is no file, as in `python - < FILE`.
    """
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if file is not None and getattr(main, "__spec__", None) is None and not Path(file).is_file():
        raise BadInput(
            f"the main script {Path(file).name} must be a file on disk, since each worker process runs the script again"
        )
    frame: FrameType | None = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") in ("__main__", "__mp_main__"):
            path = Path(frame.f_code.co_filename)
            if path.is_file() and not guarded(path.read_text(encoding="utf-8", errors="replace"), frame.f_lineno):
                raise BadInput(f"{path.name}, line {frame.f_lineno}: {WAY_OUT}")
        frame = frame.f_back


def guarded(source: str, line: int) -> bool:
    """Whether a line of a script is below an `if` that looks at `__name__`; True of what is no Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return True
    return any(
        isinstance(node, ast.If)
        and node.lineno <= line <= (node.end_lineno or node.lineno)
        and any(isinstance(name, ast.Name) and name.id == "__name__" for name in ast.walk(node.test))
        for node in tree.body
    )
