"""Whether an HDF5 file holds exactly the weights of a network. Looked at before anything is loaded.

Two kinds of files: Keras 3 `.weights.h5`, a tree of data sets whose paths follow from the classes of the layers and
their order, and the older `.h5`, which lists the layers and their tensors in attributes (keras.applications publishes
its weights so).
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from models import ModelError
from models.catalogue import Description

BACKBONE_ATTRIBUTE = "backbone"  # HDF5 attribute in files that we write
WAYS_OUT = (
    "allow the network, put the file there (or set KERAS_HOME to a folder whose models/ has it), "
    "or choose --weights FILE or --weights none"
)  # of whoever cannot fetch a published file
WITH_TOP = "it has the weights of a classifier too; a file without top is needed"

Tensors = list[tuple[str, Any]]  # name of a tensor, and the HDF5 data set or the shape


def check_file(base: Any, backbone: Description, path: Path) -> None:
    """Raises unless `path` holds the weights of `base` and nothing else.

    Raises:
        ModelError: no such file, not HDF5, truncated, changed since its card was written, of another backbone, with
            other tensors, or with values that are not finite.
    """
    import h5py

    if not path.name.endswith(".h5"):
        raise ModelError(f"weights must be an .h5 or .weights.h5 file. Received: {path}")
    if not path.is_file():
        raise ModelError(f"no such weights file. Received: {path}", missing=path)
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ModelError(f"{path} is damaged or not an HDF5 file: {' '.join(str(error).split())[:200]}") from error
    legacy = not path.name.endswith(".weights.h5")
    expected = _expected_legacy(base) if legacy else _expected_tree(base)
    with file:
        try:
            _check_content(file, expected, path, backbone)
        except ModelError:
            raise
        except (OSError, KeyError, RuntimeError, TypeError, ValueError, AttributeError) as error:  # h5py on any bytes
            raise ModelError(f"{path} is damaged: {' '.join(str(error).split())[:200]}") from error
    _check_card(path)


def _check_content(file: Any, expected: Tensors, path: Path, backbone: Description) -> None:
    written_for = file.attrs.get(BACKBONE_ATTRIBUTE)
    if written_for is not None and written_for != backbone.name:
        raise ModelError(f"{path} has weights of {written_for}, not of {backbone.name}")
    legacy = "layer_names" in file.attrs or "layer_names0" in file.attrs or "model_weights" in file
    if legacy == path.name.endswith(".weights.h5"):
        kind, ending = ("an older Keras file", ".h5") if legacy else ("a Keras 3 weights file", ".weights.h5")
        raise ModelError(f"{path} is {kind}: its name must end in {ending}")
    tensors = _legacy(file) if legacy else _tree(file)
    _compare(tensors, expected, path, backbone)
    _check_values(tensors, path)


def card_path(path: Path) -> Path:
    """Where the card of a weights file lies."""
    return path.with_name(path.name.removesuffix(".h5").removesuffix(".weights") + ".json")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _compare(tensors: Tensors, expected: Tensors, path: Path, backbone: Description) -> None:
    """Raises at the first difference. Shapes of older files are compared in order, of Keras 3 files by path."""
    found_shapes = {name: tuple(tensor.shape) for name, tensor in tensors}
    expected_shapes = dict(expected)
    problem = ""
    for name, shape in expected:
        if name not in found_shapes:
            problem = f"tensor {name} {shape} is missing"
        elif found_shapes[name] != shape:
            problem = f"tensor {name} has shape {found_shapes[name]}, expected {shape}"
        if problem:
            break
    extra = [name for name in found_shapes if name not in expected_shapes]
    if extra and not problem:
        problem = WITH_TOP
    elif not problem:
        return
    elif any(found_shapes[name] and found_shapes[name][-1] == 1000 for name in extra):
        problem = f"{problem} ({WITH_TOP})"
    raise ModelError(f"{path} does not hold the weights of {backbone.name} without top: {problem}")


def _check_values(tensors: Tensors, path: Path) -> None:
    for name, tensor in tensors:
        if tensor.external or tensor.is_virtual or tensor.file.filename != str(path):
            raise ModelError(f"{path}: tensor {name} lies outside the file")
        if tensor.dtype.kind not in "fiu":
            raise ModelError(f"{path}: tensor {name} must be numbers. Received: {tensor.dtype}")
        if not np.isfinite(tensor[()]).all():
            raise ModelError(f"{path}: tensor {name} has values that are not finite")


def _check_card(path: Path) -> None:
    """A card beside a file must be about that file."""
    card = card_path(path)
    if not card.is_file():
        return
    try:
        sha256 = json.loads(card.read_text(encoding="utf-8")).get("sha256")
    except (ValueError, AttributeError, RecursionError):
        return  # somebody else's JSON
    if isinstance(sha256, str) and sha256 != sha256_of(path):
        raise ModelError(f"{path} is not the file that {card.name} describes: their SHA-256 differ")


def _tree(file: Any) -> Tensors:
    """All data sets of a Keras 3 file. Links out of the file are not followed, so what they hide is missing."""
    import h5py

    tensors: Tensors = []
    file.visititems(lambda name, item: tensors.append((name, item)) if isinstance(item, h5py.Dataset) else None)
    return tensors


def _expected_tree(base: Any) -> Tensors:
    """The names and shapes that Keras itself would write for this model, by letting it write them.

    Raises:
        ModelError: there is no room to write to.
    """
    import h5py

    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "expected.weights.h5"
            base.save_weights(path)
            with h5py.File(path, "r") as file:
                return [(name, tuple(dataset.shape)) for name, dataset in _tree(file)]
    except (OSError, RuntimeError) as error:  # h5py raises both when a disk is full
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"weights cannot be checked, which needs a folder for temporary files: {reason}. "
            "Make room there, or set TMPDIR to another folder"
        ) from error


def _legacy(file: Any) -> Tensors:
    """Tensors in the order of an older file, named by their position."""
    group = file if "layer_names" in file.attrs or "layer_names0" in file.attrs else file["model_weights"]
    tensors: Tensors = []
    for layer in _names(group, "layer_names"):
        for weight in _names(group[layer], "weight_names"):
            tensors.append((_number(tensors), group[layer][weight]))
    return tensors


def _expected_legacy(base: Any) -> Tensors:
    """The same of a model."""
    expected: Tensors = []
    for layer in base.layers:  # the order of older files: trainable weights of a layer first
        for weight in [*layer.trainable_weights, *layer.non_trainable_weights]:
            expected.append((_number(expected), tuple(weight.shape)))
    return expected


def _number(before: Tensors) -> str:
    return f"no. {len(before) + 1}"


def _names(group: Any, attribute: str) -> list[str]:
    """A list of names in the attributes; Keras divides a long one into `<attribute>0`, `<attribute>1`, ..."""
    if attribute in group.attrs:
        values = list(group.attrs[attribute])
    else:
        chunks: list[Any] = []
        while f"{attribute}{len(chunks)}" in group.attrs:
            chunks.append(group.attrs[f"{attribute}{len(chunks)}"])
        values = [value for chunk in chunks for value in chunk]
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]
