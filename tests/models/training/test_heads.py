"""Many heads in one pass: the same as each alone, and the same as Keras trains."""

import dataclasses

import keras
import numpy as np
import pytest

from models.build import Network
from models.training.batches import Examples
from models.training.heads import Head, adam, initial_head, train_heads
from models.training.recipe import Recipe
from models.training.trainer import Trainer

FEATURES, CLASSES = 24, 3
RECIPES = (
    (0, Recipe(3e-3, "cosine", 3, 16, 7, 0.0)),
    (128, Recipe(1e-3, "one_cycle", 3, 16, 7, 0.3)),
    (256, Recipe(2e-3, "reduce_on_plateau", 3, 16, 7, 0.5, label_smoothing=0.1)),
    (0, Recipe(1e-2, "constant", 3, 16, 7, 0.2)),
)


def data(n=150, classes=CLASSES, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    x = (rng.normal(size=(classes, FEATURES))[y] + rng.normal(0, 1.5, (n, FEATURES))).astype("float16")
    return Examples(x, y, np.arange(0, 100)), Examples(x, y, np.arange(100, n))


def head(width, recipe, classes=CLASSES, seed=0):
    return Head(initial_head(seed, FEATURES, width, 1 if classes == 2 else classes), recipe)


def alone(width, recipe, sets, **options):
    one = head(width, recipe, **options)
    assert train_heads([one], *sets, until=recipe.epochs) == {}
    return one


def test_together_is_one_by_one():
    sets = data()
    together = [head(width, recipe) for width, recipe in RECIPES]
    assert train_heads(together, *sets, until=3) == {}
    for ours, (width, recipe) in zip(together, RECIPES, strict=True):
        expected = alone(width, recipe, sets)
        for point, other in zip(ours.curve, expected.curve, strict=True):
            assert point.numbers() == pytest.approx(other.numbers(), rel=1e-4)
            assert point.val_right == other.val_right
        for a, b in zip(ours.arrays(), expected.arrays(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("classes", [2, CLASSES])
@pytest.mark.parametrize(("width", "recipe"), RECIPES[:3])
def test_a_head_learns_what_the_traced_step_learns(width, recipe, classes):
    sets = data(classes=classes)
    inputs = x = keras.Input((FEATURES,))
    x = keras.layers.Dense(width, activation="relu", name="head")(x) if width else keras.layers.Identity()(x)
    x = keras.layers.Dropout(0.0, name="head_dropout")(x)
    model = keras.Model(inputs, keras.layers.Dense(1 if classes == 2 else classes, name="logits")(x))
    model.set_weights(initial_head(0, FEATURES, width, 1 if classes == 2 else classes))
    trainer = Trainer(Network(model=model, logits=model, cut=None, head_width=width))
    state = trainer.begin()
    trainer.run(state, *sets, recipe)
    ours = alone(width, recipe, sets, classes=classes)
    for point, other in zip(ours.curve, state.curve, strict=True):
        assert point.numbers() == pytest.approx(other.numbers(), rel=2e-3)


def test_going_on_is_never_having_stopped():
    sets = data()
    for width, recipe in RECIPES:
        whole, part = alone(width, recipe, sets), head(width, recipe)
        train_heads([part], *sets, until=1)
        later = head(width, recipe)
        later.resume([array.copy() for array in part.arrays()], part.curve)
        train_heads([later], *sets, until=3)
        assert later.curve == whole.curve
    with pytest.raises(ValueError, match="another head"):
        head(128, RECIPES[1][1]).resume(later.arrays(), later.curve)


def test_one_that_diverges_leaves_the_others_alone():
    sets = data()
    wild = Recipe(1e30, "constant", 3, 16, 7)
    heads = [head(128, RECIPES[1][1]), head(128, wild), head(0, RECIPES[0][1])]
    with np.errstate(all="ignore"):
        failed = train_heads(heads, *sets, until=3)
    assert list(failed) == [1]
    assert "not finite in epoch 1" in str(failed[1])
    assert len(failed[1].curve) == 0
    for index, (width, recipe) in ((0, RECIPES[1]), (2, RECIPES[0])):
        expected = alone(width, recipe, sets).curve
        assert [point.val_loss for point in heads[index].curve] == pytest.approx(
            [point.val_loss for point in expected], rel=1e-3
        )


def test_what_they_must_agree_in():
    heads = [head(0, RECIPES[0][1]), head(0, dataclasses.replace(RECIPES[0][1], batch_size=8))]
    with pytest.raises(ValueError, match="must agree in epochs, batch size and seed"):
        train_heads(heads, *data(), until=1)


def test_adam_is_that_of_the_paper():
    rng = np.random.default_rng(0)
    w = rng.normal(size=(300, 200)).astype("float32")  # more than one block
    gradients = [rng.normal(size=w.shape) for _ in range(3)]
    rates = np.linspace(1e-3, 1e-2, 200)
    expected, m, v = w.astype("float64"), 0.0, 0.0
    first, second, ours = np.zeros_like(w), np.zeros_like(w), w.copy()
    for step, gradient in enumerate(gradients, start=1):
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        expected *= 1 - rates * 0.5
        expected -= rates * np.sqrt(1 - 0.999**step) / (1 - 0.9**step) * m / (np.sqrt(v) + 1e-7)
        adam(ours, first, second, gradient.astype("float32"), rates, 0.5, step)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-6)


def test_gradients_of_nothing_leave_no_denormal_numbers():
    """Arithmetic with numbers below 1e-38 is some fifty times slower."""
    w, m, v = (np.zeros((4, 4), "float32") for _ in range(3))
    adam(w, m, v, np.full((4, 4), 1e-3, "float32"), 1e-3, 0.0, 1)
    for step in range(2, 2000):
        adam(w, m, v, np.zeros((4, 4), "float32"), 1e-3, 0.0, step)
    least = np.finfo("float32").tiny
    assert m.min() > least
    assert v.min() > least


def test_initial_heads_follow_seed_and_shape():
    kernel, bias, last, out = initial_head(1, 100, 128, 10)
    assert (kernel.shape, bias.shape, last.shape, out.shape) == ((100, 128), (128,), (128, 10), (10,))
    assert not bias.any()
    assert not out.any()
    assert np.abs(kernel).max() <= (6 / 228) ** 0.5
    assert kernel.var() == pytest.approx(6 / 228 / 3, rel=0.05)  # Glorot: 2 / (fan in + fan out)
    assert (initial_head(1, 100, 128, 10)[0] == kernel).all()
    assert (initial_head(2, 100, 128, 10)[0] != kernel).any()
