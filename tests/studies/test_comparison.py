"""Studies side by side: which trial stands for what, and what may be compared."""

import dataclasses

import pytest

from studies.comparison import (
    COMMON,
    CUSTOMISED,
    FROZEN,
    SCRATCH,
    NotComparable,
    Studied,
    check_comparable,
    joint_front,
    rows,
)
from studies.finals import FinalRun, Guesses, summarise
from studies.paths import BASELINE
from studies.records import State
from studies.scores import score
from tests import made

MARK = dict.fromkeys(COMMON, "same") | {"latency_protocol": 1}


@pytest.fixture
def studied(make_record):
    """A study from (accuracy, latency, MFLOPs, unfreeze depth, head width) for each trial."""

    def studied(backbone, weights, *trials, name=""):
        records = []
        for number, (accuracy, latency, mflops, depth, width) in enumerate(trials):
            state = State.COMPLETE if accuracy else State.STOPPED
            record = make_record(number, accuracy, latency, mflops, state, unsure=0.0)
            candidate = dataclasses.replace(record.candidate, backbone=backbone, unfreeze_depth=depth, head_width=width)
            records.append(dataclasses.replace(record, candidate=candidate))
        mark = made.fingerprint(**MARK, backbone=backbone, weights=weights)
        return Studied(name or f"{backbone}-{weights}", mark, records)

    return studied


@pytest.fixture
def tested():
    """A study with test results: for each label the candidate, and its probabilities (n, classes) in each run."""

    def tested(study, labels, **models):
        runs, guesses, answers = [], {}, {}
        for label, (candidate, shares) in models.items():
            label = label.removeprefix("t")
            for seed, probabilities in enumerate(shares):
                found = score(probabilities, labels)
                runs.append(
                    FinalRun("id", label, seed, candidate, 3, 150, [], found, None if seed else made.final_costs(),
                             2**20, {"prepare": 1.0, "train": 2.0 + seed, "measure": 50.0, "test": 1.0}, 100.0, {})
                )  # fmt: skip
                guesses[label, seed] = Guesses(labels, probabilities.argmax(1))
                answers[label, seed] = guesses[label, seed].right
        return dataclasses.replace(study, finals=summarise(runs, {}, answers), guesses=guesses)

    return tested


@pytest.fixture
def three(studied):
    return [
        studied("a", "w", (0.7, 1.0, 10, 0, 0), (0.75, 1.2, 12, 0, 0), (0.8, 2.0, 20, 1, 0), (0.8, 1.9, 20, 0, 128)),
        studied("b", "w", (0.9, 5.0, 50, 2, 0), (None, 1.0, 1, 0, 0)),
        studied("a", "none", (0.6, 3.0, 9, 4, 0), (0.65, 3.0, 30, 4, 0)),
    ]


def told(studies):
    return [(row.backbone, row.kind, row.record and row.record.number, row.on_front) for row in rows(studies)]


def test_a_row_for_each_kind_that_a_study_has(three):
    assert told(three) == [
        ("a", FROZEN, 1, True),
        ("a", CUSTOMISED, 3, True),  # of two equally accurate ones the faster
        ("a", SCRATCH, 1, False),
        ("b", CUSTOMISED, 0, True),  # its only frozen network was stopped
    ]
    assert [row.name for row in rows(three)] == ["a frozen", "a customised", "a from scratch", "b customised"]


def test_weights_of_a_file_are_called_by_its_name(studied):
    study = studied("a", "w", (0.7, 1.0, 10, 0, 0), (0.8, 2.0, 20, 1, 0))
    study = dataclasses.replace(study, options={"weights": "somewhere/mine.weights.h5"})
    assert [(row.kind, row.name) for row in rows([study])] == [
        ("mine.weights.h5, frozen", "a (mine.weights.h5) frozen"),
        ("mine.weights.h5, customised", "a (mine.weights.h5) customised"),
    ]


def test_two_studies_of_one_kind_have_a_row_each(studied):
    both = [studied("a", "none", (0.6, 3.0, 9, 4, 0), name=name) for name in ("short", "long")]
    assert [row.name for row in rows(both)] == ["a from scratch (short)", "a from scratch (long)"]


def test_of_equally_accurate_ones_the_member_of_the_joint_front(studied):
    """Its latency is equal, its FLOPs are fewer."""
    study = studied("a", "w", (0.9, 1.0, 30, 1, 0), (0.9, 1.02, 20, 1, 0))
    records = [
        dataclasses.replace(record, measurement=made.measurement(record.latency_ms, record.flops, 0.05))
        for record in study.records
    ]
    found = {row.kind: row for row in rows([dataclasses.replace(study, records=records)])}
    assert (found[CUSTOMISED].record.number, found[CUSTOMISED].on_front) == (1, True)


def test_what_was_evaluated_is_found_by_its_candidate(studied, tested, digits):
    labels, shares = digits
    study = studied("a", "w", (0.7, 1.0, 10, 0, 0), (0.8, 2.0, 20, 1, 0), (0.85, 2.0, 20, 2, 0))
    other = study.records[1].candidate
    study = tested(study, labels, baseline=(study.records[0].candidate, [shares(20)]), t1=(other, [shares(25)]))
    found = rows([study])
    assert [row.final and row.final.label for row in found] == [BASELINE, None]  # nothing stands in for trial 2
    assert found[0].costs == study.records[0].measurement


def test_a_baseline_that_only_the_evaluation_has(studied, tested, digits):
    labels, shares = digits
    study = studied("a", "w", (0.8, 2.0, 20, 1, 0))
    linear = dataclasses.replace(study.records[0].candidate, unfreeze_depth=0, head_width=0)
    (frozen, customised) = rows([tested(study, labels, baseline=(linear, [shares(20)]))])
    assert (frozen.kind, frozen.record, frozen.final.label, frozen.on_front) == (FROZEN, None, BASELINE, False)
    assert (frozen.candidate, frozen.costs) == (linear, made.final_costs())
    assert customised.final is None


def test_the_joint_front_is_that_of_all_trials(three):
    found = [(record.candidate.backbone, record.val_accuracy, record.latency_ms) for record in joint_front(three)]
    assert found == [("a", 0.7, 1.0), ("a", 0.75, 1.2), ("a", 0.8, 1.9), ("a", 0.6, 3.0), ("b", 0.9, 5.0)]


@pytest.mark.parametrize("name", COMMON)
def test_only_what_saw_the_same_pictures_on_the_same_device_is_compared(three, name):
    check_comparable(three)
    here, there = ("2", "1") if name == "latency_protocol" else ("else", "same")
    changed = dataclasses.replace(three[1].fingerprint, **{name: int(here) if here.isdigit() else here})
    other = dataclasses.replace(three[1], fingerprint=changed)
    with pytest.raises(NotComparable, match=rf"a-w and b-w cannot be compared.* {name} \({there} there, {here} here\)"):
        check_comparable([three[0], other])


def test_more_training_pictures_leave_the_validation_pictures_as_they_are(three):
    def other(**changes):
        changed = dataclasses.replace(three[1].fingerprint, split="other", train_size=200, **changes)
        return [three[0], dataclasses.replace(three[1], fingerprint=changed)]

    check_comparable(other())
    for changes in ({"seed": 8}, {"val_size": 51}):
        with pytest.raises(NotComparable, match="split"):
            check_comparable(other(**changes))
