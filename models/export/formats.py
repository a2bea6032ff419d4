"""The file formats that models are exported to, and what each needs; see `models.export.runtimes` for how."""

import importlib.util
from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
        file: its name in the folder of a model's exports.
        packages: that it needs beside TensorFlow.
        extra: of setup.cfg, which installs them; "" where they come with this package.
        runtime: that it is deployed with, of `models.latency.runtimes`; "" for one that TensorFlow itself runs.
    """

    file: str
    packages: tuple[str, ...] = ()
    extra: str = ""
    runtime: str = ""


FORMATS = {
    "savedmodel": Format("savedmodel"),
    "onnx": Format("model.onnx", ("onnx", "onnxruntime", "tf2onnx"), "onnx", "onnx"),
    "litert": Format("model.tflite", ("ai_edge_litert",), runtime="litert"),
    "litert-int8": Format("model-int8.tflite", ("ai_edge_litert",), runtime="litert"),
}
DEPLOYED = ("litert", "litert-int8", "onnx")  # those with a runtime of their own, as they are listed


def needs(name: str) -> str:
    """What is missing here to write and run a format, in words that follow its name; "" if nothing is."""
    wanted = FORMATS[name]
    missing = [package for package in wanted.packages if importlib.util.find_spec(package) is None]
    if not missing:
        return ""
    what, how = f"the extra {wanted.extra}", f'pip install -c constraints.txt -e ".[{wanted.extra}]"'
    if not wanted.extra:
        what, how = "a package", f"pip install {' '.join(missing).replace('_', '-')}"
    return f"needs {what} ({', '.join(missing)} not installed): {how}"
