"""Where a worker ends: what goes wrong in it comes back to the parent as plain text.

An exception of a backend must not reach the parent: unpickled there it would import Keras, and some cannot be pickled.
"""

import logging
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

from hpo.errors import MISTAKES, TaskFailed, WorkerLost
from models.training.recipe import NonFiniteLoss

T = TypeVar("T")
OUT_OF_MEMORY = "out of memory"
_log = logging.getLogger(__name__)


def shielded(function: Callable[..., T], *args: Any) -> T:
    """The function's result.

    Raises:
        TaskFailed: it raised; the traceback is in the worker's log too. The user's mistakes pass as they are.
    """
    try:
        return function(*args)
    except MISTAKES:
        raise
    except (TaskFailed, WorkerLost):  # ours already
        raise
    except Exception as error:
        _log.exception("%s failed", getattr(function, "__name__", function))
        raise TaskFailed(*explain(error), "".join(traceback.format_exception(error))) from error


def explain(error: BaseException) -> tuple[str, str]:
    """(kind, reason in one line) of a failure. MemoryError and failures of a backend's allocator are one kind."""
    if isinstance(error, TaskFailed):
        return error.kind, error.reason
    text = (str(error).strip().splitlines() or [""])[0][:300]
    name = type(error).__name__
    if isinstance(error, MemoryError) or name == "ResourceExhaustedError" or "RESOURCE_EXHAUSTED" in text:
        return OUT_OF_MEMORY, f"{OUT_OF_MEMORY}: {text or name}"
    if isinstance(error, NonFiniteLoss):
        return "non-finite loss", text
    return name, f"{name}: {text}"
