"""When a run has diverged; a run that learns never has."""

import numpy as np
import pytest

from models.training.divergence import WINDOW, Watch

TEN = np.repeat(np.arange(10), 100)
SIZES = np.full(WINDOW, 32)
CHANCE = np.full(WINDOW, 3.2)  # hits


def look(watch, losses, hits, sizes=SIZES):
    """What is said at the last of these steps; before it nothing is."""
    *before, last = [watch.step(*step) for step in zip(losses, hits, sizes, strict=True)]
    assert not any(before)
    return last


def rising(start, end):
    return np.linspace(start, end, WINDOW)


def test_a_loss_that_rises_at_chance_has_diverged():
    said = look(Watch(TEN), rising(2.5, 9.5), CHANCE)
    assert said == "loss 6 over 60 steps after 2.5 at the start, accuracy 0.100 at chance"


@pytest.mark.parametrize(
    ("losses", "hits"),
    [
        (rising(2.5, 9.5), np.full(WINDOW, 4.2)),  # 252 of 1,920 right, where 213 are to be expected in 1 of 20
        (rising(9.5, 2.5), CHANCE),  # on its way back
        (np.full(WINDOW, 2.5), CHANCE),  # as at its start
        (np.where(np.arange(WINDOW) % 2, 2.1, 2.6), CHANCE),  # no more than noise
        (np.full(WINDOW, np.nan), CHANCE),  # is said elsewhere
    ],
)
def test_what_learns_or_has_not_begun_to_goes_on(losses, hits):
    assert look(Watch(TEN), losses, hits) == ""


def test_it_is_measured_by_the_first_step_of_the_run():
    watch = Watch(TEN)
    assert look(watch, rising(8.0, 2.4), CHANCE) == ""
    assert look(watch, rising(2.4, 7.0), CHANCE) == ""  # below 8 on average
    assert "after 8 at the start" in look(watch, rising(20, 40), CHANCE)
    assert "after 2.5 at the start" in look(Watch(TEN, 2.5), rising(2.4, 7.0), CHANCE)  # one that goes on


def test_one_that_comes_back_is_given_time_and_one_that_comes_back_to_guessing_is_not():
    """As a network does whose units died: a loss of millions, then that of guessing, ln 10 = 2.303."""
    watch = Watch(TEN)
    spike = np.r_[2.5, np.geomspace(1e7, 2.6, WINDOW - 1)]
    assert look(watch, spike, CHANCE) == ""
    assert look(watch, rising(2.4, 2.45), CHANCE) == (
        "loss 2.42 over 60 steps after 2.5 at the start, accuracy 0.100 at chance"
    )
    learner = Watch(TEN)
    assert look(learner, spike, CHANCE) == look(learner, rising(2.4, 2.2), CHANCE + 3) == ""
    assert look(Watch(TEN, 2.5), rising(2.4, 2.45), CHANCE) == ""  # it never rose


def test_one_wild_step_is_no_divergence():
    losses = np.full(WINDOW, 2.4)
    losses[[0, 40]] = 2.5, 1e9
    assert look(Watch(TEN), losses, CHANCE) == ""


def test_a_head_that_began_well_is_measured_by_chance():
    """A loss between that of its start and that of guessing, ln 10 = 2.303, is no divergence."""
    watch = Watch(TEN)
    assert look(watch, rising(1.0, 3.0), CHANCE) == ""
    assert look(watch, rising(2.4, 3.0), CHANCE) != ""


def test_chance_is_the_largest_class():
    """Nine of ten are of one class: 0.9 is chance, and its loss 0.325."""
    labels = np.repeat([0, 1], [900, 100])
    assert look(Watch(labels, 0.3), rising(0.4, 3.0), np.full(WINDOW, 0.9 * 32)) != ""
    assert look(Watch(labels, 0.3), rising(0.4, 3.0), np.full(WINDOW, 0.95 * 32)) == ""


@pytest.mark.parametrize("seed", range(20))
def test_no_run_of_logistic_regression_that_gets_better_is_ended(seed):
    """Plain gradient descent on ten noisy classes at rates from far too small to far too large, 300 steps: what ends
    above 0.15 was never said to have diverged."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 1, (10, 20))
    x = centres[TEN] + rng.normal(0, 2, (len(TEN), 20))
    for rate in (1e-4, 1e-2, 1, 30, 1000):
        weights, watch, said, losses, hits = rng.normal(0, 1, (20, 10)), Watch(TEN), "", [], []
        for _ in range(300):
            rows = rng.integers(0, len(TEN), 32)
            logits = x[rows] @ weights
            logits -= logits.max(axis=1, keepdims=True)
            shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            losses.append(-np.log(np.maximum(shares[np.arange(32), TEN[rows]], 1e-30)).mean())
            hits.append((logits.argmax(axis=1) == TEN[rows]).sum())
            weights -= rate * x[rows].T @ (shares - np.eye(10)[TEN[rows]]) / 32
            said = said or watch.step(losses[-1], hits[-1], 32)
        assert not said or np.mean(hits[-WINDOW:]) / 32 < 0.15, (rate, said)
