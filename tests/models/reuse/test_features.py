"""Stored features: right for a cut in every family, computed once, built on what is there, whole or not at all."""

import dataclasses

import keras
import numpy as np
import pytest

import models.reuse.frozen
from models.build import Task, build_network
from models.candidate import Candidate
from models.reuse.activations import ActivationStore, Key
from models.reuse.features import PICTURES, POOLED, RESIZED, Features, cut_name, cut_tensors
from tests.models.families import families

SIDES = {"inception_v3": 75, "inception_resnet_v2": 75, "xception": 71}
TASK = Task(32, 32, 3, 10, "none")
PIXELS = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype="uint8")


def network(name="custom_cnn", depth=1, side=16, task=TASK):
    return build_network(
        Candidate(
            backbone=name,
            unfreeze_depth=depth,
            head_width=0,
            dropout=0.0,
            learning_rate=1e-3,
            lr_schedule="constant",
            resolution=side,
        ),
        task,
        seed=0,
    )


def key(cut, dtype="float16", **changes):
    values = Key("custom_cnn", "w" * 64, cut, 16, "32x32x3", "d" * 64, "train", "s" * 32, "", dtype)
    return dataclasses.replace(values, **changes)


class Once:
    """Gives the pictures, or the network, and counts how often."""

    def __init__(self, value):
        self.value, self.calls = value, 0

    def __call__(self):
        self.calls += 1
        return self.value


def pictures():
    return Once([PIXELS[:3], PIXELS[3:]])


def logits_behind(model, cut, name, features):
    tail = keras.Model(cut_tensors(model)[name], model.logits.output)
    return keras.ops.convert_to_numpy(tail(features.astype("float32"), training=False))


@pytest.mark.parametrize("family", families())
def test_equal_logits_within_float16_for_a_cut_in_every_family(family, tmp_path, monkeypatch):
    """As they are computed for many pictures (`models.reuse.frozen`)."""
    monkeypatch.setattr(models.reuse.frozen, "MUCH", 0.0)
    side = SIDES.get(family, 32)
    model = network(family, 1, side)
    whole = keras.ops.convert_to_numpy(model.logits(PIXELS, training=False))
    for cut in (cut_name(1), POOLED):
        wanted = key(cut, backbone=family, resolution=side)
        found = Features(ActivationStore(tmp_path, 1 << 30), wanted, 5, lambda: model, pictures()).load()
        assert found.dtype == np.float16 or np.abs(found).max() < 1e-3  # random weights may leave too little for it
        ours = logits_behind(model, cut, cut, found)
        # a float16 has eleven bits; a few layers behind the cut may add their roundings up
        assert np.abs(ours - whole).max() <= 2**-11 * 16 * max(np.abs(whole).max(), 1e-3)


def test_float32_on_request_is_exact(tmp_path):
    model = network()
    found = Features(ActivationStore(tmp_path, 1 << 30), key("top1", "float32"), 5, lambda: model, pictures()).load()
    expected = keras.ops.convert_to_numpy(model.prefix()(PIXELS, training=False))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_what_float16_cannot_hold_is_stored_as_float32(tmp_path, monkeypatch):
    import models.reuse.features

    model = network()
    cache = ActivationStore(tmp_path, 1 << 30)
    shape = cut_tensors(model)["top1"].shape[1:]
    monkeypatch.setattr(
        models.reuse.features, "run_frozen", lambda *_: lambda x: [np.full((len(x), *shape), 1e6, "float32")]
    )
    wanted = Features(cache, key("top1"), 5, lambda: model, pictures())
    assert wanted.load().dtype == np.float32
    assert wanted.present()
    assert (wanted.load() == 1e6).all()


def test_computed_once_then_neither_network_nor_pictures_are_asked_for(tmp_path):
    cache = ActivationStore(tmp_path, 1 << 30)
    first = Features(cache, key(POOLED), 5, lambda: network(), pictures())
    assert not first.present()
    stored = first.load()
    models, again = Once(None), pictures()
    later = Features(ActivationStore(tmp_path, 1 << 30), key(POOLED), 5, models, again)
    assert later.present()
    assert (later.load() == stored).all()
    assert (models.calls, again.calls) == (0, 0)
    assert later.origin().flops == 0


def test_deeper_cuts_build_on_shallower_ones(tmp_path):
    model, cache = network(depth=3), ActivationStore(tmp_path, 1 << 30)
    deep = Features(cache, key("top1"), 5, lambda: model, (never := pictures()))
    from_pictures = deep.origin()
    assert from_pictures.cut == PICTURES
    Features(cache, key("top3"), 5, lambda: model, pictures()).load()
    from_top3 = deep.origin()
    assert from_top3.cut == "top3"
    assert 0 < from_top3.flops < from_pictures.flops
    found = deep.load()
    assert never.calls == 0
    expected = keras.ops.convert_to_numpy(network(depth=1).prefix()(PIXELS, training=False))
    np.testing.assert_allclose(found, expected, rtol=2e-2, atol=2e-3 * np.abs(expected).max())
    assert Features(cache, key(POOLED), 5, lambda: model, pictures()).origin().cut == "top1"


def test_resized_pictures_serve_every_backbone(tmp_path):
    cache = ActivationStore(tmp_path, 1 << 30)
    resized = key(RESIZED, backbone="", weights="")
    Features(cache, resized, 5, lambda: network(), pictures()).load()
    other = key("top1", backbone="resnet50", weights="r" * 64)
    assert Features(cache, other, 5, lambda: network("resnet50", 1, 32), pictures()).origin().cut == PICTURES
    # no resizing at 32 px; at 16 px it is there, for the small network and for any other
    assert Features(cache, key("top1"), 5, lambda: network(), pictures()).origin().cut == RESIZED
    assert RESIZED not in cut_tensors(network(side=32))


def test_a_damaged_beginning_is_not_built_on(tmp_path):
    model, cache = network(depth=3), ActivationStore(tmp_path, 1 << 30)
    Features(cache, key("top3"), 5, lambda: model, pictures()).load()
    (path,) = (tmp_path / "prefix").glob("*.npy")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    given = pictures()
    found = Features(cache, key("top1"), 5, lambda: model, given).load()
    assert given.calls == 1
    expected = keras.ops.convert_to_numpy(network(depth=1).prefix()(PIXELS, training=False))
    np.testing.assert_allclose(found, expected, rtol=2e-2, atol=2e-3 * np.abs(expected).max())


def test_without_a_store_they_are_computed_into_memory(tmp_path):
    model = network()
    wanted = Features(ActivationStore(tmp_path, 0), key(POOLED), 5, lambda: model, pictures())
    shares = []
    found = wanted.load(shares.append, store=False)
    assert (found.dtype, found.shape) == (np.float16, (5, 192))
    assert shares == [pytest.approx(0.6), 1.0]
    assert not wanted.present()
    assert wanted.bytes() == 5 * 192 * 2


def test_networks_that_end_earlier_share_what_enters_their_stages():
    plain = {"backbone": "custom_cnn", "head_width": 0, "dropout": 0.0, "learning_rate": 1e-3, "resolution": 16}
    plain |= {"lr_schedule": "constant", "unfreeze_depth": 1}
    whole, shorter = (build_network(Candidate(**plain, keep_blocks=kept), TASK, seed=0) for kept in (0, 3))
    assert list(cut_tensors(whole)) == ["pooled", "top1", "top2", "top3", "resized", "pictures"]
    assert list(cut_tensors(shorter)) == ["pooled_e3", "top2", "top3", "resized", "pictures"]
    assert cut_name(1, keep_blocks=3, above=1) == "top2"  # behind which its top stage is trained
    first, second = (
        keras.ops.convert_to_numpy(keras.Model(one.logits.input, cut_tensors(one)["top2"])(PIXELS, training=False))
        for one in (whole, shorter)
    )
    np.testing.assert_array_equal(first, second)
