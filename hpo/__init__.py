"""Turn a pretrained Keras network into a classifier for your own pictures, under a latency budget.

    from hpo import StudyConfig, run_study

    if __name__ == "__main__":
        study = run_study(StudyConfig(backbone="custom_cnn", dataset="digits", trials=10))
        print(study.best)

Names are loaded when they are first used: importing this package costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpo import errors
    from hpo.config import StudyConfig
    from hpo.study import Study, compare_studies, load_study, run_study

__version__ = "0.2.0"
__all__ = ["Study", "StudyConfig", "__version__", "compare_studies", "errors", "load_study", "run_study"]

_HOMES = {
    "Study": "hpo.study",
    "StudyConfig": "hpo.config",
    "compare_studies": "hpo.study",
    "load_study": "hpo.study",
    "run_study": "hpo.study",
}


def __getattr__(name: str) -> Any:
    if name == "errors":
        return importlib.import_module("hpo.errors")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
