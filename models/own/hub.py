"""Networks of keras-hub by their presets: `keras_hub:resnet_18_imagenet`. Needs the extra `hub`.

A preset is a name that keras-hub knows, a handle (kaggle://..., hf://...) or a folder that its `save_to_preset` wrote.
Weights are loaded by keras-hub's own code, from its cache or the internet.

A preset is data of other people: what it says is looked at before Keras makes anything of it, so that none but
keras-hub's and Keras' own classes are made.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import textwrap
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from models import ModelError
from models.keras_graph import continued
from models.own.composite import opened
from models.own.hub_layers import name_activations, register
from models.own.hub_tokens import patch_of
from models.own.reference import HUB, LEAST_SIDE, NATIVE_SIDE, Own
from models.quiet import quiet_import
from models.weights.values import set_weights, weights_digest

CONFIGS = ("config.json", "image_converter.json")  # of a preset: the network, and how it takes pictures
TRUSTED = ("keras", "keras_hub")  # packages whose classes a preset may name
SIDE_FIELDS = ("image_shape", "input_shape")  # of a network's configuration
TAKES_PICTURES = (*SIDE_FIELDS, "vision_encoder")  # arguments of networks that do


def load_preset(preset: str) -> Own:
    """The network of a preset, with its weights.

    Args:
        preset: name, handle or folder.

    Raises:
        ModelError: keras-hub is not installed; it knows no such preset, or cannot have it; or the preset names code, or
            is no network that takes pictures alone.
    """
    hub = _imported()
    _check_name(hub, preset)
    _check_contents(preset)
    try:
        with quiet_import():
            backbone = hub.models.Backbone.from_preset(preset)
            converter = _converter(hub, preset)
    except Exception as error:  # keras-hub, Kaggle and Hugging Face raise of every kind
        raise ModelError(f"{HUB}:{preset} cannot be loaded: {_line(error)}{_remedy(preset)}") from error
    backbone = getattr(backbone, "vision_encoder", backbone)  # of a pair that compares pictures with texts
    _check_pictures(backbone, preset)
    patch = patch_of(backbone)
    weights = backbone.get_weights()
    config = backbone.get_config()
    side = _native_side(config, converter)
    content = json.dumps([type(backbone).__name__, _plain(config), _affine(converter)], sort_keys=True, default=str)
    digest = hashlib.sha256(f"{content} {weights_digest(backbone)}".encode()).hexdigest()

    def build(shape: tuple[int, int, int]) -> Any:
        if shape[0] % patch:
            raise ModelError(
                f"{HUB}:{Path(preset).name} takes sides that are multiples of its patches. Received: {shape[0]} px. "
                f"Allowed: multiples of {patch} px"
            )
        with quiet_import():
            made = type(backbone).from_config(config if patch > 1 else _at(config, shape))
        set_weights(made, weights)
        name_activations(made)
        return _last(made) if patch == 1 else _transformer_at(_last(made), shape)

    register(backbone)
    source = f"{HUB}:{Path(preset).name} {digest}"
    least = _least(build, side) if patch == 1 else -(-LEAST_SIDE // patch) * patch
    name = Path(preset).name
    return Own(name, build, _preprocess(converter), source, f"{HUB}:{name}", least, side, patch)


def _imported() -> Any:
    try:
        with quiet_import():
            import keras_hub
    except ImportError as error:
        raise ModelError(
            f"a network of {HUB} needs an extra: pip install 'keras-hpo[hub]'. Received: {_line(error)}"
        ) from error
    return keras_hub


def _check_name(hub: Any, preset: str) -> None:
    """Before anything is downloaded."""
    known = hub.models.Backbone.presets
    if "://" in preset or preset in known or Path(preset).is_dir():
        return
    near = get_close_matches(preset, known, n=3, cutoff=0.5)
    raise ModelError(
        f"keras-hub knows no preset {preset}, and there is no such folder."
        + (f" Did you mean {' or '.join(near)}?" if near else "")
    )


def _check_contents(preset: str) -> None:
    """Raises where a preset names a class that is neither Keras' nor keras-hub's, or takes no pictures; before weights.

    Those of timm and Hugging Face have no classes: keras-hub makes networks of their numbers.
    """
    import keras
    from keras_hub.src.utils.preset_utils import check_file_exists, load_json

    for name in CONFIGS:
        try:
            content = load_json(preset, name) if name == CONFIGS[0] or check_file_exists(preset, name) else {}
        except Exception as error:  # keras-hub, Kaggle and Hugging Face raise of every kind
            raise ModelError(f"{HUB}:{preset} cannot be loaded: {_line(error)}{_remedy(preset)}") from error
        for named in _named_code(content):
            raise ModelError(
                f"{name} of {HUB}:{preset} names {named}, which is neither keras-hub's nor Keras' own: it is not "
                "loaded; a function of yours that returns the network can load it as you like: path/file.py:build"
            )
        kind = keras.saving.get_registered_object(content.get("registered_name") or "")
        if name == CONFIGS[0] and kind and not {*inspect.signature(kind).parameters} & {*TAKES_PICTURES}:
            raise ModelError(f"{HUB}:{preset} must be a network that takes pictures. Received: {kind.__name__}")


def _named_code(content: Any) -> Iterator[str]:
    """What a configuration names that would be imported or run."""
    if isinstance(content, list):
        for each in content:
            yield from _named_code(each)
    if not isinstance(content, dict):
        return
    module, name, registered = (str(content.get(key) or "") for key in ("module", "class_name", "registered_name"))
    if (module and module.partition(".")[0] not in TRUSTED) or "Lambda" in name or name == "function":
        yield f"{module}.{name}".strip(".")
    elif ">" in registered and registered.partition(">")[0] not in TRUSTED:
        yield registered
    for each in content.values():
        yield from _named_code(each)


def _check_pictures(backbone: Any, preset: str) -> None:
    shapes = [tuple(each.shape) for each in getattr(backbone, "inputs", None) or []]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][-1] != 3:
        raise ModelError(
            f"{HUB}:{preset} must be a network that takes pictures (height, width, 3) and nothing else. "
            f"Received: {type(backbone).__name__}, which takes {shapes}"
        )


def _converter(hub: Any, preset: str) -> Any:
    """How the preset takes pictures; None where it takes them as they are."""
    from keras_hub.src.utils.preset_utils import check_file_exists, load_json

    network, converter = CONFIGS
    if "registered_name" in load_json(preset, network) and not check_file_exists(preset, converter):
        return None  # those of timm and Hugging Face have it elsewhere
    return hub.layers.ImageConverter.from_preset(preset)


def _affine(converter: Any) -> tuple[list[float], list[float]] | None:
    """Scale and offset of each channel of pictures from 0 to 255; None where they are taken as they are."""
    scale, offset = (getattr(converter, name, None) for name in ("scale", "offset"))
    if scale is None and offset is None:
        return None
    each = [value if isinstance(value, (list, tuple)) else [value] * 3 for value in (scale or 1.0, offset or 0.0)]
    return [float(value) for value in each[0]], [float(value) for value in each[1]]


def _preprocess(converter: Any) -> Any:
    affine = _affine(converter)
    if affine is None:
        return None

    def preprocess(x: Any) -> Any:
        import keras

        return keras.layers.Rescaling(*affine, name="preprocess")(x)

    return preprocess


def _native_side(config: Mapping[str, Any], converter: Any) -> int:
    """In pixels: that of its pictures, or of its configuration."""
    shapes = [getattr(converter, "image_size", None), *(config.get(field) for field in SIDE_FIELDS)]
    return next((int(shape[0]) for shape in shapes if shape and shape[0]), NATIVE_SIDE)


def _at(config: Mapping[str, Any], shape: tuple[int, int, int]) -> dict[str, Any]:
    """The configuration of the same network for pictures of this shape."""
    return {**config, **{field: shape for field in SIDE_FIELDS if field in config}}


def _transformer_at(model: Any, shape: tuple[int, int, int]) -> Any:
    """The same network for pictures of another side: only the positions of its patches depend on that."""
    import keras

    inputs = keras.Input(shape)
    return keras.Model(inputs, continued(model, inputs, opened), name=model.name)


def _last(model: Any) -> Any:
    """To the deepest feature map or tokens, of a network that gives those of its stages or pools them, too."""
    import keras

    outputs = model.output
    if type(model).__name__ == "SigLIPVisionEncoder":
        outputs = model.post_layer_norm.output
    if isinstance(outputs, Mapping):
        outputs = list(outputs.values())
    if isinstance(outputs, (list, tuple)):
        outputs = outputs[-1]
    return keras.Model(model.inputs[0], outputs, name=model.name)


def _least(build: Any, side: int) -> int:
    """The smallest side of a picture, in pixels: that which others have, where it can be built there."""
    try:
        build((LEAST_SIDE, LEAST_SIDE, 3))
    except Exception:  # whatever a layer says: then it is for its own side alone
        return side
    return min(side, LEAST_SIDE)


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of a configuration says which network it is."""
    return {key: value for key, value in config.items() if key not in ("name", "dtype", "trainable", *SIDE_FIELDS)}


def _remedy(preset: str) -> str:
    """What may help where a preset is not here yet."""
    if Path(preset).is_dir():
        return ""
    return "; keras-hub takes it from its cache (KAGGLEHUB_CACHE, HF_HOME) or from the internet, or name a folder"


def _line(error: BaseException) -> str:
    """An error in one line."""
    return textwrap.shorten(f"{type(error).__name__}: {error}", 160, placeholder=" ...")
