"""Training what a HyperModel builds, against Keras' own fit."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from models.own.hyper_network import Built, build
from models.own.hyper_prefix import find_prefix
from models.own.hypermodel import load_hyper
from models.own.reference import Reference
from models.training import fitting
from models.training.fitting import Examples, Fitted, Length
from models.training.recipe import Epoch, NonFiniteLoss, pack
from tests import hypermodels

DIGITS = load_digits()
IMAGES = np.round(DIGITS.images[:300] * 255 / 16).astype("uint8")[..., None]
TRAIN, VAL = Examples(IMAGES[:200], DIGITS.target[:200]), Examples(IMAGES[200:], DIGITS.target[200:300])
NONE = Examples(IMAGES[:0], DIGITS.target[:0])


def built(name: str, **values: Any) -> Built:
    return build(load_hyper("mine", Reference(hypermodels.__file__, name), ""), values, (8, 8, 1), 10, 0)


def run(mine: Built, until: int, curve: tuple[Epoch, ...] = (), epochs: int = 4, **others: Any) -> Fitted:
    return fitting.run(mine, TRAIN, VAL, curve, Length(epochs, until, 32, 0), **others)


def test_it_is_what_keras_does() -> None:
    mine, plain = built("Layers", layers=2), built("Layers", layers=2)
    fitted = run(mine, 3, epochs=3)
    keras.utils.set_random_seed(0)
    judged = (plain.prepare(VAL.x), plain.targets(VAL.labels))
    told = plain.model.fit(
        plain.prepare(TRAIN.x), plain.targets(TRAIN.labels), batch_size=32, epochs=3, validation_data=judged, verbose=0
    ).history
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        np.testing.assert_allclose([getattr(point, name) for point in fitted.curve], told[name], rtol=1e-4)
    assert (fitted.ended, fitted.stopped) == (False, "")
    right = keras.ops.convert_to_numpy(mine.classifier(VAL.x)).argmax(1) == VAL.labels
    assert fitted.curve[-1].val_right == pack(right)
    assert fitted.curve[-1].learning_rate == pytest.approx(1e-2)


def test_from_a_rung_it_goes_on_where_it_was() -> None:
    first, second, whole = built("Layers"), built("Layers"), built("Layers")
    half = run(first, 2)
    fitting.resume(second, fitting.state(first))
    there = run(second, 4, half.curve)
    assert [point.epoch for point in there.curve] == [1, 2, 3, 4]
    assert int(second.model.optimizer.iterations) == 4 * 7
    # a leg has a seed of its own: the same legs, the same weights
    again = run(whole, 2)
    assert run(whole, 4, again.curve).curve == there.curve
    with pytest.raises(ValueError, match="another model"):
        fitting.resume(built("Layers", layers=2), fitting.state(first))


def test_an_optimizer_in_an_optimizer_goes_on_too() -> None:
    first, second = built("scaled"), built("scaled")
    half = run(first, 2)
    fitting.resume(second, fitting.state(first))
    assert run(second, 4, half.curve).curve == run(first, 4, half.curve).curve


def test_metrics_that_are_no_numbers_are_left_alone() -> None:
    (point,) = run(built("named_loss"), 1).curve
    assert 0 <= point.accuracy < 0.9  # not the top five
    assert run(built("Guide"), 2).ended is False


def test_behind_a_prefix_it_learns_the_same() -> None:
    mine, other = built("Frozen"), built("Frozen")
    prefix = find_prefix(other)
    assert prefix is not None
    features = [keras.ops.convert_to_numpy(prefix.base(part.x)) for part in (TRAIN, VAL)]
    parts = [Examples(x, part.labels) for x, part in zip(features, (TRAIN, VAL), strict=True)]
    behind = fitting.run(other, *parts, (), Length(2, 2, 32, 0), prefix)
    plain = run(mine, 2, epochs=2)
    for one, two in zip(plain.curve, behind.curve, strict=True):
        assert (one.loss, one.val_loss) == pytest.approx((two.loss, two.val_loss), rel=1e-4)
        assert one.val_accuracy == two.val_accuracy


def test_a_loop_of_the_users_is_counted_and_ended() -> None:
    whole = run(built("Loop"), 5, epochs=5)
    assert (len(whole.curve), whole.ended) == (3, True)  # its own three epochs
    assert all(np.isfinite([point.loss, point.accuracy]).all() for point in whole.curve)  # it tells neither
    short = run(built("Loop"), 2, epochs=5)  # it does not look at stop_training
    assert (len(short.curve), short.ended) == (2, False)


def test_it_is_stopped_where_someone_says_so() -> None:
    seen: list[int] = []

    def why(curve: Any) -> str:
        seen.append(len(curve))
        return "enough" if len(curve) == 2 else ""

    fitted = run(built("function"), 4, why_stop=why)
    assert (len(fitted.curve), fitted.stopped, fitted.ended, seen) == (2, "enough", False, [1, 2])


def test_a_fit_that_calls_no_callbacks_is_judged_at_its_end() -> None:
    fitted = run(built("Silent"), 4)
    assert (len(fitted.curve), fitted.ended) == (1, True)
    assert fitted.curve[0].val_accuracy is not None


def test_early_stopping_of_the_users_ends_the_trial() -> None:
    fitted = run(built("Early"), 4)
    assert (len(fitted.curve), fitted.ended) == (2, True)


def test_without_pictures_to_judge_by() -> None:
    for name in ("Layers", "Early"):
        fitted = fitting.run(built(name), TRAIN, NONE, (), Length(4, 1, 32, 0))
        (point,) = fitted.curve
        assert (point.val_loss, point.val_accuracy, point.val_right) == (None, None, "")


def test_each_step_is_heard_of() -> None:
    heard: list[tuple[int, float]] = []
    run(built("Layers"), 1, on_step=lambda epoch, share: heard.append((epoch, share)))
    assert heard[:7] == [(1, pytest.approx((step + 1) / 7)) for step in range(7)]


def test_a_loss_that_is_no_number_is_an_error_with_the_curve_before() -> None:
    mine = built("instance", rate=0.1)
    fitted = run(mine, 1)
    mine.model.layers[-1].set_weights([np.full_like(w, np.nan) for w in mine.model.layers[-1].get_weights()])
    with pytest.raises(NonFiniteLoss, match="the loss is not finite in epoch 2") as caught:
        run(mine, 2, fitted.curve)
    assert len(caught.value.curve) == 1
