"""Optuna's own lines, which repeat what our display shows, held back without changing the caller's verbosity."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import optuna

_lock = threading.Lock()
_wanted, _verbosity = 0, optuna.logging.INFO  # how many want silence; how it was before the first of them


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Silence in this block; afterwards the verbosity is as it was before the first of those that overlap."""
    global _wanted, _verbosity
    with _lock:
        if not _wanted:
            _verbosity = optuna.logging.get_verbosity()
            optuna.logging.set_verbosity(optuna.logging.ERROR)
        _wanted += 1
    try:
        yield
    finally:
        with _lock:
            _wanted -= 1
            if not _wanted:
                optuna.logging.set_verbosity(_verbosity)
