"""The five sentences, word for word."""

import dataclasses

import numpy as np
import pytest

from models.training.recipe import pack
from studies.difference import Difference
from studies.finals import summarise
from studies.records import State, TrialRecord
from studies.report.summary import summary


def test_before_the_evaluation(make_material, curved):
    best, beside, recommended, effort, certainty = summary(make_material(curved))
    assert best == (
        "Of 3 fully trained candidates, trial 2 (32 px, top 2 stages free, head 128, dropout 0.25, 1.0e-03 cosine) is "
        "the most accurate in the search: it classifies 90.0 % of the 50 validation pictures correctly."
    )
    assert beside == (
        "It gains 30.0 percentage points of validation accuracy against the pretrained baseline (trial 0, a linear "
        "head on the frozen network at 16 px), at 4.0 times the FLOPs and 4.0 times the latency: it needs 40 MFLOPs "
        "and 4 ms for one picture and has 318,000 weights."
    )
    assert recommended == (
        "Of the 3 candidates on the Pareto front, trial 1 is recommended: 85.0 % validation accuracy at 1.5 ms and 12 "
        "MFLOPs; it is the cheapest that is within one standard error of the most accurate, trial 2 (5.0 percentage "
        "points below it, standard error 6.6 percentage points; which pictures each has right is not known, so they "
        "count as different ones), at 0.30 times its FLOPs and 0.38 times its latency."
    )
    assert effort == (
        "The search took 18 s of work for 5 trials on test device; stopping 1 early and not repeating 1 duplicate "
        "saved about 9.0 s of training, an estimated 33.3 % of what training all of them to the end would have taken."
    )
    assert certainty.startswith("With 50 validation pictures, the best accuracy lies between 78.6 % and")
    assert "1 other candidate is within that" in certainty
    assert "`python -m hpo.evaluate custom_cnn-digits`" in certainty


def test_after_the_evaluation(evaluated):
    best, beside, recommended, _, certainty = summary(evaluated())
    assert "pictures correctly, and after retraining 90.0 % of 30 test pictures (95 % interval" in best
    assert best.endswith(", 2 training runs).")
    assert beside.startswith(
        "On the test pictures it gains 23.3 points (95 % interval 7.2 to 39.4) against the pretrained baseline "
        "(trial 0, a linear head on the frozen network at 16 px), over 2 training runs of each, at 4.0 times the FLOPs"
    )
    assert "85.0 % validation accuracy (86.7 % on the test pictures) at 1.5 ms" in recommended
    assert certainty == (
        "Of the 3 evaluated models, trial 2 is the most accurate on the test pictures; beside it, with 95 % intervals, "
        "worse: the baseline by 23.3 points (7.2 to 39.4); not distinguishable: trial 1 at -3.3 points (-12.2 to "
        "+5.5); accuracies in the search were 2.8 percentage points lower on average, which is a mixture: the best of "
        "many was chosen there, and final models are trained on the validation pictures too."
    )


def with_finals(evaluated, finals):
    return summary(dataclasses.replace(evaluated(), finals=finals))


def test_where_the_baseline_is_not_distinguishable(evaluated, curved, make_finals):
    _, beside, _, _, certainty = with_finals(evaluated, make_finals(curved[:3], (26, 26, 27))[0])
    assert "not distinguishable: the baseline at -3.3 points (-12.2 to +5.5) and trial 1 at -3.3 points" in certainty
    assert "worse:" not in certainty
    assert beside.startswith(
        "On the test pictures it is not distinguishable from the pretrained baseline (trial 0, a linear head on the "
        "frozen network at 16 px): a difference of +3.3 points (95 % interval -5.5 to +12.2) over 2 training runs"
    )


def test_one_run_of_each(evaluated, curved, make_finals):
    _, runs, _ = make_finals(curved[:3], (20, 26, 27))
    first = [run for run in runs if run.seed == 0]
    answers = {(run.label, 0): np.arange(30) < round(30 * run.scores.accuracy) for run in first}
    best, beside, _, _, certainty = with_finals(evaluated, summarise(first, {}, answers))
    assert best.endswith(", one training run: only pictures vary).")
    assert "with one training run of each, it is at +23.3 points (95 % interval +" in beside
    assert "only the pictures vary in that, which is too few seeds to say" in beside
    assert "one run of each, so too few seeds to say, as only the pictures vary: trial 1 at -3.3 points" in certainty


def test_without_predictions(evaluated, curved, make_finals):
    _, runs, _ = make_finals(curved[:3], (20, 26, 27))
    _, beside, _, _, certainty = with_finals(evaluated, summarise(runs, {}))
    assert beside.startswith("It gains 23.3 percentage points of test accuracy against the pretrained baseline")
    assert "whether chance explains that cannot be said, since predictions are missing, at 4.0 times" in beside
    assert certainty.endswith("not to be said, since predictions are missing: trial 1 and the baseline.")


def test_one_evaluated_model(evaluated, curved, make_finals):
    certainty = with_finals(evaluated, make_finals(curved[2:3], (27,))[0])[4]
    assert certainty.startswith("Only trial 2 was evaluated; accuracies in the search were 0.0 percentage points")


def test_only_failures_say_why(make_material):
    records = [TrialRecord(n, State.FAILED, None, reason="out of memory") for n in range(2)]
    found = summary(make_material([*records, TrialRecord(2, State.FAILED, None, reason="other")]))
    assert found == (
        "None of the 3 trials of this study completed (3 failed): there is no model to compare.",
        "The most frequent reason, in 2 trials: out of memory.",
    )


def test_nothing_has_ended(make_material):
    (only,) = summary(make_material([TrialRecord(0, State.RUNNING, None)]))
    assert only == "No trial of this study has ended yet, so there are no results to report."


def test_one_trial_is_all(make_material, curved):
    best, beside, recommended, effort, certainty = summary(make_material(curved[:1]))
    assert best.startswith("Trial 0 (16 px, frozen, no hidden layer, dropout 0.20, 3.0e-03 cosine) is the only fully")
    assert beside.startswith("It is the pretrained baseline itself")
    assert recommended == "Trial 0 is recommended: no other fully trained candidate is better in any objective."
    assert effort.endswith("; no trial was stopped early.")
    assert "no other candidate is within that" in certainty


def test_ties(make_material, make_record):
    found = summary(make_material([make_record(number, 0.7, 1.0, 10) for number in range(3)]))
    assert found[2].startswith("Of the 3 candidates on the Pareto front, trial 0 is recommended")
    assert found[2].endswith("; it is the most accurate, and no cheaper one is within one standard error of it.")
    assert "2 other candidates are within that" in found[4]


def answering(record, wrong, shift=0):
    """Of 50 pictures so many are wrong, from the one with the number `shift` on."""
    right = ~((np.arange(50) >= shift) & (np.arange(50) < shift + wrong))
    return dataclasses.replace(record, val_right=pack(right), val_accuracy=float(right.mean()))


def recommended(make_material, records, rule, **changes):
    return summary(make_material(records, asked_rule=rule, **changes))[2]


@pytest.mark.parametrize(
    ("rule", "shift", "words"),
    [
        ("one-se", 0, "it is the most accurate, and no cheaper one is within one standard error of it."),
        (
            "one-se",
            20,
            "it is the cheapest that is within one standard error of the most accurate, trial 2 (2.0 percentage "
            "points below it, standard error 6.6 percentage points), at 0.30 times its FLOPs and 0.38 times its "
            "latency.",
        ),
        (
            "best",
            0,
            "it is the cheapest that cannot be told apart from the most accurate, trial 2 (2.0 percentage points below "
            "it, standard error 2.0 percentage points), at 0.30 times its FLOPs and 0.38 times its latency.",
        ),
        (
            "knee",
            0,
            "it is the knee of the front; the most accurate, trial 2, is 2.0 percentage points more accurate, at 0.30 "
            "times its FLOPs and 0.38 times its latency.",
        ),
    ],
)
def test_why_it_is_recommended(make_material, curved, rule, shift, words):
    """Trial 2 has five pictures wrong; trial 1 these and another one, or six others."""
    probe, near, best = curved[:3]
    records = [dataclasses.replace(probe, val_accuracy=0.6), answering(near, 6, shift), answering(best, 5)]
    assert recommended(make_material, records, rule).endswith(words)


def test_within_a_budget_it_may_be_the_most_accurate_too(make_material, curved):
    """Trial 1 has 30 pictures wrong, among them the five of trial 2."""
    probe, near, best = curved[:3]
    records = [dataclasses.replace(probe, val_accuracy=0.3), answering(near, 30), answering(best, 5)]
    words = "it is the most accurate, and every cheaper one can be told apart from it."
    assert recommended(make_material, records, "best").endswith(words)


def test_what_the_baseline_beats_is_not_recommended(make_material, curved):
    """The baseline is on the front and in between; six pictures wrong, which the cheaper one has too, and another."""
    probe, near, best = curved[:3]
    costs = near.measurement, probe.measurement
    cheap = dataclasses.replace(answering(near, 7), measurement=costs[1])
    between = dataclasses.replace(answering(probe, 6), measurement=costs[0])
    text = recommended(make_material, [between, cheap, answering(best, 5)], "best")
    assert "trial 0 is recommended" in text
    assert "cannot be told apart from the most accurate, trial 2, and is not less accurate than the baseline" in text


def difference(points, p, freedom=4):
    return Difference(points / 100, (points - 1) / 100, (points + 1) / 100, p, p, (3, 3), 500, freedom)


@pytest.mark.parametrize(
    ("to_baseline", "to_best", "rule", "words"),
    [
        (
            difference(-4.3, 0.001),
            difference(-9.0, 0.5),
            "one-se",
            " The test results contradict that: it is worse than the pretrained baseline by 4.3 points (3.3 to 5.3).",
        ),
        (
            difference(2.0, 0.001),
            difference(-3.0, 0.01),
            "best",
            " The test results contradict that: it is worse than the most accurate one evaluated by 3.0 points (2.0 to "
            "4.0).",
        ),
        (difference(2.0, 0.001), difference(-3.0, 0.01), "knee", " The test results do not contradict that."),
        (difference(2.0, 0.5), difference(-3.0, 0.2), "one-se", " The test results do not contradict that."),
        (
            difference(2.0, 0.5, 0),
            difference(-3.0, 0.001, 0),
            "one-se",
            " There are too few seeds to say whether the test results contradict that.",
        ),
        (
            None,
            None,
            "one-se",
            " Whether the test results contradict that cannot be said, since predictions are missing.",
        ),
    ],
)
def test_the_recommendation_is_looked_at_again_with_the_test_results(evaluated, to_baseline, to_best, rule, words):
    material = dataclasses.replace(evaluated(), asked_rule=rule)
    finals = [
        dataclasses.replace(model, best=False, to_baseline=to_baseline, to_best=to_best) for model in material.finals
    ]
    assert summary(dataclasses.replace(material, finals=finals))[2].endswith(words)


def test_nothing_is_looked_at_again_where_nothing_stands_beside_it(evaluated):
    material = evaluated()
    alone = [model for model in material.finals if model.label == "1"]
    text = summary(dataclasses.replace(material, finals=alone))[2]
    assert "trial 1 is recommended" in text and "contradict" not in text


def test_the_only_member_of_a_front_is_looked_at_again_too(evaluated, curved):
    """More accurate in the search than the baseline, at its cost, and worse on the test pictures."""
    best = dataclasses.replace(curved[2], measurement=curved[0].measurement)
    material = evaluated()
    finals = [
        dataclasses.replace(model, best=False, to_baseline=difference(-26.0, 0.001))
        for model in material.finals
        if model.label in ("2", "baseline")
    ]
    text = summary(dataclasses.replace(material, records=[curved[0], best], finals=finals))[2]
    assert text == (
        "Trial 2 is recommended: no other fully trained candidate is better in any objective. The test results "
        "contradict that: it is worse than the pretrained baseline by 26.0 points (25.0 to 27.0)."
    )
