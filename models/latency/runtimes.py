"""The runtimes that a latency can be measured in, and which of them this machine has. Imports none of them."""

import importlib.util
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, packages_distributions, version

from models import ModelError

AUTO, KERAS = "auto", "keras"
MOST_THREADS = 64


@dataclass(frozen=True)
class Runtime:
    """What runs a network.

    Attributes:
        label: its name as people know it.
        packages: that it needs, TensorFlow's converters included.
        distribution: whose version is kept with a latency.
        extra: of setup.cfg, which installs them; "" for one that is always there.
    """

    label: str
    packages: tuple[str, ...] = ()
    distribution: str = ""
    extra: str = ""

    @property
    def installed(self) -> bool:
        """Whether all that it needs is here."""
        return all(importlib.util.find_spec(package) is not None for package in self.packages)

    @property
    def version(self) -> str:
        """Of its distribution; "" for Keras, whose versions are those of the backend."""
        if not self.distribution:
            return ""
        try:
            return version(self.distribution)
        except PackageNotFoundError:  # onnxruntime-gpu
            return version(packages_distributions()[self.packages[0]][0])

    @property
    def full_name(self) -> str:
        """With its version, as it is kept with a latency: `LiteRT 2.3.0`."""
        return f"{self.label} {self.version}".rstrip()


RUNTIMES = {
    "litert": Runtime("LiteRT", ("ai_edge_litert",), "ai-edge-litert"),
    "onnx": Runtime("ONNX Runtime", ("onnxruntime", "onnx", "tf2onnx"), "onnxruntime", "onnx"),
    KERAS: Runtime("Keras"),
}


def resolve(name: str, on_gpu: bool) -> str:
    """The runtime that `auto` stands for: Keras' compiled call on a GPU, LiteRT on a CPU.

    Raises:
        ModelError: there is no such runtime, or it is not installed.
    """
    if name == AUTO:
        name = KERAS if on_gpu else "litert"
    if name not in RUNTIMES:
        raise ModelError(f"latency_runtime must be one of {', '.join((AUTO, *RUNTIMES))}. Received: {name}")
    runtime = RUNTIMES[name]
    if missing := [package for package in runtime.packages if importlib.util.find_spec(package) is None]:
        what = f'the extra {runtime.extra}: pip install -c constraints.txt -e ".[{runtime.extra}]"'
        if not runtime.extra:
            what = f"the package {runtime.distribution}: pip install {runtime.distribution}"
        raise ModelError(f"latency in {runtime.label} needs {what} ({', '.join(missing)} not installed)")
    return name


def describe(name: str, threads: int) -> str:
    """As people read it behind a latency: `LiteRT, 1 thread`."""
    if name == KERAS:
        return RUNTIMES[name].label
    return f"{RUNTIMES[name].label}, {threads} thread{'s' if threads > 1 else ''}"
