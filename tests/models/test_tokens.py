"""Networks that end with tokens: a functional transformer as a user writes it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from models import ModelError
from models.blocks import ends, keep, rule_of, stages_kept
from models.cuts import freeze, stages
from models.own.network import built
from models.own.reference import Own
from models.tokens import as_map, class_token, through_map, tokens_of

WIDTH = 8


def transformer(shape: tuple[int, int, int], n_blocks: int = 3, class_token: bool = False) -> keras.Model:
    inputs = keras.Input(shape)
    x = keras.layers.Conv2D(WIDTH, 4, strides=4, name="patches")(inputs)
    x = keras.layers.Reshape((-1, WIDTH), name="flat")(x)
    if class_token:
        x = keras.layers.ZeroPadding1D((1, 0), name="class_token")(x)
    for number in range(n_blocks):
        y = keras.layers.LayerNormalization(name=f"norm_{number}")(x)
        y = keras.layers.MultiHeadAttention(2, 4, name=f"attention_{number}")(y, y)
        x = keras.layers.Add(name=f"attended_{number}")([x, y])
        y = keras.layers.LayerNormalization(name=f"mlp_norm_{number}")(x)
        y = keras.layers.Dense(4 * WIDTH, activation="gelu", name=f"wide_{number}")(y)
        y = keras.layers.Dense(WIDTH, name=f"narrow_{number}")(y)
        x = keras.layers.Add(name=f"out_{number}")([x, y])
    return keras.Model(inputs, keras.layers.LayerNormalization(name="last")(x))


def own(**options: Any) -> Own:
    return Own("mine", lambda shape: transformer(shape, **options), None, "mine:build 0")


def test_a_block_is_attention_and_what_follows_it() -> None:
    model = built(own(), 16)
    assert [end.layer for end in ends(model)][:3] == ["flat", "out_0", "out_1"]
    assert [tuple(end.tensor.shape[1:]) for end in ends(model)] == [(4, 4, WIDTH)] * 4
    assert rule_of(model) is None  # it does not end inside an MLP, before what projects


def test_each_block_is_a_stage() -> None:
    model = built(own(), 16)
    assert [stage.cut for stage in stages(model)] == ["pictures", "flat", "out_0", "out_1"]
    assert stages_kept(model) == (1, 2, 3, 4)
    freeze(model, 2)
    trained = [layer.name for layer in model.layers if layer.trainable_weights]
    assert trained[0] == "norm_1" and trained[-1] == "last"


def test_attention_beside_dense_layers_is_a_block_with_them() -> None:
    """As in parallel transformers (Dehghani et al. 2023, arXiv 2302.05442): all three are in one residual."""
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Reshape((16, WIDTH), name="flat")(keras.layers.Conv2D(WIDTH, 4, strides=4)(inputs))
    for number in range(3):
        y = keras.layers.LayerNormalization()(x)
        y = [x, keras.layers.MultiHeadAttention(2, 4)(y, y), keras.layers.Dense(WIDTH)(y)]
        x = keras.layers.Add(name=f"sum_{number}")(y)
    assert [end.layer for end in ends(keras.Model(inputs, x))][:3] == ["flat", "sum_0", "sum_1"]


def test_tokens_of_patches_lie_where_the_patches_do() -> None:
    """Those before them are left out."""
    network = transformer((16, 24, 3), class_token=True)
    found = keras.Model(network.input, as_map(network.output, network.input, network.name))
    x = np.random.default_rng(0).normal(size=(2, 16, 24, 3)).astype("float32")
    assert found.output_shape == (None, 4, 6, WIDTH)
    np.testing.assert_array_equal(np.asarray(found(x)), np.asarray(network(x))[:, 1:].reshape(2, 4, 6, WIDTH))


def test_what_is_kept_is_what_the_whole_gives_there() -> None:
    network = transformer((16, 16, 3), class_token=True)
    kept = keep(built(Own("mine", lambda _: network, None, "mine:build 0"), 16), 2)
    there = keras.Model(network.input, network.get_layer("out_0").output)
    x = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype("float32")
    np.testing.assert_array_equal(np.asarray(kept(x)), np.asarray(there(x))[:, 1:].reshape(2, 4, 4, WIDTH))


def test_each_end_has_the_patches_of_its_part() -> None:
    """A transformer that joins patches on its way; what reshapes heads of attention is no picture."""
    inputs = keras.Input((16, 16, 3))
    fine = keras.layers.Reshape((16, 8), name="fine")(keras.layers.Conv2D(8, 4, strides=4)(inputs))
    heads = keras.layers.Reshape((16, 8))(keras.layers.Reshape((16, 2, 4))(fine))
    square = keras.layers.Reshape((4, 4, 8))(heads)
    coarse = keras.layers.Reshape((4, 12), name="coarse")(keras.layers.Conv2D(12, 2, strides=2)(square))
    model = keras.Model(inputs, coarse)
    assert as_map(heads, inputs, model.name).shape == (None, 4, 4, 8)
    assert as_map(coarse, inputs, model.name).shape == (None, 2, 2, 12)


def test_the_class_token_is_the_first_before_the_patches() -> None:
    """At each end of the network; the frozen patches are one."""
    network = transformer((16, 16, 3), class_token=True)
    model = built(Own("mine", lambda _: network, None, "mine:build 0"), 16)
    x = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype("float32")
    for end, layer in zip(ends(model), ("class_token", "out_0", "out_1", "last"), strict=True):
        found = keras.Model(model.input, class_token(end.tensor))
        assert found.output_shape == (None, 1, 1, WIDTH)
        expected = keras.Model(network.input, network.get_layer(layer).output)(x)
        np.testing.assert_array_equal(np.asarray(found(x))[:, 0, 0], np.asarray(expected)[:, 0])


def test_tokens_taken_apart_and_put_together_are_the_same() -> None:
    network = transformer((16, 16, 3), class_token=True)
    model = built(Own("mine", lambda _: network, None, "mine:build 0"), 16)
    x = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype("float32")
    for end in ends(model):
        tokens = tokens_of(end.tensor)
        patches, again = through_map(tokens, model.input, model.name)
        before, after, as_before = keras.Model(model.input, [tokens, again, end.tensor])(x)
        np.testing.assert_array_equal(after, before)
        np.testing.assert_array_equal(keras.Model(model.input, patches)(x), as_before)


def test_a_feature_map_of_other_layers_has_no_tokens() -> None:
    inputs = keras.Input((8, 8, 3))
    assert tokens_of(inputs) is None
    assert tokens_of(keras.layers.Conv2D(2, 3)(inputs)) is None
    assert tokens_of(keras.layers.Reshape((16, 4, 3))(inputs)) is None


def test_a_network_may_have_no_class_token() -> None:
    without = built(own(), 16)
    inputs = keras.Input((8, 8, 3))
    feature_map = keras.layers.Conv2D(2, 3)(inputs)
    assert class_token(without.output) is None
    assert class_token(feature_map) is None
    assert class_token(inputs) is None


def test_a_feature_map_is_left_as_it_is() -> None:
    inputs = keras.Input((8, 8, 3))
    output = keras.layers.Conv2D(2, 3)(inputs)
    assert as_map(output, inputs, "mine") is output


@pytest.mark.parametrize("how", ["fewer", "never"])
def test_tokens_that_are_not_of_patches_are_refused(how: str) -> None:
    inputs = keras.Input((16, 16, 3) if how == "fewer" else (16, 3))
    x = keras.layers.Reshape((16, 48))(keras.layers.Conv2D(3, 1)(inputs)) if how == "fewer" else inputs
    model = keras.Model(inputs, keras.layers.Dense(4)(x), name="mine")
    with pytest.raises(ModelError, match="mine ends in tokens, .* that are not those of the patches of a picture"):
        as_map(model.output, inputs, model.name)
