"""ImageNet weights that torchvision publishes: fetched, checked, read with torch, and mapped tensor by tensor.

The address, the size and the first eight hexadecimal digits of the SHA-256 are those in torchvision 0.28's models
(`url`, `_file_size`; `torch.hub` checks the digits in the name of the file). A file is read with
`torch.load(weights_only=True)`, so it can hold tensors and nothing that runs. torch is needed once: what was
converted is kept as `.weights.h5`, see `models.weights.loading`.

Nothing is matched by order or shape. Each tensor goes by its name to one layer, and a tensor that is missing, has
another shape or is left over is an error that names it.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models import ModelError
from models.weights.hdf5 import WAYS_OUT, sha256_of

MIB = 2**20
TENSORS = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}  # name of a weight in Keras -> in torch
COUNTER = "num_batches_tracked"  # of batch normalisation in training; no weight


@dataclass(frozen=True)
class Published:
    """A file of torchvision's."""

    url: str
    mib: float  # size in 2**20 bytes, to three places
    sha256: str  # its first eight digits
    left_out: tuple[str, ...] = ()  # modules that are in the file and not in our network

    @property
    def file_name(self) -> str:
        """The last part of the address."""
        return self.url.rsplit("/", 1)[1]


PUBLISHED = {
    "alexnet": Published("https://download.pytorch.org/models/alexnet-owt-7be5be79.pth", 233.087, "7be5be79"),
    "googlenet": Published(
        "https://download.pytorch.org/models/googlenet-1378be20.pth",
        49.731,
        "1378be20",
        left_out=("aux1", "aux2"),  # the auxiliary classifiers, which torchvision says are not trained in it
    ),
    "resnet18": Published("https://download.pytorch.org/models/resnet18-f37072fd.pth", 44.661, "f37072fd"),
    "resnet34": Published("https://download.pytorch.org/models/resnet34-b627a593.pth", 83.275, "b627a593"),
}


def fetch(name: str, folder: Path) -> Path:
    """The published file of a backbone: the one in `folder`, or downloaded into it.

    It gets its name only when its size and hash are right, so a download that was cut off is begun anew.

    Raises:
        ModelError: it cannot be fetched, or is not the published file.
    """
    import keras

    published = PUBLISHED[name]
    path = folder / published.file_name
    if path.exists():
        _check(path, path, published)
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = Path(
            keras.utils.get_file(
                f"{path.name}.part",
                published.url,
                cache_dir=folder.parent,
                cache_subdir=folder.name,
                force_download=True,
            )
        )
    except Exception as error:  # Keras raises a bare Exception when a download fails
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"ImageNet weights of {name} cannot be fetched: {reason}. Expected file: {path} ({published.mib} MiB, "
            f"SHA-256 begins with {published.sha256}). Ways out: {WAYS_OUT}"
        ) from error
    _check(part, published.url, published)
    os.replace(part, path)
    return path


def require_torch(name: str) -> None:
    """Raises `ModelError` with what to install where torch is missing."""
    if importlib.util.find_spec("torch") is None:
        raise ModelError(
            f"reading torchvision's weights of {name} needs the package torch, which is not installed: "
            "pip install 'keras-hpo[torch]', or choose --weights FILE or --weights none"
        )


def read(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a state dict, by name.

    Raises:
        ModelError: torch cannot read it without running code, or it holds anything but named tensors.
    """
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds, pickle's own among them
        raise ModelError(f"torch cannot read it: {' '.join(str(error).split())[:300]}") from error
    if not isinstance(state, Mapping):
        raise ModelError(f"it must hold a state dict. Received: {type(state).__name__}")
    wrong = [key for key, value in state.items() if not (isinstance(key, str) and isinstance(value, torch.Tensor))]
    if wrong:
        raise ModelError(f"it must hold named tensors only. Received: {type(state[wrong[0]]).__name__} {wrong[0]!r}")
    return {key: value.detach().cpu().numpy() for key, value in state.items()}


def convert(
    model: Any, modules: Mapping[str, str], tensors: Mapping[str, np.ndarray], left_out: tuple[str, ...] = ()
) -> None:
    """Sets all weights of a model from torch's tensors. Nothing is set unless everything fits.

    Args:
        model: `keras.Model`, with or without its classifier.
        modules: layer -> module in torch, for all layers with weights; those that are not in `model` are the
            classifier's dense layers, whose tensors must be there and are not used.
        tensors: name -> values, as `read` gives them.
        left_out: modules whose tensors are not used.

    Raises:
        ModelError: a tensor is missing, has another shape, is not finite, or is left over; it is named.
    """
    layers = {layer.name: layer for layer in model.layers if layer.weights}
    unknown = [name for name in layers if name not in modules]
    if unknown:
        raise ModelError(f"no module of torch is known for layer {unknown[0]!r}")
    known: set[str] = set()
    values: dict[str, list[np.ndarray]] = {}
    for name, module in modules.items():
        if name in layers:
            wanted = [(f"{module}.{TENSORS[weight.name]}", tuple(weight.shape)) for weight in layers[name].weights]
            values[name] = [_ours(_tensor(tensors, tensor), tensor, shape) for tensor, shape in wanted]
        else:
            wanted = [(f"{module}.weight", ()), (f"{module}.bias", ())]
            for tensor, _ in wanted:
                _tensor(tensors, tensor)
        known |= {tensor for tensor, _ in wanted} | {f"{module}.{COUNTER}"}
    left_over = [
        name for name in tensors if name not in known and not name.startswith(tuple(f"{m}." for m in left_out))
    ]
    if left_over:
        raise ModelError(f"tensor {left_over[0]} {tensors[left_over[0]].shape} is left over: no layer takes it")
    for name, layer in layers.items():
        layer.set_weights(values[name])


def _tensor(tensors: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    if name not in tensors:
        raise ModelError(f"tensor {name} is missing")
    return tensors[name]


def _ours(tensor: np.ndarray, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A tensor in Keras' order of axes: torch has (out, in, height, width) and (out, in)."""
    axes = {4: (2, 3, 1, 0), 2: (1, 0)}.get(tensor.ndim, tuple(range(tensor.ndim)))
    values = tensor.transpose(axes)
    if values.shape != shape:
        back = {4: (3, 2, 0, 1), 2: (1, 0)}.get(len(shape), tuple(range(len(shape))))
        expected = tuple(shape[axis] for axis in back)
        raise ModelError(f"tensor {name} has shape {tensor.shape}, expected {expected}")
    if tensor.dtype.kind != "f" or not np.isfinite(tensor).all():
        raise ModelError(f"tensor {name} must be finite numbers. Received: {tensor.dtype}")
    return values


def _check(path: Path, shown: Any, published: Published) -> None:
    """Raises unless this is the published file; what was just downloaded is not kept."""
    mib, sha256 = round(path.stat().st_size / MIB, 3), sha256_of(path)
    if mib == published.mib and sha256.startswith(published.sha256):
        return
    way_out = "remove it"
    if path.name != published.file_name:
        path.unlink()
        way_out = WAYS_OUT
    raise ModelError(
        f"{shown} is not torchvision's {published.file_name}: {mib} MiB and SHA-256 {sha256[:8]}..., published are "
        f"{published.mib} MiB and {published.sha256}...: {way_out}"
    )
