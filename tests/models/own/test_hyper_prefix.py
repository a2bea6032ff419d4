"""What a HyperModel froze itself."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from models.own.hyper_network import Built, build
from models.own.hyper_prefix import find_prefix
from models.own.hypermodel import load_hyper
from models.own.reference import Reference
from tests import hypermodels

PICTURES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1), np.uint8)


def built(name: str = "Frozen", **values: Any) -> Built:
    return build(load_hyper("mine", Reference(hypermodels.__file__, name), ""), values, (8, 8, 1), 10, 0)


def test_base_and_tail_are_the_model() -> None:
    mine = built(dropout=0.4)
    prefix = find_prefix(mine)
    assert prefix is not None
    assert prefix.layer.startswith("flatten")  # behind it lies a dropout
    assert prefix.base.output.shape == (None, 64)
    features = keras.ops.convert_to_numpy(prefix.base(PICTURES))
    whole = mine.classifier(PICTURES)
    for tail in (prefix.tail, prefix.classifier):
        np.testing.assert_allclose(tail(features, training=False), whole, atol=1e-6)
    assert (prefix.below, prefix.above) == (2 * 9 * (36 * 32 + 16 * 32 * 64), 2 * 64 * 10)
    assert prefix.tail.optimizer is mine.model.optimizer


def test_one_that_is_the_same_has_the_same_digest() -> None:
    digests = {find_prefix(built(rate=rate)).digest for rate in (0.01, 0.02)}
    assert len(digests) == 1
    changed = built()
    weights = changed.model.layers[1].get_weights()
    changed.model.layers[1].set_weights([weights[0] + 1, *weights[1:]])
    prefix = find_prefix(changed)
    assert prefix is not None and prefix.digest not in digests


@pytest.mark.parametrize(
    ("name", "values"),
    [("Frozen", {"trainable": True}), ("function", {}), ("Layers", {}), ("own_frozen", {}), ("own_steps", {})],
)
def test_where_nothing_with_weights_stays_the_same_there_is_none(name: str, values: dict[str, Any]) -> None:
    assert find_prefix(built(name, **values)) is None
