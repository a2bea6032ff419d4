"""Networks of keras-hub by their presets: `keras_hub:resnet_18_imagenet`. Needs the extra `hub`.

A preset is a name that keras-hub knows, a handle (kaggle://..., hf://...) or a folder that its `save_to_preset` wrote.
Weights are loaded by keras-hub's own code, from its cache or the internet.

A preset is data of other people: what it says is looked at before Keras makes anything of it, so that none but
keras-hub's and Keras' own classes are made.
"""

from __future__ import annotations

import hashlib
import json
import textwrap
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from models import ModelError
from models.keras_graph import continued
from models.own.hub_layers import name_activations, opened, register
from models.own.hub_pyramids import sides_of_pyramid
from models.own.hub_tokens import patch_of
from models.own.reference import HUB, LEAST_SIDE, NATIVE_SIDE, Own, Reference
from models.quiet import quiet_import
from models.weights.values import set_weights, weights_digest

CONVERTER = "image_converter.json"  # of a preset: how it takes pictures
# Packages whose classes a preset may name; the last is the old name of the second.
TRUSTED = ("keras", "keras_hub", "keras_nlp")
BACKBONES = (
    "ResNetBackbone", "DenseNetBackbone", "VGGBackbone", "XceptionBackbone", "MobileNetBackbone", "MobileNetV5Backbone",
    "EfficientNetBackbone", "CSPNetBackbone", "HGNetV2Backbone", "ViTBackbone", "DeiTBackbone", "DINOV2Backbone",
    "DINOV3Backbone", "SigLIPBackbone", "MiTBackbone", "SwinTransformerBackbone",
)  # fmt: skip
SIDE_FIELDS = ("image_shape", "input_shape")  # of a network's configuration


def load_preset(preset: str) -> Own:
    """The network of a preset, with its weights.

    Args:
        preset: name, handle or folder.

    Raises:
        ModelError: keras-hub is not installed; it knows no such preset, or cannot have it; or the preset names code, or
            is of a network that is not in `BACKBONES`.
    """
    hub = _imported()
    _check_name(hub, preset)
    try:
        with quiet_import():
            backbone, converter = _opened(preset)
    except ModelError:
        raise
    except Exception as error:  # keras-hub, Kaggle and Hugging Face raise of every kind
        raise ModelError(f"{HUB}:{preset} cannot be loaded: {_line(error)}{_remedy(preset)}") from error
    kind, name = type(backbone), Reference(HUB, preset).name
    positioned = patch_of(backbone)
    patch, least_side = sides_of_pyramid(backbone) or (positioned, -(-LEAST_SIDE // positioned) * positioned)
    weights = backbone.get_weights()
    config = backbone.get_config()
    side = _native_side(config, converter)
    content = json.dumps([kind.__name__, _plain(config), _affine(converter)], sort_keys=True, default=str)
    digest = hashlib.sha256(f"{content} {weights_digest(backbone)}".encode()).hexdigest()

    def build(shape: tuple[int, int, int]) -> Any:
        if shape[0] % patch:
            raise ModelError(
                f"{HUB}:{name} takes sides that are multiples of its patches. Received: {shape[0]} px. "
                f"Allowed: multiples of {patch} px"
            )
        with quiet_import():
            made = kind.from_config(config if positioned > 1 else _at(config, shape))
        set_weights(made, weights)
        name_activations(made)
        return _last(made) if positioned == 1 else _transformer_at(_last(made), shape)

    if not config.get("qkv_bias", True) and kind.__name__ == "SwinTransformerBackbone":
        raise ModelError(
            f"{HUB}:{preset} must have qkv_bias: keras-hub loses that it has none where it saves its blocks"
        )
    register(backbone)
    source = f"{HUB}:{name} {digest}"
    least = _least(build, side) if patch == 1 else least_side
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


def _opened(preset: str) -> tuple[Any, Any]:
    """The network, and how it takes pictures, None where that is as they are. What is checked is what is made of it.

    Presets of timm and Hugging Face name no classes: keras-hub makes its own of their numbers.

    Raises:
        ModelError: the preset names code, or a network that is not searched.
        Exception: whatever keras-hub raises.
    """
    import keras
    import keras_hub
    from keras_hub.src.utils.preset_utils import check_file_exists, get_preset_loader, load_json

    loader = get_preset_loader(preset)
    _check(loader.config, f"config.json of {HUB}:{preset}")
    kind = loader.check_backbone_class()
    if kind.__name__ not in BACKBONES or not kind.__module__.startswith(f"{HUB}."):
        raise ModelError(f"{HUB}:{preset} is a {kind.__name__}. Allowed: {', '.join(BACKBONES)}")
    backbone = loader.load_backbone(kind, load_weights=True)
    backbone = getattr(backbone, "vision_encoder", backbone)  # of a pair that compares pictures with texts
    if "registered_name" not in loader.config:
        return backbone, keras_hub.layers.ImageConverter.from_preset(preset)
    if not check_file_exists(preset, CONVERTER):
        return backbone, None
    config = load_json(preset, CONVERTER)
    _check(config, f"{CONVERTER} of {HUB}:{preset}")
    converter = keras.saving.get_registered_object(config["registered_name"])
    if not isinstance(converter, type) or not issubclass(converter, keras_hub.layers.ImageConverter):
        raise ModelError(f"{CONVERTER} of {HUB}:{preset} must be an ImageConverter. Received: {config['class_name']}")
    return backbone, keras.saving.deserialize_keras_object(config)


def _check(config: Any, what: str) -> None:
    """Raises where a configuration names a class that is neither Keras' nor keras-hub's, a function, or a Lambda."""
    for named in _named_code(config):
        raise ModelError(
            f"{what} names {named}, which is neither keras-hub's nor Keras' own: it is not loaded; a function of yours "
            "that returns the network can load it as you like: path/file.py:build"
        )


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
