"""Presets of keras-hub for tests: its networks with random weights, as published or small, in folders."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

hub: Any = pytest.importorskip("keras_hub", reason="the extra hub is not installed")

RESNET = {
    "input_conv_filters": [64], "input_conv_kernel_sizes": [7], "stackwise_num_filters": [64, 64],
    "stackwise_num_blocks": [1, 1], "stackwise_num_strides": [1, 2], "block_type": "basic_block",
}  # fmt: skip
MOBILENET_V5 = {
    "stackwise_block_types": [["er"], ["uir", "mqa"]], "stackwise_num_blocks": [1, 2],
    "stackwise_num_filters": [[16], [32, 32]], "stackwise_strides": [[2], [2, 1]],
    "stackwise_act_layers": [["gelu"], ["gelu", "gelu"]], "stackwise_exp_ratios": [[4.0], [4.0, 0]],
    "stackwise_se_ratios": [[0.0], [0.0, 0.0]], "stackwise_dw_kernel_sizes": [[0], [5, 3]],
    "stackwise_dw_start_kernel_sizes": [[0], [3, 0]], "stackwise_dw_end_kernel_sizes": [[0], [0, 0]],
    "stackwise_exp_kernel_sizes": [[3], [0, 0]], "stackwise_pw_kernel_sizes": [[1], [0, 0]],
    "stackwise_num_heads": [[0], [0, 4]], "stackwise_key_dims": [[0], [0, 16]],
    "stackwise_value_dims": [[0], [0, 8]], "stackwise_kv_strides": [[0], [0, 2]],
    "stackwise_use_cpe": [[False], [False, False]], "layer_scale_init_value": 1e-5, "drop_path_rate": 0.1,
}  # fmt: skip
HGNET_V2 = {
    "depths": [1, 1], "embedding_size": 16, "hidden_sizes": [32, 64], "stem_channels": [3, 8, 16],
    "hidden_act": "relu", "use_learnable_affine_block": True,
    "stackwise_stage_filters": [(16, 8, 32, 1, 2, 3), (32, 16, 64, 1, 2, 3)], "apply_downsample": [False, True],
    "use_lightweight_conv_block": [False, True],
}  # fmt: skip
CSPNET = {
    "stem_filters": 16, "stem_kernel_size": 3, "stem_strides": 1, "stackwise_depth": [1, 1],
    "stackwise_strides": [2, 2], "stackwise_num_filters": [16, 32], "block_type": "dark_block", "stage_type": "csp",
    "bottle_ratio": [0.5, 1.0], "block_ratio": [1.0, 0.5], "expand_ratio": [2.0, 1.0], "stem_padding": "same",
    "down_growth": True,
}  # fmt: skip

TRANSFORMER = {"num_layers": 2, "num_heads": 2, "hidden_dim": 16}


def siglip(image_shape: tuple[int, int, int] = (96, 96, 3)) -> Any:
    """The pair of networks, of which one takes pictures."""
    common = TRANSFORMER | {"intermediate_dim": 32}
    texts = hub.models.SigLIPTextEncoder(vocabulary_size=8, embedding_dim=16, max_sequence_length=4, **common)
    return hub.models.SigLIPBackbone(
        hub.models.SigLIPVisionEncoder(patch_size=16, image_shape=image_shape, **common), texts
    )


# A small network of each family: the name of its class, and its configuration.
SMALL: dict[str, tuple[str, dict[str, Any]]] = {
    "resnet": ("ResNetBackbone", RESNET),
    "resnet_vd": ("ResNetBackbone", RESNET | {"block_type": "basic_block_vd"}),
    "resnet_v2": ("ResNetBackbone", RESNET | {"use_pre_activation": True}),
    "mobilenet_v5": ("MobileNetV5Backbone", MOBILENET_V5 | {"use_msfa": False}),
    "hgnet_v2": ("HGNetV2Backbone", HGNET_V2),
    "cspnet": ("CSPNetBackbone", CSPNET),
    "vgg": ("VGGBackbone", {"stackwise_num_repeats": [1, 1], "stackwise_num_filters": [8, 16]}),
    "densenet": ("DenseNetBackbone", {"stackwise_num_repeats": [1, 1, 1, 1], "growth_rate": 8}),
    "xception": (
        "XceptionBackbone",
        {"stackwise_conv_filters": [[8, 8], [16, 16]], "stackwise_pooling": [True, False]},
    ),
}
# Vision transformers with the positions of pictures of 96 px; DINOv2 and DINOv3 have two registers.
TRANSFORMERS: dict[str, tuple[str, dict[str, Any]]] = {
    "vit": ("ViTBackbone", TRANSFORMER | {"mlp_dim": 32, "patch_size": 16, "image_shape": (96, 96, 3)}),
    "deit": ("DeiTBackbone", TRANSFORMER | {"intermediate_dim": 32, "patch_size": 16, "image_shape": (96, 96, 3)}),
    "dinov2": (
        "DINOV2Backbone",
        TRANSFORMER
        | {"intermediate_dim": 32, "patch_size": 16, "num_register_tokens": 2, "drop_path_rate": 0.1}
        | {"image_shape": (96, 96, 3), "position_embedding_shape": (96, 96, 3)},
    ),
    "dinov3": (
        "DINOV3Backbone",
        TRANSFORMER
        | {"intermediate_dim": 32, "patch_size": 16, "num_register_tokens": 2, "drop_path_rate": 0.1}
        | {"image_shape": (96, 96, 3)},
    ),
}
# Those whose maps shrink from stage to stage.
PYRAMIDS: dict[str, tuple[str, dict[str, Any]]] = {
    "mit": (
        "MiTBackbone",
        {"layerwise_depths": [1, 2], "num_layers": 2, "layerwise_num_heads": [1, 2], "layerwise_sr_ratios": [4, 1]}
        | {"max_drop_path_rate": 0.1, "layerwise_patch_sizes": [7, 3], "layerwise_strides": [4, 2]}
        | {"hidden_dims": [8, 16], "image_shape": (96, 96, 3)},
    ),
    "swin": (
        "SwinTransformerBackbone",
        {"embed_dim": 8, "depths": (2, 1), "num_heads": (1, 2), "window_size": 4, "image_shape": (96, 96, 3)},
    ),
}
# Published networks that are small as they are: the names by which keras-hub knows those of timm.
PUBLISHED = {"mobilenet": "mobilenetv3_small_050", "efficientnet": "efficientnet_lite0"}
FAMILIES = (*SMALL, *TRANSFORMERS, "siglip", *PYRAMIDS, *PUBLISHED)
_HOMES = {"cspdarknet53": "cspnet", "hgnetv2_b0": "hgnetv2", "vgg16": "vgg"}


def published(architecture: str) -> Any:
    """A network as timm and keras-hub have it."""
    name = _HOMES.get(architecture) or architecture.partition("v3")[0].partition("_")[0].rstrip("0123456789")
    module: ModuleType = importlib.import_module(f"keras_hub.src.utils.timm.convert_{name}")
    return module.backbone_cls(**module.convert_backbone_config({"architecture": architecture}))


def small(family: str, **others: Any) -> Any:
    """A small network of a family."""
    if family in PUBLISHED:
        return published(PUBLISHED[family])
    if family == "siglip":
        return siglip(**others)
    kind, config = (SMALL | TRANSFORMERS | PYRAMIDS)[family]
    return getattr(hub.models, kind)(**config | others)


def folder_of(path: Path, *parts: Any) -> str:
    """A preset of these: a network, and perhaps how it takes pictures."""
    for part in parts:
        part.save_to_preset(str(path))
    return str(path)
