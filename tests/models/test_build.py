"""From a candidate to one flat model: shapes, probabilities, preprocessing inside, the cut, and what is trainable."""

import dataclasses

import keras
import numpy as np
import pytest

from models.build import Task, build_base, build_network, head_alone
from tests import made

CANDIDATE = made.candidate(unfreeze_depth=1, head_width=128, dropout=0.3, lr_schedule="cosine", resolution=24)
TASK = Task(8, 8, 1, 10, "none")


def pictures(task, n=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, task.height, task.width, task.channels), dtype="uint8")


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


@pytest.mark.parametrize(
    ("task", "n_logits"),
    [(Task(8, 8, 1, 10, "none"), 10), (Task(40, 30, 3, 3, "none"), 3), (Task(32, 32, 3, 2, "none"), 1)],
)
def test_raw_pictures_in_probabilities_out(task, n_logits):
    network = build_network(CANDIDATE, task, seed=0)
    x = pictures(task)
    out = numpy(network.model(x))
    assert network.model.inputs[0].dtype == "uint8"
    assert out.shape == (3, task.n_classes)
    logits = numpy(network.logits(x))
    assert logits.shape == (3, n_logits)
    both = np.concatenate([np.zeros_like(logits), logits], axis=1) if n_logits == 1 else logits
    np.testing.assert_allclose(out, np.exp(both) / np.exp(both).sum(1, keepdims=True), rtol=1e-4)
    np.testing.assert_allclose(out.sum(1), 1, rtol=1e-5)


def test_a_small_probability_of_the_first_of_two_classes_is_kept():
    """1 - sigmoid(30) is 0 in float32, sigmoid(-30) is not."""
    head = head_alone(dataclasses.replace(CANDIDATE, head_width=0), channels=1, n_logits=1)
    head.get_layer("logits").set_weights([np.ones((1, 1)), np.zeros(1)])
    np.testing.assert_allclose(numpy(head(np.array([[30.0]]))), [[np.exp(-30), 1.0]], rtol=1e-4)


def test_pictures_may_come_at_the_side_that_the_backbone_sees():
    task = Task(32, 32, 3, 10, "none", any_side=True)
    assert (task.size(24), task.shrinks(24), task.resizing(24)) == ((24, 24), False, "24x24x3")
    assert dataclasses.replace(task, any_side=False).resizing(24) == "32x32x3 bilinear antialiased"
    assert build_base(task, "custom_cnn", 24).input_shape == (None, 24, 24, 3)


def test_the_model_is_flat():
    network = build_network(CANDIDATE, TASK, seed=0)
    assert not [layer.name for layer in network.model.layers if isinstance(layer, keras.Model)]


def test_same_candidate_task_and_seed_same_weights():
    first, again, other = (build_network(CANDIDATE, TASK, seed=seed).model.get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_fetching_weights_does_not_change_the_head(monkeypatch):
    """A first build in a process builds the published network too, which draws random numbers; a later one does not."""

    def draw(*arguments):
        keras.random.normal((3,))
        keras.layers.Dense(2).build((None, 2))

    cold, warm = [], []
    for found, load in ((cold, draw), (warm, lambda *arguments: None)):
        monkeypatch.setattr("models.build.load_backbone_weights", load)
        network = build_network(CANDIDATE, TASK, seed=1)
        found += [network.model.get_layer(name).get_weights()[0] for name in ("head", "logits")]
    assert all(np.array_equal(a, b) for a, b in zip(cold, warm, strict=True))


@pytest.mark.parametrize("depth", range(5))
def test_what_is_trainable_lies_behind_the_cut(depth):
    network = build_network(
        dataclasses.replace(CANDIDATE, unfreeze_depth=depth), dataclasses.replace(TASK, weights="pretrained"), seed=0
    )
    if depth == 4:
        assert network.cut is None
    else:
        assert network.prefix().trainable_variables == []
        tail, whole = (
            keras.Model(network.cut, network.logits.output).trainable_variables,
            network.logits.trainable_variables,
        )
        assert {v.path for v in tail} == {v.path for v in whole}
    convolutions = [v for v in network.logits.trainable_variables if "block" in v.path]
    assert len(convolutions) == depth  # one kernel in each block; batch norm stays in inference mode


def test_from_scratch_batch_norm_is_trained():
    network = build_network(dataclasses.replace(CANDIDATE, unfreeze_depth=4), TASK, seed=0)
    assert sum("bn" in v.path for v in network.logits.trainable_variables) == 8  # gamma and beta of four


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_prefix_then_tail_is_the_network(depth):
    network = build_network(dataclasses.replace(CANDIDATE, unfreeze_depth=depth), TASK, seed=0)
    x = pictures(TASK)
    np.testing.assert_array_equal(
        numpy(keras.Model(network.cut, network.logits.output)(network.prefix()(x))), numpy(network.logits(x))
    )


def test_the_frozen_prefix_does_not_change_in_training_mode():
    network = build_network(CANDIDATE, TASK, seed=0)
    prefix, x = network.prefix(), pictures(TASK)
    np.testing.assert_array_equal(numpy(prefix(x, training=True)), numpy(prefix(x, training=False)))


def test_a_plain_call_is_inference_and_changes_nothing():
    network = build_network(dataclasses.replace(CANDIDATE, unfreeze_depth=4), TASK, seed=0)
    before, x = network.model.get_weights(), pictures(TASK)
    np.testing.assert_array_equal(numpy(network.model(x)), numpy(network.model(x, training=False)))
    assert all(np.array_equal(a, b) for a, b in zip(before, network.model.get_weights(), strict=True))
    network.model(x, training=True)  # but training does train batch norm
    assert not all(np.array_equal(a, b) for a, b in zip(before, network.model.get_weights(), strict=True))


def test_grey_pictures_become_three_equal_channels():
    grey, colour = Task(24, 24, 1, 10, "pretrained"), Task(24, 24, 3, 10, "pretrained")
    x = pictures(grey)
    np.testing.assert_array_equal(
        numpy(build_base(grey, "custom_cnn", 24)(x)),
        numpy(build_base(colour, "custom_cnn", 24)(np.repeat(x, 3, axis=-1))),
    )


def test_resizing_is_bilinear_and_only_where_needed():
    assert "resize" not in [layer.name for layer in build_base(Task(24, 24, 1, 10, "none"), "custom_cnn", 24).layers]
    base = build_base(Task(8, 8, 1, 10, "none"), "custom_cnn", 16)
    x = pictures(TASK)
    resized = keras.Model(base.input, base.get_layer("resize").output)(x)
    expected = keras.ops.image.resize(x.astype("float32"), (16, 16), interpolation="bilinear")
    np.testing.assert_allclose(numpy(resized), numpy(expected), atol=1e-3)


def test_too_deep_is_named():
    with pytest.raises(ValueError, match="unfreeze depth must be 0 to 4 for .custom_cnn_24.. Received: 5"):
        build_network(dataclasses.replace(CANDIDATE, unfreeze_depth=5), TASK, seed=0)
