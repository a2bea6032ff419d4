"""Where a model looks, against the class activation map in closed form."""

import dataclasses

import keras
import numpy as np
import pytest

from models import ModelError, saliency
from models.build import Task, build_network
from models.candidate import Candidate
from models.own import registry
from models.own.backbone import named
from models.own.hyper_network import build as build_hypermodel
from models.own.hypermodel import load_hyper
from models.own.reference import Reference
from models.saliency import looks, map_layer, view_of, view_of_classifier
from tests import hypermodels, made

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf-keras-vis needs TensorFlow")
LINEAR = made.candidate(dropout=0.2, resolution=32)


def network(n_classes=3, channels=3, side=32, candidate=LINEAR):
    return build_network(candidate, Task(side, side, channels, n_classes, "none"), 0)


def pictures(n, side, channels):
    return np.random.default_rng(0).integers(0, 256, (n, side, side, channels), dtype=np.uint8)


def upsampled(maps, side):
    from scipy.ndimage import zoom

    return np.stack([zoom(one, side / one.shape[0], order=1) for one in maps])


@pytest.mark.parametrize("keep_blocks", [0, 2])
def test_grad_cam_of_a_linear_head_is_the_class_activation_map(keep_blocks):
    """Behind global average pooling the gradient is the weight of the class over the cells (Zhou et al. 2016)."""
    net = network(candidate=dataclasses.replace(LINEAR, keep_blocks=keep_blocks))
    images, classes = pictures(4, 32, 3), np.array([0, 1, 2, 1])
    layer = map_layer(net)
    maps = keras.ops.convert_to_numpy(keras.Model(net.logits.input, layer.output)(images, training=False))
    kernel = keras.ops.convert_to_numpy(net.logits.get_layer("logits").kernel)  # (channels, classes)
    wanted = upsampled(np.maximum(np.einsum("nhwk,kn->nhw", maps, kernel[:, classes]), 0), 32)
    seen = looks(view_of(net), images, classes)
    wanted = wanted / np.maximum(wanted.max(axis=(1, 2), keepdims=True), 1e-12)
    np.testing.assert_allclose(seen.cam, wanted, atol=1e-3)
    assert (seen.layer, seen.cells) == (layer.name, maps.shape[1])


def transformer(folder, **changes):
    presets = pytest.importorskip("tests.models.own.presets", reason="the extra hub is not installed")
    name = named(f"keras_hub:{presets.folder_of(folder / 'vit', presets.small('vit'))}")
    return network(side=96, candidate=dataclasses.replace(LINEAR, backbone=name, resolution=96, **changes))


@pytest.mark.parametrize(("keep_blocks", "layer"), [(0, "add"), (2, "vit_encoder_dropout")])
def test_grad_cam_of_a_class_token_is_of_the_patches_that_it_sees(tmp_path, monkeypatch, keep_blocks, layer):
    """Behind the last attention a head on the class token sees no patch, so that gradients there are zero."""
    import tensorflow as tf

    monkeypatch.setattr(registry, "_known", {})
    net = transformer(tmp_path, pooling="token", keep_blocks=keep_blocks)
    images, classes = pictures(3, 96, 3), np.array([0, 1, 2])
    view = view_of(net)
    x = keras.Model(view.pictures, view.start)(images, training=False)
    with tf.GradientTape() as tape:
        maps, scores = keras.Model(view.start, [view.layer.output, view.scores])(x, training=False)
        chosen = tf.reduce_sum(tf.gather(scores, classes, axis=1, batch_dims=1))
    np.testing.assert_allclose(scores, net.logits(images, training=False), atol=1e-5)  # nothing was changed
    weights = tf.reduce_mean(tape.gradient(chosen, maps), axis=(1, 2), keepdims=True)
    wanted = upsampled(np.maximum(tf.reduce_sum(weights * maps, axis=-1).numpy(), 0), 96)
    seen = looks(view, images, classes)
    np.testing.assert_allclose(seen.cam, wanted / np.maximum(wanted.max(axis=(1, 2), keepdims=True), 1e-12), atol=1e-3)
    assert wanted.any() and seen.cells == 6
    assert seen.layer.rstrip("_0123456789") == layer


def test_a_map_of_tokens_is_named_after_the_layer_that_made_them(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_known", {})
    assert view_of(transformer(tmp_path)).named == "vit_encoder_ln"


def test_a_class_token_that_has_not_seen_the_picture_has_no_map(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_known", {})
    with pytest.raises(ModelError, match="behind the first block a class token is the same for all pictures"):
        view_of(transformer(tmp_path, pooling="token", keep_blocks=1))


@pytest.mark.parametrize(("n_classes", "channels", "side"), [(2, 1, 8), (3, 3, 48)])
def test_pictures_of_any_kind(n_classes, channels, side):
    seen = looks(view_of(network(n_classes, channels, side)), pictures(2, side, channels), np.array([0, 1]))
    assert seen.cam.shape == seen.saliency.shape == (2, 32, 32)
    for maps in (seen.cam, seen.saliency):
        assert maps.min() >= 0 and maps.max() <= 1
    assert seen.saliency.max(axis=(1, 2)).tolist() == [1, 1]


def test_two_classes_are_the_two_signs_of_one_logit():
    net, image = network(2), pictures(1, 32, 3)
    both = looks(view_of(net), np.concatenate([image, image]), np.array([0, 1]))
    np.testing.assert_allclose(both.saliency[0].mean(), both.saliency[1].mean(), rtol=0.5)  # noise is drawn anew
    assert not np.allclose(both.cam[0], both.cam[1])


def test_a_tiny_last_map_is_passed_over():
    net = network(
        candidate=Candidate(
            backbone="mobilenet_v2_0.35",
            unfreeze_depth=0,
            head_width=0,
            dropout=0.2,
            learning_rate=1e-3,
            lr_schedule="constant",
            resolution=32,
        )
    )
    layer = map_layer(net)
    assert net.logits.get_layer("pool").input.shape[1] == 1
    assert layer.output.shape[1] == saliency.LEAST_CELLS
    assert not isinstance(layer, keras.layers.ZeroPadding2D)


def of_hypermodel(name, n_classes=10):
    code = Reference(hypermodels.__file__, name)
    return build_hypermodel(load_hyper("mine", code, ""), {}, (8, 8, 1), n_classes, 0).classifier


def test_what_a_hypermodel_builds_is_seen_at_its_last_map():
    view = view_of_classifier(of_hypermodel("function"))
    assert isinstance(view.layer, keras.layers.BatchNormalization)
    seen = looks(view, pictures(2, 8, 1), np.array([3, 4]))
    assert seen.cam.shape == seen.saliency.shape == (2, 8, 8)
    assert seen.cells == 8


def test_a_network_without_maps_is_refused():
    with pytest.raises(ModelError, match="no map of at least 4 cells a side"):
        view_of_classifier(of_hypermodel("Layers"))


def test_other_backends_are_named(monkeypatch):
    net = network()
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ModelError, match="needs the tensorflow backend, this is jax"):
        looks(view_of(net), pictures(1, 32, 3), np.array([0]))
