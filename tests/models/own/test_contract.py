"""What is found of networks of the user's own."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from models import ModelError, flops
from models.backbones import get_backbone, without_top
from models.build import Task, build_ends, build_network
from models.candidate import Candidate
from models.flops import count, register_flops
from models.own.contract import TAKEN, Block, check_usable, examine
from models.own.network import built, stages_at
from models.own.reference import Own


@keras.saving.register_keras_serializable("tests")
class Doubled(keras.layers.Layer):
    """Registered, and without a formula."""

    def call(self, x: Any) -> Any:
        return 2 * x


class Unregistered(keras.layers.Layer):
    def call(self, x: Any) -> Any:
        return x


def own(build: Callable[..., Any], preprocess: Callable[[Any], Any] | None = None) -> Own:
    return Own("mine", build, preprocess, f"mine:build {'0' * 64}")


def anew(layer: Any) -> Any:
    """A layer like it; a function itself, which makes its own."""
    if isinstance(layer, keras.layers.Lambda):
        return copy.deepcopy(layer)
    return type(layer).from_config(layer.get_config()) if isinstance(layer, keras.layers.Layer) else layer


def ending_with(*layers: Callable[[Any], Any]) -> Callable[[tuple[int, int, int]], keras.Model]:
    """Two convolutions with a pooling between them, and then these layers."""

    def build(shape: tuple[int, int, int]) -> keras.Model:
        inputs = keras.Input(shape)
        x = keras.layers.Conv2D(4, 3, padding="same", name="first")(inputs)
        x = keras.layers.MaxPooling2D(name="halve")(x)
        x = keras.layers.Conv2D(8, 3, padding="same", name="second")(x)
        for layer in layers:
            x = anew(layer)(x)
        return keras.Model(inputs, x)

    return build


def fixed(shape: tuple[int, int, int]) -> keras.Model:
    """With the same weights each time."""
    model = ending_with()(shape)
    model.set_weights([np.ones_like(weight) for weight in model.get_weights()])
    return model


@pytest.fixture
def nothing_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flops, "_registered", {})


def test_what_is_found_of_a_network() -> None:
    found = examine(own(ending_with()), (32, 16))
    first, second = 32 * 32 * 4 * 9 * 3 * 2, 16 * 16 * 8 * 9 * 4 * 2
    assert found.blocks == (Block("halve", (16, 16, 4), first), Block("second", (16, 16, 8), first + second))
    assert found.flops == first + second
    assert found.parameters == 9 * 3 * 4 + 4 + 9 * 4 * 8 + 8
    assert found.stages == (("pictures", 32), ("halve", 16))
    assert (found.name, found.side, found.runtime, found.problems) == ("mine", 32, "", ())
    assert found.weights == "random, other ones in each build"
    assert examine(own(fixed), (32,)).weights == "the same in each build"


def test_preprocessing_is_part_of_one_flat_graph() -> None:
    halved = built(own(fixed, lambda x: keras.layers.Rescaling(0.5)(x)), 16)
    assert [type(layer).__name__ for layer in halved.layers] == [
        "InputLayer", "Rescaling", "Conv2D", "MaxPooling2D", "Conv2D",
    ]  # fmt: skip
    pictures = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)).astype("float32")
    np.testing.assert_allclose(halved(pictures), fixed((16, 16, 3))(pictures / 2), rtol=1e-5)


def test_a_sequential_network_is_as_good() -> None:
    def build(shape: tuple[int, int, int]) -> keras.Model:
        return keras.Sequential([keras.Input(shape), keras.layers.Conv2D(4, 3, name="only")])

    found = examine(own(build), (16,))
    assert [block.layer for block in found.blocks] == ["only"]
    assert found.problems == ()


@pytest.mark.usefixtures("nothing_registered")
def test_a_layer_of_your_own_is_counted_when_its_class_is_registered() -> None:
    (problem,) = examine(own(ending_with(Doubled(name="twice"))), (16,)).problems
    assert problem == (
        "layer 'twice' of class Doubled has no FLOPs formula: models.flops.register_flops(Doubled, formula)"
    )
    register_flops(Doubled, lambda call: (call.n_out, 3))
    found = examine(own(ending_with(Doubled(name="twice"))), (16,))
    assert found.problems == ()
    assert found.flops == examine(own(ending_with()), (16,)).flops + 2 * 8 * 8 * 8
    model = ending_with(Doubled())((16, 16, 3))
    assert count(model).by_kind["Doubled"] == {"macs": 512, "flops": 2 * 512 + 3}


@pytest.mark.usefixtures("nothing_registered")
@pytest.mark.parametrize(
    ("layer", "problems"),
    [
        (lambda: keras.layers.Lambda(lambda x: x, name="odd"), ["'odd' is a Lambda layer, whose code cannot be saved"]),
        (
            lambda: Unregistered(name="odd"),
            ["layer 'odd' of class Unregistered is not registered", "layer 'odd' of class Unregistered has no FLOPs"],
        ),
    ],
)
def test_layers_that_cannot_be_used_are_named(layer: Callable[[], Any], problems: list[str]) -> None:
    found = examine(own(ending_with(layer())), (16,))
    assert [problem[: len(begins)] for problem, begins in zip(found.problems, problems, strict=True)] == problems
    assert found.flops is None and {block.flops for block in found.blocks} == {None}


@pytest.mark.usefixtures("nothing_registered")
@pytest.mark.parametrize("formula", [lambda call: 3, lambda call: call.nothing])
def test_a_formula_that_fails_is_named(formula: Callable[..., Any]) -> None:
    register_flops(Doubled, formula)
    (problem,) = examine(own(ending_with(Doubled())), (16,)).problems
    assert problem.startswith(
        "the FLOPs formula of Doubled must give two numbers, multiply-accumulates and other FLOPs"
    )


def test_an_activation_that_cannot_be_counted_is_a_problem() -> None:
    def odd(x: Any) -> Any:
        return keras.layers.Conv2D(4, 1, activation=lambda y: y, name="odd")(x)

    (problem,) = examine(own(ending_with(odd)), (16,)).problems
    assert problem.startswith("no FLOPs formula for activation") and "'odd'" in problem


def test_one_line_for_each_class() -> None:
    layers = (Unregistered(name=f"odd{number}") for number in range(3))
    assert len(examine(own(ending_with(*layers)), (16,)).problems) == 2  # not registered, not counted


def sized(shape: tuple[int, int, int]) -> keras.Model:
    """Its weights depend on the size of pictures."""
    inputs = keras.Input(shape)
    x = keras.layers.Dense(16)(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, keras.layers.Reshape((4, 4, 1))(x))


def only_large(shape: tuple[int, int, int]) -> keras.Model:
    if shape[0] < 16:
        raise ValueError("too small")
    return fixed(shape)


@pytest.mark.parametrize(
    ("build", "problem"),
    [
        (sized, "at 8 px it has weights of other shapes: one set of weights must serve every resolution"),
        (only_large, "not at 8 px: build((8, 8, 3)) failed: ValueError: too small"),
    ],
)
def test_every_side_must_have_the_same_weights(build: Callable[..., Any], problem: str) -> None:
    (found,) = examine(own(build), (16, 8)).problems
    assert found.startswith(problem)


class Subclass(keras.Model):
    def call(self, x: Any) -> Any:
        return x


def two_inputs(shape: tuple[int, int, int]) -> keras.Model:
    one, other = keras.Input(shape), keras.Input(shape)
    return keras.Model([one, other], keras.layers.Add()([one, other]))


def with_top(shape: tuple[int, int, int]) -> keras.Model:
    return ending_with(keras.layers.GlobalAveragePooling2D())(shape)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda shape: None, "build must return a keras.Model. Received: NoneType"),
        (lambda shape: Subclass(), "must return a functional model, .* Received: Subclass"),
        (two_inputs, "must return a model with one input and one output. Received: inputs: 2, outputs: 1"),
        (with_top, r"without its top, .* Received: an output of shape \(8,\)"),
        (
            lambda shape: fixed((8, 8, 3)),
            r"build\(\(16, 16, 3\)\) must take pictures of that shape. Received: \(8, 8, 3\)",
        ),
        (
            lambda shape: shape.height,
            r"build\(\(16, 16, 3\)\) failed: AttributeError: .* \(test_contract.py, line \d+\)",
        ),
    ],
)
def test_what_is_no_such_network_is_refused(build: Callable[..., Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        examine(own(build), (16,))


@pytest.mark.parametrize(
    ("preprocess", "message"),
    [
        (
            lambda x: keras.layers.MaxPooling2D()(x),
            r"preprocess must keep the shape \(16, 16, 3\). Received: \(8, 8, 3\)",
        ),
        (lambda x: x.nothing, "preprocess failed: AttributeError: "),
    ],
)
def test_preprocessing_that_fails_is_named(preprocess: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        built(own(fixed, preprocess), 16)


@pytest.mark.parametrize("name", ["pool", "resize"])
def test_names_of_our_own_layers_are_taken(name: str) -> None:
    (problem,) = examine(own(ending_with(keras.layers.ReLU(name=name))), (16,)).problems
    assert problem == f"layer {name!r} has the name of a layer that every classifier has: give it another one"


def test_all_names_that_are_taken_are_known() -> None:
    for channels, classes in ((1, 2), (3, 10)):
        task = Task(8, 8, channels, classes, "none")
        values = {"backbone": "custom_cnn", "resolution": 16, "head_width": 128, "batch_norm_head": True}
        training: dict[str, Any] = {"unfreeze_depth": 0, "dropout": 0.0, "learning_rate": 1e-3, "lr_schedule": "cosine"}
        network = build_network(Candidate(**values, **training), task, 0)
        ends = build_ends([Candidate(**values, **training, keep_blocks=1)], task)
        assert {"hpo_pool_1", "hpo_head_1"} <= {layer.name for layer in ends.layers}
        around = [layer for model in (network.model, network.logits) for layer in model.layers]
        backbone = {layer.name for layer in without_top(get_backbone("custom_cnn"), 32).layers} - {"pictures"}
        assert {layer.name for layer in around} - backbone <= set(TAKEN)


def test_a_study_can_begin_with_it() -> None:
    check_usable(own(fixed), (16, 8), pretrained=True)
    check_usable(own(ending_with()), (16, 8), pretrained=False)


@pytest.mark.usefixtures("nothing_registered")
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            ending_with(),
            "mine cannot be searched: build gives other weights each time: load weights in it, or choose",
        ),
        (ending_with(Doubled(name="twice")), "mine cannot be searched: layer 'twice' of class Doubled has no FLOPs"),
        (ending_with(keras.layers.Lambda(lambda x: x, name="odd")), "mine cannot be searched: 'odd' is a Lambda layer"),
    ],
)
def test_or_not(build: Callable[..., Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_usable(own(build), (16, 8), pretrained=True)


def test_layers_that_are_the_same_in_each_call_are_refused() -> None:
    model = fixed((16, 16, 3))
    with pytest.raises(ModelError, match="build must make new layers in each call. Received: '.*' twice"):
        check_usable(own(lambda shape: model), (16,), pretrained=True)
    assert any("must make new layers" in problem for problem in examine(own(lambda shape: model), (16,)).problems)


def test_weights_that_depend_on_the_side_are_refused() -> None:
    def build(shape: tuple[int, int, int]) -> keras.Model:
        return fixed(shape) if shape[0] == 16 else ending_with()(shape)

    with pytest.raises(ModelError, match="mine cannot be searched: build gives other weights each time"):
        check_usable(own(build), (16, 8), pretrained=True)


def test_two_layers_of_one_name_in_models_inside() -> None:
    def build(shape: tuple[int, int, int]) -> keras.Model:
        inputs = x = keras.Input(shape)
        for _ in range(2):
            x = keras.Sequential([keras.Input(x.shape[1:]), keras.layers.Conv2D(4, 3, name="twice")])(x)
        return keras.Model(inputs, x)

    with pytest.raises(ModelError, match=r"build cannot be put behind its pictures: ValueError: .*twice"):
        built(own(build), 16)


def test_stages_are_those_of_the_side() -> None:
    assert (stages_at(own(fixed), 32), stages_at(own(fixed), 2)) == (2, 2)
