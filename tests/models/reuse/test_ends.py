"""Pooled activations behind many blocks by one pass, against a pass for each."""

import keras
import numpy as np

from models.blocks import ends
from models.build import Task, build_base
from models.reuse.activations import ActivationStore, Key
from models.reuse.ends import gather, keep, pooled_at
from models.training.backend import forward

TASK = Task(24, 24, 3, 3, "pretrained")


def test_one_pass_gives_what_a_pass_for_each_end_gives():
    base = build_base(TASK, "custom_cnn", 16)
    tensors = [end.tensor for end in ends(base)]
    images = np.random.default_rng(0).integers(0, 256, (150, 24, 24, 3), dtype="uint8")
    done = []
    found = gather(pooled_at(base.input, tensors, "average", 150), iter([images[:10], images[10:]]), done.append)
    assert [one.shape for one in found] == [(150, tensor.shape[-1]) for tensor in tensors]
    for tensor, one in zip(tensors, found, strict=True):
        pooled = keras.layers.GlobalAveragePooling2D()(tensor)
        expected = forward(keras.Model(base.input, pooled))(images)
        np.testing.assert_allclose(one, expected, rtol=1e-4, atol=1e-5)
    assert done == [10, 138, 150]  # in batches of 128


def key(cut):
    texts = dict.fromkeys(("backbone", "weights", "preprocessing", "dataset", "split", "subset", "view"), "x")
    return Key(**texts, cut=cut, resolution=16, dtype="float16")


def test_they_are_kept_as_float32_where_float16_does_not_do(tmp_path):
    store = ActivationStore(tmp_path, 1 << 20)
    small, large = np.ones((3, 2), "float32"), np.full((3, 2), 1e5, "float32")
    assert keep(store, {key("a"): small, key("b"): large})
    assert store.find(key("a")).dtype == np.float16 and store.find(key("b")) is None


def test_without_room_nothing_is_kept(tmp_path):
    store = ActivationStore(tmp_path, 10)
    assert not keep(store, {key("a"): np.ones((100, 100), "float32")})
    assert store.find(key("a")) is None
