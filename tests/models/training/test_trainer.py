"""Training: one traced step for all recipes, schedules, signs of life, checkpoints, the same from a cut."""

import keras
import numpy as np
import pytest

import models.training.trainer
from models.build import Network, Task, build_network
from models.candidate import Candidate
from models.training import schedules
from models.training.batches import Examples
from models.training.divergence import Watch
from models.training.loss import cross_entropy
from models.training.recipe import NonFiniteLoss, Recipe
from models.training.trainer import Trainer, evaluate, train


def clusters(n=120, classes=3, seed=0):
    """Points around the corners of a triangle: separable by a linear layer."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    centres = np.array([[4.0, 0.0], [-4.0, 4.0], [-4.0, -4.0]], "float32")
    return (centres[y] + rng.normal(0, 0.5, (n, 2))).astype("float32"), y.astype("int64")


def linear(outputs=3):
    """A network without layers below its head."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,))
    dropped = keras.layers.Dropout(0.0, name="head_dropout")(keras.layers.Identity()(inputs))
    model = keras.Model(inputs, keras.layers.Dense(outputs, name="logits")(dropped))
    return Network(model=model, logits=model, cut=None, head_width=0)


def halves(x, y):
    return Examples(x, y, np.arange(0, len(y), 2)), Examples(x, y, np.arange(1, len(y), 2))


def recipe(**changes):
    return Recipe(
        **{"learning_rate": 0.05, "lr_schedule": "constant", "epochs": 3, "batch_size": 8, "seed": 0} | changes
    )


def test_separable_clusters_are_learned():
    train_set, val_set = halves(*clusters())
    curve = train(linear(), train_set, val_set, recipe(epochs=5))
    assert [point.epoch for point in curve] == [1, 2, 3, 4, 5]
    assert curve[-1].val_accuracy == 1.0
    assert curve[-1].loss < curve[0].loss


def test_two_classes_with_one_logit():
    x, y = clusters(classes=2)
    train_set, val_set = halves(x, y)
    network = linear(outputs=1)
    curve = train(network, train_set, val_set, recipe(epochs=5))
    assert curve[-1].val_accuracy == 1.0
    # the accuracy is that of an independent count
    logits = keras.ops.convert_to_numpy(network.logits(x[val_set.indices]))[:, 0]
    assert np.mean((logits > 0) == y[val_set.indices]) == 1.0


def test_val_accuracy_is_an_independent_count():
    x, y = clusters(n=50)
    y = np.random.default_rng(1).permutation(y)  # not learnable: an accuracy between 0 and 1
    train_set, val_set = halves(x, y)
    network = linear()
    curve = train(network, train_set, val_set, recipe(epochs=1))
    predicted = keras.ops.convert_to_numpy(network.logits(x[val_set.indices])).argmax(1)
    expected = np.mean(predicted == y[val_set.indices])
    assert curve[-1].val_accuracy == expected  # to the last digit, not only to float32
    assert evaluate(network, val_set)[1] == expected


def test_same_seed_same_curve():
    train_set, val_set = halves(*clusters())
    assert train(linear(), train_set, val_set, recipe()) == train(linear(), train_set, val_set, recipe())
    assert train(linear(), train_set, val_set, recipe()) != train(linear(), train_set, val_set, recipe(seed=1))


@pytest.mark.parametrize("name", schedules.LR_SCHEDULES)
def test_the_curve_says_the_rate_of_the_last_step(name):
    train_set, val_set = halves(*clusters(n=80))
    curve = train(linear(), train_set, val_set, recipe(lr_schedule=name, epochs=2))  # 5 steps an epoch
    scales = schedules.step_scales(name, 10)
    assert [point.learning_rate for point in curve] == pytest.approx([0.05 * scales[4], 0.05 * scales[9]])


def test_a_plateau_halves_the_rate():
    x, y = clusters(n=40)
    y = np.random.default_rng(1).permutation(y)  # not learnable: the validation loss rises
    curve = train(linear(), *halves(x, y), recipe(lr_schedule="reduce_on_plateau", epochs=8, learning_rate=0.5))
    for point, before in zip(curve, range(8), strict=True):
        assert point.learning_rate == 0.5 * schedules.plateau_scale([one.val_loss for one in curve[:before]])
    assert curve[-1].learning_rate < 0.5


def keras_fit(network, train_set, val_set, asked):
    """The same training by `model.fit`, which shares no line with ours but the order of the examples."""
    from models.training.batches import training_batches

    model = network.logits
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rates = asked.rates(len(train_set))

    class Table(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return keras.ops.take(rates, keras.ops.cast(step, "int32"))

    if asked.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(Table(), momentum=0.9, weight_decay=asked.weight_decay or None)
    else:
        optimizer = keras.optimizers.Adam(Table(), weight_decay=asked.weight_decay or None)
    model.compile(optimizer, loss)
    losses = []
    for epoch in range(1, asked.epochs + 1):
        for x, y in training_batches(train_set, asked.batch_size, asked.seed, epoch):
            model.train_on_batch(x, y.astype("float32"))
        logits = model(val_set.take(val_set.indices))
        losses.append(float(loss(val_set.y[val_set.indices].astype("float32"), logits)))
    return losses


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lr_schedule": "one_cycle"},
        {"weight_decay": 0.1},
        {"optimizer": "sgd"},
        {"optimizer": "sgd", "lr_schedule": "one_cycle", "weight_decay": 0.1},
    ],
)
def test_it_learns_what_keras_would_learn(options):
    train_set, val_set = halves(*clusters(n=92))  # 46: the last batch of 8 is short
    asked = recipe(**options)
    curve = train(linear(), train_set, val_set, asked)
    expected = keras_fit(linear(), train_set, val_set, asked)
    assert [point.val_loss for point in curve] == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_from_scratch_it_learns_what_keras_would_learn():
    """All of a network with BatchNormalization, at a rate at which roundings do not yet grow apart."""
    x, y = stripes(16)
    asked = recipe(learning_rate=1e-4)
    candidate, task = (
        Candidate(
            backbone="custom_cnn",
            unfreeze_depth=4,
            head_width=0,
            dropout=0.0,
            learning_rate=1e-4,
            lr_schedule="constant",
            resolution=16,
        ),
        Task(16, 16, 1, 3, "none"),
    )
    curve = train(build_network(candidate, task, seed=1), *halves(x, y), asked)
    expected = keras_fit(build_network(candidate, task, seed=1), *halves(x, y), asked)
    assert [point.val_loss for point in curve] == pytest.approx(expected, rel=1e-3)
    assert curve[-1].loss < curve[0].loss


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_progressive_unfreezing_moves_one_block_after_the_other(optimizer):
    """The head alone learns what it would learn on a frozen network; then one more stage moves in each share."""
    network, candidate = small(3, optimizer=optimizer), {"learning_rate": 1e-3, "optimizer": optimizer, "epochs": 4}
    train_set, val_set = halves(*stripes(40))
    trainer = Trainer(network, optimizer=optimizer)
    state, asked = trainer.begin(), recipe(strategy="progressive", weight_decay=0.01, **candidate)
    moved = []
    for epoch in range(1, 5):
        before = [keras.ops.convert_to_numpy(part) for part in trainer._split(state.weights)]
        trainer.run(state, train_set, val_set, asked, until=epoch)
        after = [keras.ops.convert_to_numpy(part) for part in trainer._split(state.weights)]
        changed = [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
        moved.append({depth for depth, own in zip(trainer._depths, changed, strict=True) if own})
        assert all(own == (depth < epoch) for depth, own in zip(trainer._depths, changed, strict=True))
    assert moved == [{0}, {0, 1}, {0, 1, 2}, {0, 1, 2, 3}]
    alone = Trainer(small(0), optimizer=optimizer)
    first = alone.begin()
    alone.run(first, train_set, val_set, recipe(weight_decay=0.01, **candidate), until=1)
    assert first.curve[0].val_loss == pytest.approx(state.curve[0].val_loss, rel=5e-3)  # a free stage has dropout


def test_a_block_that_begins_late_takes_steps_of_the_usual_size():
    """Adam's first step moves every weight by the rate, whenever it comes."""
    trainer, (train_set, val_set) = Trainer(small(1)), halves(*stripes(16))
    state, asked = trainer.begin(), recipe(learning_rate=1e-3, epochs=2, strategy="progressive")  # 8: one step an epoch
    begun = np.asarray(state.weights)
    trainer.run(state, train_set, val_set, asked)
    moved = np.abs(keras.ops.convert_to_numpy(state.weights) - begun)
    late = np.repeat(trainer._depths, trainer._sizes) == 1
    assert moved[late].max() == pytest.approx(1e-3, rel=1e-2)


def test_a_recipe_of_another_optimizer_is_refused():
    train_set, val_set = halves(*clusters(n=16))
    trainer = Trainer(linear())
    with pytest.raises(ValueError, match="optimizer must be adam. Received: sgd"):
        trainer.run(trainer.begin(), train_set, val_set, recipe(optimizer="sgd"))


def test_a_loss_that_is_not_finite_is_an_error():
    x, y = clusters()
    x[0] = np.inf
    train_set, val_set = halves(x, y)
    with pytest.raises(NonFiniteLoss, match="not finite in epoch 1"):
        train(linear(), train_set, val_set, recipe())


def test_a_run_that_diverges_ends_within_its_epoch():
    """Labels that nothing explains, at a rate at which the weights only grow."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2000, 2)).astype("float32"), rng.integers(0, 3, 2000)
    train_set, val_set = halves(x, y)  # 125 steps an epoch
    trainer, steps = Trainer(linear()), []
    state = trainer.begin()
    wild = recipe(learning_rate=50.0)
    trainer.run(
        state, train_set, val_set, wild, on_step=lambda *step: steps.append(step), watch=Watch(y[train_set.indices])
    )
    assert state.diverged.startswith("loss ")
    assert len(state.curve) == 1
    assert state.steps in (60, 120)
    assert state.curve[0].val_accuracy == pytest.approx(1 / 3, abs=0.1)


def test_a_run_that_learns_is_the_same_when_it_is_watched():
    x, y = clusters(n=1200)
    train_set, val_set = halves(x, y)
    curves = []
    for watch in (None, Watch(y[train_set.indices])):
        trainer = Trainer(linear())
        state = trainer.begin()
        trainer.run(state, train_set, val_set, recipe(), watch=watch)
        assert (len(state.curve), state.diverged) == (3, "")
        curves.append(state.curve)
    assert curves[0] == curves[1]


def test_signs_of_life_come_with_every_step():
    train_set, val_set = halves(*clusters(n=80))
    seen, epochs = [], []
    trainer = Trainer(linear())
    trainer.run(
        trainer.begin(),
        train_set,
        val_set,
        recipe(epochs=2),
        on_step=lambda *where: seen.append(where),
        on_epoch=epochs.append,
    )
    steps = [where for where in seen if where[1] < 1]
    assert steps == [(epoch, share) for epoch in (1, 2) for share in (0.2, 0.4, 0.6, 0.8)]
    assert [point.epoch for point in epochs] == [1, 2]


def stripes(n=48):
    """Pictures whose brightness tells their class."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % 3
    return (rng.integers(0, 60, (n, 16, 16, 1)) + 60 * y[:, None, None, None]).astype("uint8"), y


TASK = Task(16, 16, 1, 3, "pretrained")


def small(depth, width=0, **options):
    return build_network(
        Candidate(
            backbone="custom_cnn",
            unfreeze_depth=depth,
            head_width=width,
            dropout=0.0,
            learning_rate=1e-3,
            lr_schedule="cosine",
            resolution=16,
            **options,
        ),
        TASK,
        seed=1,
    )


def test_one_trace_serves_every_recipe_and_no_run_leaves_anything_behind(monkeypatch):
    traced = []

    def counted(*arguments):
        traced.append(len(arguments))
        return cross_entropy(*arguments)

    monkeypatch.setattr(models.training.trainer, "cross_entropy", counted)
    train_set, val_set = halves(*stripes(40))  # 20: a short last batch too
    trainer = Trainer(small(1, width=128))
    first = trainer.begin()
    trainer.run(first, train_set, val_set, recipe(learning_rate=1e-3, dropout=0.3))
    other = trainer.begin()
    asked = recipe(learning_rate=3e-4, dropout=0.5, lr_schedule="one_cycle", epochs=2, label_smoothing=0.1)
    trainer.run(other, train_set, val_set, asked)
    again = trainer.begin()
    trainer.run(again, train_set, val_set, recipe(learning_rate=1e-3, dropout=0.3))
    assert again.curve == first.curve
    assert other.curve != first.curve[:2]
    assert len(traced) == 2  # the training step and the validation step


@pytest.mark.parametrize("name", ["cosine", "reduce_on_plateau"])
def test_going_on_from_a_checkpoint_is_never_having_stopped(name):
    train_set, val_set = halves(*stripes())
    asked = recipe(learning_rate=1e-3, dropout=0.3, epochs=4, lr_schedule=name)
    trainer = Trainer(small(1, width=128))
    whole = trainer.begin()
    trainer.run(whole, train_set, val_set, asked)
    part = trainer.begin()
    trainer.run(part, train_set, val_set, asked, until=1)
    arrays = [np.array(array) for array in trainer.arrays(part)]
    assert {array.size for array in arrays[3:]} <= {0, 2}  # seeds of random layers, nothing that is frozen
    later = Trainer(small(1, width=128))  # as in another process
    state = later.resume(arrays, part.curve, len(train_set), asked)
    later.run(state, train_set, val_set, asked)
    assert state.curve == whole.curve
    with pytest.raises(ValueError, match="another network"):
        later.resume(arrays[1:], part.curve, len(train_set), asked)


@pytest.mark.slow
@pytest.mark.parametrize("depth", [1, 3])
def test_training_from_a_cut_is_training_the_whole_network(depth):
    x, y = stripes()
    train_set, val_set = halves(x, y)
    asked = recipe(learning_rate=1e-4, dropout=0.2)
    whole = small(depth)
    expected = train(whole, train_set, val_set, asked)

    split = small(depth)
    features = keras.ops.convert_to_numpy(split.prefix()(x, training=False))
    trainer = Trainer(split, split.cut)
    state = trainer.begin()
    trainer.run(state, *halves(features, y), asked)
    trainer.restore(state)
    for ours, theirs in zip(state.curve, expected, strict=True):
        assert ours.loss == pytest.approx(theirs.loss, rel=1e-3)
        assert ours.val_accuracy == pytest.approx(theirs.val_accuracy, abs=1 / 24 + 1e-6)
    # and the model as a whole has learned what its tail was taught
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(split.logits(x)), keras.ops.convert_to_numpy(whole.logits(x)), atol=2e-2
    )


@pytest.mark.parametrize(("depth", "norm"), [(1, False), (1, True), (0, True)])
def test_a_run_goes_on_from_another_cut_and_back(depth, norm):
    """Whether a cut is stored may change between two rungs: what was learned must not be lost, nor its statistics."""
    x, y = stripes()
    asked = recipe(learning_rate=1e-4, dropout=0.2)
    network = small(depth, batch_norm_head=norm)
    features = keras.ops.convert_to_numpy(network.prefix()(x, training=False))
    whole, tail = Trainer(network), Trainer(network, network.cut)
    sets = {whole: halves(x, y), tail: halves(features, y)}
    for first, second in ((whole, tail), (tail, whole)):
        state = first.begin()
        first.run(state, *sets[first], asked, until=1)
        assert len(state.others) != len(second.begin().others)
        later = second.resume(first.arrays(state), state.curve, len(y) // 2, asked)
        assert (later.steps, later.curve) == (state.steps, state.curve)
        assert second.evaluate(later, sets[second][1])[0] == pytest.approx(state.curve[0].val_loss, rel=1e-3)
        second.run(later, *sets[second], asked)
        assert [point.epoch for point in later.curve] == [1, 2, 3]


def test_statistics_are_part_of_a_run():
    """From scratch BatchNormalization is trained; a run begun anew is the same run."""
    x, y = stripes(16)
    network = build_network(
        Candidate(
            backbone="custom_cnn",
            unfreeze_depth=4,
            head_width=0,
            dropout=0.0,
            learning_rate=1e-3,
            lr_schedule="cosine",
            resolution=16,
        ),
        Task(16, 16, 1, 3, "none"),
        seed=1,
    )
    trainer = Trainer(network)
    curves = []
    for _ in range(2):
        state = trainer.begin()
        trainer.run(state, *halves(x, y), recipe(learning_rate=1e-3))
        curves.append(state.curve)
    assert curves[0] == curves[1]
    before = [keras.ops.convert_to_numpy(variable) for variable in network.logits.non_trainable_variables]
    trainer.restore(state)
    after = [keras.ops.convert_to_numpy(variable) for variable in network.logits.non_trainable_variables]
    assert before
    assert any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))  # BatchNormalization was trained
