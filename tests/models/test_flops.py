"""Closed forms layer by layer, and the published totals."""

from __future__ import annotations

from typing import Any

import pytest

from models import ModelError
from models.backbones import features, with_top
from models.catalogue import BACKBONES
from models.flops import Flops, count
from tests.models.families import FAMILIES

PUBLISHED_GMACS = {  # with top, at native resolution
    "mobilenet": 0.5687, "mobilenet_v2": 0.3008, "mobilenet_v3_small": 0.0565, "resnet50": 3.8580,
    "resnet50_v2": 3.4823, "efficientnet_b0": 0.3858, "convnext_tiny": 4.4555, "googlenet": 1.498, "resnet18": 1.814,
    "resnet34": 3.664, "lenet5": 0.00041652, "lenet5_grey": 0.00041652,
    "lenet5_colour": 0.00065172,
}  # fmt: skip
PUBLISHED_GMACS_SLOW = {
    "vgg16": 15.4703, "vgg19": 19.6321, "densenet121": 2.8342, "efficientnet_v2_b0": 0.7181, "inception_v3": 5.7132,
    "xception": 8.3574, "nasnet_mobile": 0.5636, "alexnet": 0.714, "zfnet": 1.16803,
}  # fmt: skip


def _count(shape: tuple[int | None, ...], *layers: Any) -> Flops:
    import keras

    inputs = x = keras.Input(shape)
    for layer in layers:
        x = layer(x)
    return count(keras.Model(inputs, x))


def _layer(kind: str, *arguments: Any, **options: Any) -> Any:
    import keras

    return getattr(keras.layers, kind)(*arguments, **options)


MACS = [
    ("Conv2D", (8, 8, 3), {"filters": 16, "kernel_size": 3, "padding": "same"}, 8 * 8 * 16 * 9 * 3),
    ("Conv2D", (8, 8, 3), {"filters": 16, "kernel_size": 3, "strides": 2}, 3 * 3 * 16 * 9 * 3),
    ("Conv2D", (8, 8, 4), {"filters": 8, "kernel_size": 3, "groups": 2, "padding": "same"}, 8 * 8 * 8 * 9 * 2),
    ("Conv1D", (10, 4), {"filters": 6, "kernel_size": 3}, 8 * 6 * 3 * 4),
    ("Conv2DTranspose", (4, 4, 3), {"filters": 5, "kernel_size": 2, "strides": 2}, 4 * 4 * 3 * 4 * 5),
    ("DepthwiseConv2D", (8, 8, 3), {"kernel_size": 3, "padding": "same"}, 8 * 8 * 3 * 9),
    ("DepthwiseConv2D", (8, 8, 3), {"kernel_size": 3, "depth_multiplier": 2}, 6 * 6 * 6 * 9),
    ("SeparableConv2D", (8, 8, 3), {"filters": 7, "kernel_size": 3, "padding": "same"}, 8 * 8 * (3 * 9 + 3 * 7)),
    ("SeparableConv2D", (8, 8, 3), {"filters": 7, "kernel_size": 3, "depth_multiplier": 2}, 6 * 6 * (6 * 9 + 6 * 7)),
    ("Dense", (12,), {"units": 5}, 12 * 5),
    ("Dense", (4, 4, 12), {"units": 5}, 16 * 12 * 5),
    ("EinsumDense", (6, 8), {"equation": "abc,cd->abd", "output_shape": (6, 3)}, 6 * 8 * 3),
]


@pytest.mark.parametrize(("name", "shape", "options", "macs"), MACS)
def test_macs_of_a_layer(name: str, shape: tuple[int, ...], options: dict[str, Any], macs: int) -> None:
    flops = _count(shape, _layer(name, **options))
    assert flops.macs == macs
    assert flops.flops == 2 * macs
    assert flops.by_kind[name] == {"macs": macs, "flops": 2 * macs}


OTHERS = [
    ("BatchNormalization", {}, 2 * 192),
    ("LayerNormalization", {}, 7 * 192),
    ("Rescaling", {"scale": 2.0}, 2 * 192),
    ("ReLU", {}, 192),
    ("ReLU", {"max_value": 6.0}, 2 * 192),
    ("Activation", {"activation": "hard_swish"}, 5 * 192),
    ("Activation", {"activation": "linear"}, 0),
    ("MaxPooling2D", {}, 192),
    ("AveragePooling2D", {"pool_size": 2}, 192),
    ("GlobalAveragePooling2D", {}, 192),
    ("AdaptiveAveragePooling2D", {"output_size": 4}, 192),
    ("AdaptiveAveragePooling2D", {"output_size": 6}, 12 * 12 * 3),  # each output reads two of eight along a side
    ("Resizing", {"height": 16, "width": 16}, 7 * 16 * 16 * 3),
    ("Resizing", {"height": 8, "width": 8}, 0),
    ("Resizing", {"height": 4, "width": 4, "interpolation": "nearest"}, 0),
    ("Dropout", {"rate": 0.5}, 0),
    ("Flatten", {}, 0),
    ("ZeroPadding2D", {}, 0),
]


@pytest.mark.parametrize(("name", "options", "flops"), OTHERS)
def test_other_flops_of_a_layer(name: str, options: dict[str, Any], flops: int) -> None:
    counted = _count((8, 8, 3), _layer(name, **options))
    assert (counted.macs, counted.other_flops) == (0, flops)


def test_bias_and_fused_activation_are_counted_beside() -> None:
    flops = _count((12,), _layer("Dense", 5, activation="relu"))
    assert flops.by_kind == {
        "Dense": {"macs": 60, "flops": 120},
        "bias": {"macs": 0, "flops": 5},
        "activation": {"macs": 0, "flops": 5},
    }
    assert (flops.macs, flops.other_flops) == (60, 10)
    assert sum(cost["flops"] for cost in flops.by_kind.values()) == flops.flops + flops.other_flops


def test_attention() -> None:
    import keras

    inputs = keras.Input((10, 16))
    model = keras.Model(inputs, keras.layers.MultiHeadAttention(2, 8)(inputs, inputs))
    assert count(model).macs == 4 * 10 * 16 * 16 + 2 * 10 * 10 * 16
    model = keras.Model(inputs, keras.layers.Attention()([inputs, inputs]))
    assert count(model).macs == 2 * 10 * 10 * 16


def test_every_call_of_a_shared_layer_counts() -> None:
    import keras

    inputs = keras.Input((8,))
    shared = keras.layers.Dense(8)
    assert count(keras.Model(inputs, shared(shared(inputs)))).macs == 2 * 64


def test_nested_models_count() -> None:
    import keras

    inner = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8), keras.layers.Dense(4)])
    inputs = keras.Input((8,))
    functional = keras.Model(inputs, inner(inputs))
    outer = keras.Input((8,))
    assert count(inner).macs == count(functional).macs == count(keras.Model(outer, functional(outer))).macs == 96


def test_operations_between_layers_count() -> None:
    import keras

    inputs = keras.Input((8, 8, 3))
    x = keras.ops.flip(inputs, axis=-1) + 3.0
    assert count(keras.Model(inputs, x * x)).other_flops == 2 * 192


def test_a_layer_without_formula_is_named() -> None:
    with pytest.raises(ModelError, match="'unknown' of class LSTM"):
        _count((5, 3), _layer("LSTM", 4, name="unknown"))
    with pytest.raises(ModelError, match="activation my_own of layer"):

        def my_own(x: Any) -> Any:
            return x

        _count((5,), _layer("Dense", 4, activation=my_own))


def test_sizes_must_be_fixed() -> None:
    with pytest.raises(ModelError, match="fixed input size"):
        _count((None, None, 3), _layer("Conv2D", 4, 3))


@pytest.mark.parametrize(("name", "gmacs"), PUBLISHED_GMACS.items())
def test_published_macs(name: str, gmacs: float) -> None:
    _check_published(name, gmacs)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "gmacs"), PUBLISHED_GMACS_SLOW.items())
def test_published_macs_of_larger_networks(name: str, gmacs: float) -> None:
    _check_published(name, gmacs)


def _check_published(name: str, gmacs: float) -> None:
    backbone = BACKBONES[name]
    assert count(with_top(backbone, backbone.native_resolution)).macs / 1e9 == pytest.approx(gmacs, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_can_be_counted(name: str) -> None:
    import keras

    keras.backend.clear_session()
    backbone = BACKBONES[name]
    inputs = keras.Input((backbone.min_resolution, backbone.min_resolution, 3))
    features_macs = count(keras.Model(inputs, features(backbone, inputs))).macs
    assert 0 < features_macs < count(with_top(backbone, backbone.min_resolution)).macs


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet_0.25", "mobilenet_v2_0.35", "custom_cnn"])
def test_profiler_of_tensorflow_agrees(name: str) -> None:
    tf = pytest.importorskip("tensorflow")
    import keras

    if keras.backend.backend() != "tensorflow":
        pytest.skip("TensorFlow's own profiler needs its own graph")
    model = with_top(BACKBONES[name], 96)
    graph = tf.function(lambda x: model(x, training=False)).get_concrete_function(tf.TensorSpec((1, 96, 96, 3))).graph
    profiler = tf.compat.v1.profiler
    options = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation()).with_empty_output().build()
    theirs = profiler.profile(graph=graph, options=options).total_float_ops
    ours = count(model)
    assert ours.flops == pytest.approx(theirs, rel=0.05)  # it adds bias and element-wise work
