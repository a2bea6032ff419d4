"""The file formats that models are exported to, and what each needs; see `models.export.runtimes` for how."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass

from models import ModelError


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
        file: its name in the folder of a model's exports.
        packages: that it needs beside TensorFlow.
        extra: of setup.cfg, which installs them.
    """

    file: str
    packages: tuple[str, ...] = ()
    extra: str = ""


FORMATS = {
    "savedmodel": Format("savedmodel"),
    "onnx": Format("model.onnx", ("onnx", "onnxruntime", "tf2onnx"), "onnx"),
    "litert": Format("model.tflite"),
    "litert-int8": Format("model-int8.tflite"),
}


def check_installed(names: Sequence[str]) -> None:
    """Make sure that these formats can be written here.

    Raises:
        ModelError: something is not installed; the message names the extra that brings it.
    """
    for name in names:
        wanted = FORMATS[name]
        missing = [package for package in wanted.packages if importlib.util.find_spec(package) is None]
        if missing:
            raise ModelError(
                f"--format {name} needs the extra {wanted.extra} ({', '.join(missing)} not installed): "
                f'pip install -c constraints.txt -e ".[{wanted.extra}]"'
            )
