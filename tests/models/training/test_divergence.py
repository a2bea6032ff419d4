"""When a run has diverged; a run that learns, or stands still, never has."""

import numpy as np
import pytest

from models.training.divergence import WINDOW, Watch
from models.training.recipe import Epoch

TEN = np.repeat(np.arange(10), 100)
CHANCE = np.full(WINDOW, 3.2)  # hits in batches of 32


def look(watch, losses, hits=CHANCE):
    """What is said at the last of these steps; before it nothing is."""
    *before, last = [watch.step(loss, hit, 32) for loss, hit in zip(losses, hits, strict=True)]
    assert not any(before)
    return last


def rising(start, end):
    return np.linspace(start, end, WINDOW)


def epoch(loss, accuracy):
    return Epoch(1, loss, accuracy, loss, accuracy, 1e-3)


def test_a_loss_that_rises_at_chance_has_diverged():
    said = look(Watch(TEN), rising(2.5, 19.5))
    assert said == "loss 11 over 60 steps after 2.5 at the start, accuracy 0.100 at chance"


@pytest.mark.parametrize(
    ("losses", "hits"),
    [
        (rising(2.5, 19.5), np.full(WINDOW, 4.2)),  # 252 of 1,920 right, where 214 are to be expected in 1 of 20
        (rising(19.5, 2.5), CHANCE),  # on its way back
        (np.full(WINDOW, 2.5), CHANCE),  # as at its start
        (rising(2.5, 3.1), CHANCE),  # a quarter more at most
    ],
)
def test_what_learns_or_has_not_begun_to_goes_on(losses, hits):
    assert look(Watch(TEN), losses, hits) == ""


@pytest.mark.parametrize("fall", [0.0, 0.05])
def test_a_run_that_stands_still_or_falls_slowly_is_never_ended(fall):
    """200 runs of four windows, with the noise of batches of 32 around a loss of 2.5 and an accuracy of 0.1."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        watch = Watch(TEN)
        losses = rng.normal(2.5, 0.12, 4 * WINDOW) - fall * np.arange(4 * WINDOW) / WINDOW
        hits = rng.binomial(32, 0.1, 4 * WINDOW)
        assert not any(watch.step(loss, hit, 32) for loss, hit in zip(losses, hits, strict=True))


def test_it_is_measured_by_the_first_step_of_the_run():
    watch = Watch(TEN)
    assert look(watch, rising(8.0, 2.4)) == ""
    assert look(watch, rising(2.4, 9.0)) == ""  # not far above 8
    assert "after 8 at the start" in look(watch, rising(20, 40))


def test_a_head_that_began_well_is_measured_by_chance():
    """A loss between that of its start and that of guessing, ln 10 = 2.303, is no divergence."""
    assert look(Watch(TEN), rising(1.0, 2.8)) == ""
    assert look(Watch(TEN), np.r_[1.0, rising(3.0, 3.2)[1:]]) != ""


def test_one_that_comes_back_is_given_time_and_one_that_comes_back_to_guessing_is_not():
    """As a network does whose units died: a loss of millions, then that of guessing, ln 10 = 2.303."""
    spike = np.r_[2.5, np.geomspace(1e7, 2.6, WINDOW - 1)]
    watch = Watch(TEN)
    assert look(watch, spike) == ""
    assert look(watch, rising(2.4, 2.45)) == "loss 2.42 over 60 steps after 2.5 at the start, accuracy 0.100 at chance"
    learner = Watch(TEN)
    assert look(learner, spike) == look(learner, rising(2.4, 2.2), CHANCE + 3) == ""
    never_rose = Watch(TEN)
    assert look(never_rose, np.full(WINDOW, 2.5)) == look(never_rose, rising(2.4, 2.45)) == ""


def test_what_was_above_chance_once_is_not_ended():
    watch = Watch(TEN)
    assert look(watch, rising(2.5, 2.0), CHANCE + 3) == ""
    assert look(watch, rising(10, 90)) == ""
    assert look(Watch(TEN, [epoch(2.0, 0.3)]), rising(10, 90)) == ""


def test_a_run_that_goes_on_is_measured_by_chance_and_what_it_was():
    assert "after 2.3 at the start" in look(Watch(TEN, [epoch(2.4, 0.1)]), rising(10, 90))
    assert look(Watch(TEN, [epoch(2.4, 0.1)]), rising(2.4, 2.45)) == ""
    assert look(Watch(TEN, [epoch(1e6, 0.1)]), rising(2.4, 2.45)) != ""  # it was far above


def test_one_wild_step_is_no_divergence():
    losses = np.full(WINDOW, 2.4)
    losses[[0, 40]] = 2.5, 1e9
    assert look(Watch(TEN), losses) == ""


def test_a_loss_that_is_no_number_ends_a_run():
    assert look(Watch(TEN), np.where(np.arange(WINDOW) == 7, np.nan, 2.5)) == "the loss is not finite"


def test_chance_is_the_largest_class():
    """Nine of ten are of one class: 0.9 is chance, and its loss 0.325."""
    labels = np.repeat([0, 1], [900, 100])
    assert look(Watch(labels), rising(0.3, 3.0), np.full(WINDOW, 0.9 * 32)) != ""
    assert look(Watch(labels), rising(0.3, 3.0), np.full(WINDOW, 0.95 * 32)) == ""


@pytest.mark.parametrize("seed", range(20))
def test_no_run_of_logistic_regression_that_gets_better_is_ended(seed):
    """Plain gradient descent on ten noisy classes at rates from far too small to far too large, 300 steps.

    What ends above 0.15 was never said to have diverged.
    """
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 1, (10, 20))
    x = centres[TEN] + rng.normal(0, 2, (len(TEN), 20))
    for rate in (1e-4, 1e-2, 1, 30, 1000):
        weights, watch, said, hits = rng.normal(0, 1, (20, 10)), Watch(TEN), "", []
        for _ in range(300):
            rows = rng.integers(0, len(TEN), 32)
            logits = x[rows] @ weights
            logits -= logits.max(axis=1, keepdims=True)
            shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            loss = -np.log(np.maximum(shares[np.arange(32), TEN[rows]], 1e-30)).mean()
            hits.append((logits.argmax(axis=1) == TEN[rows]).sum())
            weights -= rate * x[rows].T @ (shares - np.eye(10)[TEN[rows]]) / 32
            said = said or watch.step(loss, hits[-1], 32)
        assert not said or np.mean(hits[-WINDOW:]) / 32 < 0.15, (rate, said)
