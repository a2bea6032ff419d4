"""Which models of several studies differ on the test pictures, and what is said of it."""

import dataclasses

import numpy as np
import pytest

from studies.comparison import rows
from studies.contest import contest, missing, score, tally, verdicts
from studies.difference import compare_all, graded, holm, pool_seeds
from studies.finals import Guesses
from tests.studies.test_comparison import studied, tested, three  # noqa: F401  (fixtures)


@pytest.fixture
def labels():
    return np.arange(2000) % 4


def shares(labels, *accuracies):
    """Probabilities of a run for each accuracy; which pictures are right is drawn, how many is exact."""
    rng = np.random.default_rng(round(1000 * sum(accuracies)))
    found = []
    for accuracy in accuracies:
        places = rng.permutation(len(labels))
        guesses = np.where(places < accuracy * len(labels), labels, (labels + 1) % 4)
        found.append(np.eye(4)[guesses])
    return found


@pytest.fixture
def evaluated(three, tested, labels):  # noqa: F811
    """The frozen, the customised and the scratch model of a; nothing of b."""
    first, other, scratch = three
    candidates = [record.candidate for record in first.records]
    return [
        tested(first, labels, baseline=(candidates[1], shares(labels, 0.70, 0.71)),
               t3=(candidates[3], shares(labels, 0.80, 0.81))),
        other,
        tested(scratch, labels, t1=(scratch.records[1].candidate, shares(labels, 0.795, 0.80))),
    ]  # fmt: skip


def test_every_two_rows_across_studies(evaluated):
    table = rows(evaluated)
    found = contest(evaluated, table)
    assert [table[place].name for place in found.order] == ["a customised", "a from scratch", "a frozen"]
    runs = [[one for key, one in evaluated[study].guesses.items() if key[0] == label]
            for study, label in ((0, "3"), (2, "1"), (0, "baseline"))]  # fmt: skip
    models = [graded(np.stack([one.right for one in own])) for own in runs]
    every = compare_all(models, pool_seeds(models))
    assert [pair.difference for pair in found.pairs] == [every[0, 1], every[0, 2], every[1, 2]]
    corrected = [pair.difference.p_adjusted for pair in found.pairs]
    assert corrected == holm([pair.difference.p for pair in found.pairs])
    assert tally(found.pairs) == "Of the 3 differences between the models 2 are significant."
    said = verdicts(table, found)
    assert [sentence.split(":")[0].split(" by ")[0] for sentence in said] == [
        "a from scratch is not distinguishable from a customised",
        "a frozen is worse than a customised",
    ]
    lost = next(pair.difference for pair in found.pairs if table[pair.second].name == "a frozen")
    size = f"by {100 * lost.difference:.1f} points ({100 * lost.low:.1f} to {100 * lost.high:.1f})."
    assert said[1].endswith(size)


def test_macro_scores_have_intervals(evaluated):
    table = rows(evaluated)
    found = contest(evaluated, table)
    for place, row in enumerate(table):
        for name in ("macro_precision", "macro_recall", "macro_f1"):
            value = score(row, place, found, name)
            if row.final is None:
                assert value is None
            else:
                mean, low, high = value
                assert mean == pytest.approx(np.mean([getattr(run.scores, name) for run in row.final.runs]))
                assert 0.6 < low < mean < high < 0.9


def test_what_is_missing_is_said_with_what_makes_it(evaluated):
    table = rows(evaluated)
    found = contest(evaluated, table)
    assert missing(evaluated, table, found) == (
        "b customised has no test results yet: `python -m hpo.evaluate b-w --trials 0 --seeds 2` makes them.",
    )
    few = [dataclasses.replace(evaluated[0], finals=[m for m in evaluated[0].finals if m.label != "3"]), *evaluated[1:]]
    table = rows(few)
    assert missing(few, table, contest(few, table))[0] == (
        "a customised has no test results yet: `python -m hpo.evaluate a-w --trials 3 --seeds 2` makes them."
    )


def test_predictions_of_other_pictures_are_compared_with_nothing(evaluated):
    odd = {key: Guesses(one.labels[::-1], one.predicted) for key, one in evaluated[2].guesses.items()}
    studies = [*evaluated[:2], dataclasses.replace(evaluated[2], guesses=odd)]
    table = rows(studies)
    found = contest(studies, table)
    assert [table[place].name for place in found.order] == ["a customised", "a frozen"]
    assert missing(studies, table, found)[1] == (
        "a from scratch cannot be compared on the test pictures: its predictions are missing, damaged, or of other "
        "pictures."
    )


def test_one_run_of_each_says_nothing_of_seeds(three, tested, labels):  # noqa: F811
    first, _, scratch = three
    studies = [
        tested(first, labels, t3=(first.records[3].candidate, shares(labels, 0.9))),
        tested(scratch, labels, t1=(scratch.records[1].candidate, shares(labels, 0.5))),
    ]
    table = rows(studies)
    found = contest(studies, table)
    assert tally(found.pairs) == (
        "With one training run of each model there are too few seeds to say which differences are significant."
    )
    (said,) = verdicts(table, found)
    assert said.endswith("(one run of each, so only the pictures vary: too few seeds to say which is better).")


def test_tallies(evaluated):
    every = contest(evaluated, rows(evaluated)).pairs
    alike, differ = [p for p in every if not p.difference.differs], [p for p in every if p.difference.differs]
    assert tally([]) == ""
    assert tally(alike) == "The difference between the two models is not significant."
    assert tally(differ[:1]) == "The difference between the two models is significant."
    assert tally(differ) == "All 2 differences between the models are significant."
    assert tally([alike[0], alike[0]]) == "None of the 2 differences between the models is significant."
    assert tally([differ[0], alike[0]]) == "Of the 2 differences between the models 1 is significant."


def test_nothing_to_compare(three):  # noqa: F811
    table = rows(three)
    found = contest(three, table)
    assert (found.order, found.pairs, verdicts(table, found)) == ((), (), ())
