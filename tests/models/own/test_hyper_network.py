"""What HyperModels build, behind raw pictures, and what they ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from models import ModelError, flops
from models.own.hyper_network import Built, build
from models.own.hypermodel import Hyper, load_hyper
from models.own.reference import Reference
from tests import hypermodels

PICTURES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1), np.uint8)


def hyper(name: str) -> Hyper:
    return load_hyper("mine", Reference(hypermodels.__file__, name), "")


def built(name: str, classes: int = 10, channels: int = 1, **values: Any) -> Built:
    return build(hyper(name), values, (8, 8, channels), classes, 0)


def of(model: keras.Model, x: np.ndarray) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(x, training=False))


@pytest.mark.parametrize("name", ["Layers", "function", "Frozen", "instance"])
def test_raw_pictures_give_what_the_model_gives(name: str) -> None:
    mine = built(name)
    assert mine.classifier.inputs[0].dtype == "uint8"
    given = of(mine.model, mine.prepare(PICTURES))
    np.testing.assert_allclose(of(mine.classifier, PICTURES), given, atol=1e-6)
    np.testing.assert_array_equal(mine.prepare(PICTURES), PICTURES.astype("float32") * np.float32(1 / 255))


def test_logits_become_probabilities() -> None:
    mine = built("Scoped", kind="cnn", units=20)
    logits = of(mine.model, mine.prepare(PICTURES))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(of(mine.classifier, PICTURES), shares, rtol=1e-5)
    assert mine.values.values == {"kind": "cnn", "units": 20, "rate": 1e-2}


def test_one_output_is_the_second_class() -> None:
    mine = built("one_output", classes=2)
    second = of(mine.model, mine.prepare(PICTURES))
    np.testing.assert_allclose(of(mine.classifier, PICTURES), np.hstack([1 - second, second]), atol=1e-6)
    np.testing.assert_array_equal(mine.targets(np.array([0, 1])), [[0.0], [1.0]])


def test_labels_come_as_the_loss_wants_them() -> None:
    labels = np.array([3, 0])
    np.testing.assert_array_equal(built("function").targets(labels), labels)
    np.testing.assert_array_equal(built("Layers").targets(labels), np.eye(10)[labels])


@pytest.mark.parametrize("name", ["named_loss", "list_of_losses", "class_name", "Guide"])
def test_a_sparse_loss_is_known_by_what_it_is(name: str) -> None:
    labels = np.array([3, 0])
    np.testing.assert_array_equal(built(name).targets(labels), labels)


def test_a_fit_that_compiles_has_numbers_and_logits() -> None:
    mine = built("Guide")
    assert mine.fits_itself and not hasattr(mine.model, "optimizer")
    np.testing.assert_allclose(of(mine.classifier, PICTURES).sum(1), 1, atol=1e-6)


def test_resizing_is_not_called_as_in_training() -> None:
    mine = built("resized")
    plain = keras.ops.convert_to_numpy(mine.classifier(PICTURES))
    np.testing.assert_allclose(plain, mine.model.predict(mine.prepare(PICTURES), verbose=0), atol=1e-6)


def test_what_changes_training_pictures_is_neither_counted_nor_deployed() -> None:
    kinds = {type(layer).__name__ for layer in built("function", filters=4).classifier.layers}
    assert "RandomTranslation" not in kinds and "BatchNormalization" in kinds
    mine = built("augmented", channels=3, augment_layers=2, factor_rotate=0.5)
    assert flops.count(mine.classifier).macs == 6 * 6 * 27 * 4 + 4 * 10
    pictures = np.repeat(PICTURES, 3, axis=-1)
    np.testing.assert_array_equal(of(mine.classifier, pictures), of(mine.classifier, pictures))


def test_equal_seeds_equal_weights() -> None:
    first, second = (built("Layers", layers=2).model.get_weights() for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_preprocess_beside_it_is_asked(tmp_path: Path) -> None:
    source = Path(hypermodels.__file__).read_text() + "\n\ndef preprocess(x):\n    return x / 127.5 - 1\n"
    (tmp_path / "with_one.py").write_text(source)
    mine = build(load_hyper("mine", Reference(str(tmp_path / "with_one.py"), "function"), ""), {}, (8, 8, 1), 10, 0)
    np.testing.assert_allclose(mine.prepare(PICTURES), PICTURES / 127.5 - 1, atol=1e-6)
    np.testing.assert_allclose(of(mine.classifier, PICTURES), of(mine.model, PICTURES / 127.5 - 1), atol=1e-6)
    assert mine.own.source.count("with_one.py:") == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Uncompiled", "mine must build a compiled model"),
        ("Raises", r"mine could not be built: RuntimeError: no such thing \(hypermodels.py, line \d+\)"),
        ("Larger", r"mine must build a model for pictures of shape \(8, 8, 1\). Received: \(32, 32, 3\)"),
        ("Fewer", r"mine must build a model with 10 outputs, one a class. Received: \(7,\)"),
        ("turned", r"mine must build a model for pictures of shape \(8, 8, 1\). Received: \(1, 8, 8\)"),
        ("averaged", "mine must compile without use_ema"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_line(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        built(name)
    assert "\n" not in str(caught.value)
