"""Weights of a backbone: pretrained ones, a file of the user's, and saving.

One rule for ImageNet weights: the application is built once, without top, at the resolution it was trained at, and its
weights are copied. No weight depends on the resolution. Keras publishes MobileNet and MobileNetV2 in several
resolutions and takes the 224 pixel file for sizes it has none for; NASNet takes no other input while it loads. So
the same backbone has the same weights at every resolution.

torchvision's weights (AlexNet, GoogLeNet, ResNet-18 and 34) are converted by `models.weights.torchvision` and kept as
a file.

A file is read only into a network that we built: its tensors must be exactly those of the backbone without
top, and finite. No pickle, no `load_model`. Nothing falls back to random weights: it is this or `ModelError`.
"""

from __future__ import annotations

import functools
import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from models import ModelError, zoo
from models.backbones import application
from models.catalogue import BACKBONES, PACKAGED, UNPUBLISHED, Description
from models.reuse.locks import locked
from models.weights import torchvision
from models.weights.hdf5 import BACKBONE_ATTRIBUTE, WAYS_OUT, card_path, check_file, sha256_of
from models.weights.values import set_weights

PACKAGED_WEIGHTS = Path(__file__).parent.parent / "zoo"  # custom_cnn.weights.h5, with its card custom_cnn.json
# Keras keeps these under another name than the one in the address.
CACHED_NAMES = {
    "NASNet-mobile-no-top.h5": "nasnet_mobile_no_top.h5",
    "NASNet-large-no-top.h5": "nasnet_large_no_top.h5",
}


def load_backbone_weights(base: Any, backbone: Description, weights: str) -> None:
    """Sets the weights of a backbone, or raises.

    Args:
        base: `keras.Model(inputs, feature_map)`, freshly built.
        backbone: what `base` holds.
        weights: "pretrained", "none" (leaves the random ones), or the path of an `.h5` or `.weights.h5` file.

    Raises:
        ModelError: weights cannot be fetched, are damaged, or belong to another network.
    """
    is_built_with_them = weights == "pretrained" and backbone.is_own
    if weights == "none" or is_built_with_them:
        return
    if weights != "pretrained":
        _load_file(base, backbone, Path(weights).expanduser())
    elif backbone.weights == UNPUBLISHED:
        raise ModelError(
            f"no pretrained weights of {backbone.name} are published: choose --weights none or --weights FILE"
        )
    elif backbone.weights == PACKAGED:
        _load_file(base, backbone, PACKAGED_WEIGHTS / f"{backbone.name}.weights.h5")
    elif backbone.application:
        set_weights(base, _application_weights(backbone.name))
    else:
        _load_file(base, backbone, _converted(base, backbone))


def save_backbone_weights(base: Any, backbone: Description, path: str | Path, card: Mapping[str, Any]) -> None:
    """Writes `<name>.weights.h5` and beside it the card `<name>.json`, each in one step by a rename.

    Args:
        base: `keras.Model(inputs, feature_map)`.
        backbone: what `base` holds.
        path: of the weights.
        card: what is to be known about the weights; "backbone" and "sha256" (of the file) are added.
    """
    import h5py

    path = Path(path)
    if not path.name.endswith(".weights.h5"):
        raise ModelError(f"weights are saved as .weights.h5. Received: {path}")
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".saving-") as folder:
        temporary = Path(folder) / path.name
        base.save_weights(temporary)
        with h5py.File(temporary, "a") as file:
            file.attrs[BACKBONE_ATTRIBUTE] = backbone.name
        with open(temporary, "rb+") as handle:
            os.fsync(handle.fileno())
        full_card = {**card, "backbone": backbone.name, "sha256": sha256_of(temporary)}
        temporary_card = Path(folder) / "card.json"
        temporary_card.write_text(json.dumps(full_card, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        os.replace(temporary, path)
        os.replace(temporary_card, card_path(path))


def keras_models_folder() -> Path:
    """Where Keras keeps downloaded weights: its home, or /tmp/.keras where it may not write there."""
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras").expanduser()
    if home.exists() and not os.access(home, os.W_OK):
        home = Path("/tmp" if os.path.isdir("/tmp") else tempfile.gettempdir()) / ".keras"
    return home / "models"


def _converted(base: Any, backbone: Description) -> Path:
    """Weights of torchvision as `.weights.h5`, beside the file they came from; converted once, by one process.

    `base` is overwritten where they were not converted yet.
    """
    published, folder = torchvision.PUBLISHED[backbone.name], keras_models_folder()
    path = folder / f"{Path(published.file_name).stem}.weights.h5"
    if _made_from(path, published.url):
        return path
    torchvision.require_torch(backbone.name)  # before hundreds of megabytes are fetched
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / f"{published.file_name}.lock"):
            if not _made_from(path, published.url):  # another process may have made it while we waited
                source = torchvision.fetch(backbone.name, folder)
                _convert(base, backbone, source)
                card = {"source": published.url, "source_sha256": sha256_of(source)}
                save_backbone_weights(base, backbone, path, card)
    except OSError as error:
        raise ModelError(f"ImageNet weights of {backbone.name} cannot be kept in {folder}: {error}") from error
    return path


def _convert(base: Any, backbone: Description, source: Path) -> None:
    try:
        tensors = torchvision.read(source)
        left_out = torchvision.PUBLISHED[backbone.name].left_out
        torchvision.convert(base, zoo.torch_modules(backbone.name), tensors, left_out)
    except ModelError as error:
        raise ModelError(f"{source} cannot be used for {backbone.name}: {error}") from error


def _made_from(path: Path, url: str) -> bool:
    """Whether the converted file is there and its card says that it was made from this one."""
    try:
        return path.is_file() and json.loads(card_path(path).read_text(encoding="utf-8")).get("source") == url
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


@functools.lru_cache(maxsize=2)
def _application_weights(name: str) -> tuple[np.ndarray, ...]:
    """ImageNet weights of a backbone of keras.applications, in the order of `model.get_weights()`."""
    backbone = BACKBONES[name]
    native = (backbone.native_resolution, backbone.native_resolution, 3)
    folder = keras_models_folder()
    before = {path.name for path in folder.glob("*.h5")} if folder.exists() else set()
    try:
        return tuple(application(backbone, input_shape=native, include_top=False, weights="imagenet").get_weights())
    except Exception as error:  # Keras raises a bare Exception when a download fails
        message, missing = _fetch_message(backbone, str(error), folder, before)
        raise ModelError(message, missing) from error


def _fetch_message(backbone: Description, text: str, folder: Path, before: set[str]) -> tuple[str, Path | None]:
    """What is said of weights that cannot be had, and the file that Keras looked for, if that is known."""
    reason = " ".join(text.split())[:300]
    address = re.search(r"https?://[^\s]+?\.h5", text)
    if address is None:
        broken = [str(path) for path in sorted(folder.glob("*.h5")) if path.name in before and not _readable(path)]
        named = f"damaged file {', '.join(broken)}: remove it" if broken else f"{reason}"
        return f"ImageNet weights of {backbone.name} cannot be loaded from {folder}: {named}", None
    name = address.group().rsplit("/", 1)[1]
    name = CACHED_NAMES.get(name, name)
    damaged = " (the file that was there was damaged: its checksum is not the published one)" if name in before else ""
    text = (
        f"ImageNet weights of {backbone.name} cannot be fetched: {reason}. "
        f"Expected file: {folder / name}{damaged}. Ways out: {WAYS_OUT}"
    )
    return text, folder / name


def _readable(path: Path) -> bool:
    import h5py

    try:
        with h5py.File(path, "r"):
            return True
    except OSError:
        return False


_last_file: dict[tuple[str, str, int, int], list[np.ndarray]] = {}  # the last file that was checked and loaded


def _load_file(base: Any, backbone: Description, path: Path) -> None:
    """Check and load a file; a study does this for each trial, so the same file is read once in a process."""
    key = None
    if path.is_file():
        stat = path.stat()
        key = (backbone.name, str(path.resolve()), stat.st_mtime_ns, stat.st_size)
        if key in _last_file:
            set_weights(base, _last_file[key])
            return
    check_file(base, backbone, path)
    try:
        base.load_weights(path)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"{path} cannot be loaded into {backbone.name}: {reason}") from error
    if key is not None:
        _last_file.clear()
        _last_file[key] = base.get_weights()
