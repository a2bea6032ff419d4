"""HyperModels of KerasTuner as its users write them, small, for pictures of digits (8, 8, 1)."""

from __future__ import annotations

from typing import Any

import keras
import keras_tuner
from keras import layers
from keras_tuner.applications import HyperImageAugment

SPARSE = "sparse_categorical_crossentropy"


def compiled(inputs: Any, outputs: Any, loss: Any = SPARSE, rate: float = 1e-2) -> keras.Model:
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    return model


class Scoped(keras_tuner.HyperModel):
    """From the documentation of `conditional_scope`, with logits and an unbuilt sequential model."""

    def build(self, hp: Any) -> keras.Model:
        model, kind = keras.Sequential(), hp.Choice("kind", ["mlp", "cnn"])
        with hp.conditional_scope("kind", ["mlp"]):
            if kind == "mlp":
                model.add(layers.Flatten())
                model.add(layers.Dense(hp.Int("units", 8, 32, step=8), activation="relu"))
        with hp.conditional_scope("kind", ["cnn"]):
            if kind == "cnn":
                model.add(layers.Conv2D(hp.Int("units", 16, 64, sampling="log"), 3, activation="relu"))
                model.add(layers.GlobalAveragePooling2D())
        model.add(layers.Dense(10))
        rate = hp.Float("rate", 1e-3, 1e-1, sampling="log", default=1e-2)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
        return model


class Layers(keras_tuner.HyperModel):
    """A number of layers in plain Python, what the data decides as arguments, and one-hot labels."""

    def __init__(self, input_shape: tuple[int, int, int], classes: int):
        super().__init__()
        self.input_shape, self.classes = input_shape, classes

    def build(self, hp: Any) -> keras.Model:
        x = inputs = keras.Input(self.input_shape)
        x = layers.Flatten()(x)
        for number in range(hp.Int("layers", 1, 3)):
            x = layers.Dense(hp.Int(f"units_{number}", 8, 24, step=8), activation="relu")(x)
        if hp.Boolean("dropout"):
            x = layers.Dropout(hp.Float("share", 0.1, 0.5))(x)
        hp.Fixed("note", "of a test")
        return compiled(inputs, layers.Dense(self.classes, activation="softmax")(x), "categorical_crossentropy")


def function(hp: Any) -> keras.Model:
    """With layers that change training pictures, and normalisation."""
    x = inputs = keras.Input((8, 8, 1))
    x = layers.RandomTranslation(0.1, 0.1)(x)
    x = layers.Conv2D(hp.Int("filters", 4, 8), 3, padding="same", activation="relu")(x)
    x = layers.BatchNormalization()(x)
    return compiled(inputs, layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x)))


def augmented(hp: Any) -> keras.Model:
    """With KerasTuner's own augmentation in front."""
    inputs = keras.Input((8, 8, 3))
    x = HyperImageAugment(input_shape=(8, 8, 3)).build(hp)(inputs)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(x))
    return compiled(inputs, layers.Dense(10, activation="softmax")(x))


def one_output(hp: Any) -> keras.Model:
    """Of two classes, with one sigmoid."""
    inputs = keras.Input((8, 8, 1))
    x = layers.Dense(hp.Int("units", 4, 8), activation="relu")(layers.Flatten()(inputs))
    return compiled(inputs, layers.Dense(1, activation="sigmoid")(x), "binary_crossentropy")


class Frozen(keras_tuner.HyperModel):
    """A base that may be trained, with the same weights in each build, called as Keras' guide does."""

    def build(self, hp: Any) -> keras.Model:
        base = keras.Sequential([keras.Input((8, 8, 1))])
        for seed, width in enumerate((32, 64)):
            kernel = keras.initializers.GlorotUniform(seed=seed)
            base.add(layers.Conv2D(width, 3, activation="relu", kernel_initializer=kernel))
        base.add(layers.BatchNormalization())
        base.add(layers.MaxPooling2D(4))
        base.trainable = hp.Boolean("trainable")
        inputs = keras.Input((8, 8, 1))
        x = layers.Flatten()(base(inputs, training=False))
        x = layers.Dropout(hp.Float("dropout", 0.0, 0.5))(x)
        return compiled(inputs, layers.Dense(10, activation="softmax")(x), rate=hp.Float("rate", 1e-3, 1e-1))


class Loop(keras_tuner.HyperModel):
    """A training loop of its own, as in KerasTuner's guide: three epochs, and hyperparameters in `fit`."""

    def build(self, hp: Any) -> keras.Model:
        inputs = keras.Input((8, 8, 1))
        x = layers.Dense(hp.Choice("units", [16, 32]), activation="relu")(layers.Flatten()(inputs))
        return compiled(inputs, layers.Dense(10, activation="softmax")(x))

    def fit(self, hp: Any, model: keras.Model, x: Any, y: Any, callbacks: Any, **kwargs: Any) -> float:
        size = hp.Int("batch_size", 32, 128, step=32, default=64)
        for callback in callbacks:
            callback.set_model(model)
        for epoch in range(3):
            for begin in range(0, len(x), size):
                model.train_on_batch(x[begin : begin + size], y[begin : begin + size])
            for callback in callbacks:
                callback.on_epoch_end(epoch, logs={})
        return 0.5


class Silent(Loop):
    """Its `fit` tells nobody anything."""

    def fit(self, hp: Any, model: keras.Model, x: Any, y: Any, callbacks: Any, **kwargs: Any) -> float:
        model.fit(x, y, epochs=2, verbose=0)
        return 0.5


class Early(keras_tuner.HyperModel):
    """Ends itself after its second epoch."""

    def build(self, hp: Any) -> keras.Model:
        return function(hp)

    def fit(self, hp: Any, model: keras.Model, *args: Any, callbacks: Any, **kwargs: Any) -> Any:
        stop = keras.callbacks.EarlyStopping("val_loss", patience=0, min_delta=100)
        return model.fit(*args, callbacks=[*callbacks, stop], **kwargs)


class Needs(keras_tuner.HyperModel):
    """Cannot be made without an argument."""

    def __init__(self, units: int):
        super().__init__()
        self.units = units

    def build(self, hp: Any) -> keras.Model:
        inputs = keras.Input((8, 8, 1))
        x = layers.Dense(self.units)(layers.Flatten()(inputs))
        return compiled(inputs, layers.Dense(10, activation="softmax")(x), rate=hp.Float("rate", 1e-3, 1e-1))


instance = Needs(5)
number = 5


class Uncompiled(keras_tuner.HyperModel):
    def build(self, hp: Any) -> keras.Model:
        return keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(10)])


class Raises(keras_tuner.HyperModel):
    def build(self, hp: Any) -> keras.Model:
        raise RuntimeError("no such thing")


class Larger(keras_tuner.HyperModel):
    def build(self, hp: Any) -> keras.Model:
        inputs = keras.Input((32, 32, 3))
        return compiled(inputs, layers.Dense(10)(layers.Flatten()(inputs)))


class Fewer(keras_tuner.HyperModel):
    def build(self, hp: Any) -> keras.Model:
        inputs = keras.Input((8, 8, 1))
        return compiled(inputs, layers.Dense(7)(layers.Flatten()(inputs)))


class BadFit(Loop):
    def fit(self, hp: Any, model: keras.Model, *args: Any, **kwargs: Any) -> float:
        raise ValueError("not today")


class Guide(keras_tuner.HyperModel):
    """The loop of KerasTuner's guide: what `build` returns is not compiled, loss and optimizer are made in `fit`."""

    def build(self, hp: Any) -> keras.Model:
        inputs = keras.Input((8, 8, 1))
        x = layers.Dense(hp.Int("units", 16, 32), activation="relu")(layers.Flatten()(inputs))
        return keras.Model(inputs, layers.Dense(10)(x))

    def fit(
        self, hp: Any, model: keras.Model, x: Any, y: Any, validation_data: Any, callbacks: Any, **kwargs: Any
    ) -> float:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(hp.Float("rate", 1e-3, 1e-1, default=1e-2)), loss)
        for epoch in range(2):
            for begin in range(0, len(x), 32):
                model.train_on_batch(x[begin : begin + 32], y[begin : begin + 32])
            for callback in callbacks:
                callback.on_epoch_end(epoch, logs={"my_metric": 0.5})
        return 0.5


def with_loss(loss: Any, activation: str | None = "softmax", optimizer: Any = "adam") -> keras.Model:
    inputs = keras.Input((8, 8, 1))
    model = keras.Model(inputs, layers.Dense(10, activation=activation)(layers.Flatten()(inputs)))
    model.compile(optimizer, loss, metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy()])
    return model


def named_loss(hp: Any) -> keras.Model:
    return with_loss(keras.losses.SparseCategoricalCrossentropy(name="mine"))


def list_of_losses(hp: Any) -> keras.Model:
    return with_loss(["sparse_categorical_crossentropy"])


def class_name(hp: Any) -> keras.Model:
    return with_loss("SparseCategoricalCrossentropy")


def hidden_logits(hp: Any) -> keras.Model:
    def loss(y: Any, z: Any) -> Any:
        return keras.ops.mean(keras.losses.sparse_categorical_crossentropy(y, z, from_logits=True))

    loss.__name__ = "sparse"
    return with_loss(loss, None)


def odd_loss(hp: Any) -> keras.Model:
    def loss(y: Any, z: Any) -> Any:
        raise ValueError("no labels for me")

    return with_loss(loss)


def averaged(hp: Any) -> keras.Model:
    return with_loss(SPARSE, optimizer=keras.optimizers.Adam(use_ema=True))


def scaled(hp: Any) -> keras.Model:
    """With an optimizer in an optimizer, as mixed precision has it."""
    return with_loss(SPARSE, optimizer=keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(1e-2)))


def fixed(hp: Any) -> keras.Model:
    """What stands under a fixed hyperparameter is searched, too."""
    hp.Fixed("kind", "a")
    with hp.conditional_scope("kind", ["a"]):
        hp.Int("units", 4, 8)
    return with_loss(SPARSE)


def turned(hp: Any) -> keras.Model:
    """For pictures whose channels come first."""
    inputs = keras.Input((1, 8, 8))
    return compiled(inputs, layers.Dense(10, activation="softmax")(layers.Flatten()(inputs)))


def resized(hp: Any) -> keras.Model:
    """With a layer that Keras calls as if it was training."""
    inputs = keras.Input((8, 8, 1))
    x = layers.Dropout(0.9)(layers.BatchNormalization()(layers.Resizing(4, 4)(inputs)))
    return compiled(inputs, layers.Dense(10, activation="softmax")(layers.Flatten()(x)))


def own_frozen(hp: Any) -> keras.Model:
    """Frozen, behind a layer of the user's own that is random in training."""

    class Noise(layers.Layer):
        def call(self, x: Any, training: bool = False) -> Any:
            return x + keras.random.normal(keras.ops.shape(x)) if training else x

    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, trainable=False)(Noise()(inputs))
    return compiled(inputs, layers.Dense(10, activation="softmax")(layers.Flatten()(x)))


def own_steps(hp: Any) -> keras.Model:
    """Frozen, with a training step of its own."""

    class Mine(keras.Model):
        def train_step(self, *args: Any, **kwargs: Any) -> Any:
            return super().train_step(*args, **kwargs)

    inputs = keras.Input((8, 8, 1))
    x = layers.Flatten()(layers.Conv2D(4, 3, trainable=False)(inputs))
    model = Mine(inputs, layers.Dense(10, activation="softmax")(x))
    model.compile("adam", SPARSE)
    return model
