"""Keras imported without libraries that it, or TensorFlow, imports for what nobody here uses: half of the time.

On an AMD EPYC with two cores `import keras` took 5.7 to 6.2 s, and without them 3.1 to 3.6 s (TensorFlow 2.21.0, Keras
3.15.1). For processes of ours alone: in others somebody may want Keras' wrappers for scikit-learn, or hand it a pandas
table.
"""

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from models.own import registry

LEFT_OUT = ("matplotlib", "pandas", "scipy", "sklearn")
_alone = False  # whether this process runs our code alone


def alone() -> None:
    """This process is ours: what is imported in it is for us."""
    global _alone
    _alone = True


def import_keras() -> None:
    """Import Keras if this process is ours, its backend TensorFlow and no network the user's own.

    Elsewhere whoever uses it imports it, as it is.

    Raises:
        ImportError: as `import keras`.
    """
    if _alone and not registry.variables() and _tensorflow_is_the_backend():
        with left_out(LEFT_OUT):
            import keras  # noqa: F401


def _tensorflow_is_the_backend() -> bool:
    """Whether it certainly is: JAX needs SciPy for its linear algebra."""
    chosen = os.environ.get("KERAS_BACKEND")
    if chosen is not None:
        return chosen == "tensorflow"
    try:  # Keras' own file
        folder = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
        return json.loads((folder / "keras.json").read_text()).get("backend", "tensorflow") == "tensorflow"
    except FileNotFoundError:
        return True
    except (OSError, ValueError, AttributeError):
        return False


@contextlib.contextmanager
def left_out(names: Sequence[str]) -> Iterator[None]:
    """As if these packages were not installed, but for those that are imported already; they can be imported after."""
    missing = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(missing))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in missing:
            if sys.modules.get(name) is None:
                sys.modules.pop(name, None)
