"""models/probe.py: ridge in closed form, against scikit-learn and against leaving pictures out one by one."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from models import probe as probes
from models.probe import STRENGTHS, fit, fit_all


def made(n, d, n_classes, seed=0, scale=1.0):
    """Features with a class in the first columns, each column with a scale and an offset of its own."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n)
    x = rng.normal(size=(n, d))
    x[:, :n_classes] += 1.5 * np.eye(n_classes)[labels]
    return (x * rng.uniform(0.1, 10, d) * scale + rng.uniform(-5, 5, d)).astype("float32"), labels


def expected_scores(x, labels, n_classes, strength):
    """Scikit-learn's, with the penalty in its units."""
    z = (x - x.mean(0)) / x.std(0)
    values = np.linalg.eigvalsh((z @ z.T).astype("float64"))
    unit = values[values > 1e-7 * values.max()].mean()
    return Ridge(alpha=strength * unit).fit(z, np.eye(n_classes)[labels]).predict(z)


@pytest.mark.parametrize(("n", "d", "n_classes"), [(200, 12, 3), (40, 100, 2), (60, 60, 4)])
def test_scores_are_those_of_scikit_learn(n, d, n_classes):
    x, labels = made(n, d, n_classes)
    probe = fit(x, labels, n_classes)
    assert probe.weights.shape == (d, n_classes)
    np.testing.assert_allclose(
        probe.scores(x), expected_scores(x, labels, n_classes, probe.strength), atol=2e-3, rtol=2e-3
    )


@pytest.mark.parametrize(("n", "d"), [(30, 8), (24, 60)])
def test_the_strength_is_the_best_of_leaving_each_picture_out(n, d):
    """Refitted n times for each strength, with the mean and the scale of all pictures, as the closed form has it."""
    x, labels = made(n, d, 3, seed=1)
    z, y = ((x - x.mean(0)) / x.std(0)).astype("float64"), np.eye(3)[labels]
    values = np.linalg.eigvalsh(z @ z.T)
    unit = values[values > 1e-7 * values.max()].mean()

    def left_out(strength):
        errors = []
        for out in range(n):
            rest = np.arange(n) != out
            model = Ridge(alpha=strength * unit).fit(z[rest], y[rest])
            errors.append((y[out] - model.predict(z[[out]])[0]) ** 2)
        return np.mean(errors)

    assert fit(x, labels, 3).strength == min(STRENGTHS, key=left_out)


def test_it_learns_what_there_is_to_learn_and_nothing_else():
    x, labels = made(400, 10, 4)
    assert fit(x[:200], labels[:200], 4).accuracy(x[200:], labels[200:]) > 0.6
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(400, 50))
    guess = fit(noise, rng.integers(0, 2, 400), 2).accuracy(rng.normal(size=(4000, 50)), rng.integers(0, 2, 4000))
    assert guess == pytest.approx(0.5, abs=0.04)


def test_features_that_never_change_say_nothing():
    x, labels = made(100, 5, 2)
    with_constant = np.concatenate([x, np.full((100, 1), 7.0, "float32")], axis=1)
    np.testing.assert_allclose(
        fit(with_constant, labels, 2).scores(with_constant), fit(x, labels, 2).scores(x), atol=1e-4
    )
    flat = fit(np.zeros((10, 3)), np.array([0] * 7 + [1] * 3), 2)
    np.testing.assert_allclose(flat.scores(np.ones((1, 3))), [[0.7, 0.3]], atol=1e-6)


@pytest.mark.parametrize("features", [np.zeros((1, 2)), np.array([[np.nan, 1.0], [0.0, 1.0]])])
def test_refused(features):
    with pytest.raises(ValueError, match="must be finite, of at least 2 pictures"):
        fit(features, np.zeros(len(features), int), 2)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_as_a_dense_layer_it_says_the_same(n_classes):
    x, labels = made(300, 10, n_classes)
    probe = fit(x, labels, n_classes)
    kernel, bias = probe.head(1 if n_classes == 2 else n_classes)
    logits = x @ kernel + bias
    said = (logits[:, 0] > 0).astype(int) if n_classes == 2 else logits.argmax(1)
    np.testing.assert_array_equal(said, probe.scores(x).argmax(1))
    if n_classes > 2:
        differences = probe.scale * np.diff(probe.scores(x), axis=1)
        np.testing.assert_allclose(np.diff(logits, axis=1), differences, atol=1e-3)


def test_it_is_as_sure_as_it_is_right():
    """The scale is that of pictures it was not fitted on: with few of them it is less sure than with many."""
    x, labels = made(2000, 30, 3)
    few, many = fit(x[:60], labels[:60], 3), fit(x, labels, 3)
    assert few.scale < many.scale
    unseen, true = x[1000:], labels[1000:]
    probe = fit(x[:1000], labels[:1000], 3)
    logits = unseen @ probe.head(3)[0] + probe.head(3)[1]
    chance = np.exp(logits - logits.max(1, keepdims=True))
    sure = (chance / chance.sum(1, keepdims=True)).max(1).mean()
    assert sure == pytest.approx(np.mean(logits.argmax(1) == true), abs=0.03)


@pytest.mark.parametrize(("rows", "columns"), [(7, 512), (4096, 1), (13, 9), (1, 1)])
def test_in_parts_it_is_the_same(monkeypatch, rows, columns):
    x, labels = made(40, 12, 3)
    whole = fit(x, labels, 3)
    monkeypatch.setattr(probes, "ROWS", rows)
    monkeypatch.setattr(probes, "COLUMNS", columns)
    parts = fit(x, labels, 3)
    assert (parts.strength, parts.scale) == (whole.strength, whole.scale)
    np.testing.assert_allclose(parts.weights, whole.weights, rtol=1e-6)


@pytest.mark.parametrize("room", [1, 2**30])
def test_side_by_side_each_is_what_it_is_alone(monkeypatch, room):
    monkeypatch.setattr(probes, "ROOM", room)
    _, labels = made(60, 9, 3)
    features = [made(60, d, 3, seed=d)[0] for d in (9, 80, 4, 33)]
    steps = []
    together = fit_all(features, labels, 3, lambda: steps.append(1))
    assert len(steps) == 4
    for x, found in zip(features, together, strict=True):
        alone = fit(x, labels, 3)
        assert found.strength == alone.strength
        np.testing.assert_allclose(found.weights, alone.weights, rtol=1e-4, atol=1e-6)
    assert fit_all([], labels, 3) == []
