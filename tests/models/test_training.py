"""Training: order of examples, schedules in the graph, signs of life, the same result from extracted features."""

import keras
import numpy as np
import pytest

from models import schedules
from models.build import Task, build_network
from models.candidate import Candidate
from models.training import Batches, Examples, NonFiniteLoss, Recipe, evaluate, extract, train


def clusters(n=120, classes=3, seed=0):
    """Points around the corners of a triangle: separable by a linear layer."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    centres = np.array([[4.0, 0.0], [-4.0, 4.0], [-4.0, -4.0]], "float32")
    return (centres[y] + rng.normal(0, 0.5, (n, 2))).astype("float32"), y.astype("int64")


def linear(outputs=3):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,))
    return keras.Model(inputs, keras.layers.Dense(outputs)(inputs))


def halves(x, y):
    return Examples(x, y, np.arange(0, len(y), 2)), Examples(x, y, np.arange(1, len(y), 2))


def recipe(**changes):
    return Recipe(
        **{"learning_rate": 0.05, "lr_schedule": "constant", "epochs": 3, "batch_size": 8, "seed": 0} | changes
    )


def test_each_example_once_an_epoch_in_a_new_seeded_order():
    x = np.arange(10)[:, None]
    examples = Examples(x, np.arange(10), np.array([1, 3, 5, 7, 9]))

    def orders(seed):
        batches = Batches(examples, 2, seed=seed)
        found = []
        for _ in range(2):
            found.append(np.concatenate([batches[i][1] for i in range(batches.num_batches)]).tolist())
            batches.on_epoch_begin()
        return found

    first, second = orders(0)
    assert sorted(first) == sorted(second) == [1, 3, 5, 7, 9]
    assert first != second
    assert orders(0) == [first, second]
    assert orders(1) != [first, second]


def test_without_a_seed_the_order_is_that_of_the_rows():
    batches = Batches(Examples(np.arange(5)[:, None], np.arange(5), np.arange(5)), 2)
    assert [batches[i][1].tolist() for i in range(3)] == [[0, 1], [2, 3], [4]]


def test_separable_clusters_are_learned():
    train_set, val_set = halves(*clusters())
    curve = train(linear(), train_set, val_set, recipe(epochs=5))
    assert [point.epoch for point in curve] == [1, 2, 3, 4, 5]
    assert curve[-1].val_accuracy == 1.0
    assert curve[-1].loss < curve[0].loss


def test_two_classes_with_one_logit():
    x, y = clusters(classes=2)
    train_set, val_set = halves(x, y)
    model = linear(outputs=1)
    curve = train(model, train_set, val_set, recipe(epochs=5))
    assert curve[-1].val_accuracy == 1.0
    # the accuracy is that of an independent count
    logits = keras.ops.convert_to_numpy(model(x[val_set.indices]))[:, 0]
    assert np.mean((logits > 0) == y[val_set.indices]) == 1.0


def test_val_accuracy_is_an_independent_count():
    x, y = clusters(n=50)
    y = np.random.default_rng(1).permutation(y)  # not learnable: an accuracy between 0 and 1
    train_set, val_set = halves(x, y)
    model = linear()
    curve = train(model, train_set, val_set, recipe(epochs=1))
    predicted = keras.ops.convert_to_numpy(model(x[val_set.indices])).argmax(1)
    expected = np.mean(predicted == y[val_set.indices])
    assert curve[-1].val_accuracy == expected  # to the last digit, not only to float32
    assert evaluate(model, val_set)[1] == expected


def test_same_seed_same_curve():
    train_set, val_set = halves(*clusters())
    assert train(linear(), train_set, val_set, recipe()) == train(linear(), train_set, val_set, recipe())
    assert train(linear(), train_set, val_set, recipe()) != train(linear(), train_set, val_set, recipe(seed=1))


@pytest.mark.parametrize("name", schedules.LR_SCHEDULES)
def test_the_optimiser_follows_the_schedule(name):
    train_set, val_set = halves(*clusters(n=80))
    model = linear()
    curve = train(model, train_set, val_set, recipe(lr_schedule=name, epochs=2))  # 5 steps an epoch
    if name in ("constant", "reduce_on_plateau"):
        expected = 0.05 * schedules.plateau_scale([point.val_loss for point in curve] if name != "constant" else [])
        assert curve[-1].learning_rate == expected
    else:
        scales = schedules.step_scales(name, 10)
        assert [point.learning_rate for point in curve] == pytest.approx([0.05 * scales[4], 0.05 * scales[9]])
        expected = 0.05 * scales[9]
    assert float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)) == pytest.approx(expected, rel=1e-5)


def test_a_loss_that_is_not_finite_is_an_error():
    x, y = clusters()
    x[0] = np.inf
    train_set, val_set = halves(x, y)
    with pytest.raises(NonFiniteLoss, match="not finite in epoch 1"):
        train(linear(), train_set, val_set, recipe())


def test_signs_of_life_come_with_every_step():
    train_set, val_set = halves(*clusters(n=80))
    seen, epochs = [], []
    train(
        linear(),
        train_set,
        val_set,
        recipe(epochs=2),
        on_step=lambda *where: seen.append(where),
        on_epoch=epochs.append,
    )
    steps = [where for where in seen if where[1] < 1]
    assert steps == [(epoch, share) for epoch in (1, 2) for share in (0.2, 0.4, 0.6, 0.8)]
    assert [point.epoch for point in epochs] == [1, 2]


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_training_from_extracted_features_is_training_the_whole_network(depth):
    rng = np.random.default_rng(0)
    y = np.arange(48) % 3
    x = (rng.integers(0, 60, (48, 16, 16, 1)) + 60 * y[:, None, None, None]).astype("uint8")
    train_set, val_set = halves(x, y)
    candidate = Candidate("custom_cnn", depth, 0, 0.0, 1e-3, "cosine", 16)
    task = Task(16, 16, 1, 3, "pretrained")

    whole = build_network(candidate, task, seed=1)
    expected = train(whole.logits, train_set, val_set, recipe(learning_rate=1e-3))

    split = build_network(candidate, task, seed=1)
    prefix, tail = split.prefix(), split.tail()
    curve = train(tail, extract(prefix, train_set), extract(prefix, val_set), recipe(learning_rate=1e-3))

    for ours, theirs in zip(curve, expected, strict=True):
        assert ours.loss == pytest.approx(theirs.loss, rel=1e-3)
        assert ours.val_accuracy == pytest.approx(theirs.val_accuracy, abs=1 / 24 + 1e-6)
    # and the model as a whole has learned what its tail was taught
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(split.logits(x)), keras.ops.convert_to_numpy(whole.logits(x)), atol=2e-2
    )
