"""Early stopping: what the rules promise, for any trials, and what they say in examples worked out by hand."""

import dataclasses

import hypothesis
import pytest
from hypothesis import strategies as st

from hpo.search.stopping import Judge, Reached, decide, moasha_order, reached_at
from studies.records import State, TrialRecord
from tests import made

# Few different values, so that ties and equal trials are common.
levels = st.tuples(st.integers(0, 6), st.integers(1, 4), st.integers(1, 4))
factors = st.integers(2, 5)
crowds = st.lists(levels, min_size=2, max_size=16).map(
    lambda rows: [Reached(n, a / 8, float(ms), 1e6 * mf) for n, (a, ms, mf) in enumerate(rows)]
)


def dominates(one, other):
    costs = one.latency_ms <= other.latency_ms and one.flops <= other.flops
    equal = (one.val_accuracy, one.latency_ms, one.flops) == (other.val_accuracy, other.latency_ms, other.flops)
    return costs and one.val_accuracy >= other.val_accuracy and not equal


def no_dearer(one, other):
    return one.latency_ms <= other.latency_ms and one.flops <= other.flops


def each(crowd):
    """Every trial of the crowd with the rest of it."""
    return [(own, [one for one in crowd if one is not own]) for own in crowd]


def ladder(accuracies, latency_ms=1.0, flops=1e6):
    return [Reached(n, accuracy, latency_ms, flops) for n, accuracy in enumerate(accuracies)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda own: decide("dominance", own, [], 1), "factor must be at least 2. Received: 1"),
        (lambda own: decide("asha", own, [], 3), "stopping must be one of dominance, moasha, none. Received: 'asha'"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        call(Reached(0, 0.5, 1.0, 1e6))


# dominance


def test_the_lower_two_thirds_of_equally_dear_trials_stop():
    crowd = ladder([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    assert [own.number for own, others in each(crowd) if not decide("dominance", own, others, 3).stop] == [5, 6]


def test_what_a_stopped_trial_is_told():
    others = ladder([0.42, 0.43, 0.44, 0.45, 0.46, 0.47, 0.1, 0.2])
    decision = decide("dominance", Reached(8, 0.412, 1.0, 1e6), others, 3)
    assert decision.stop
    expected = "val_accuracy 0.412 is 7th of 9 that are no slower and no costlier; the best 3 go on"
    assert decision.why == expected


@pytest.mark.parametrize(
    ("better", "place"), [(0, "1st"), (1, "2nd"), (2, "3rd"), (3, "4th"), (10, "11th"), (20, "21st")]
)
def test_places_are_in_english(better, place):
    others = ladder([0.9] * better + [0.1] * 3)
    assert f"is {place} of {better + 4} " in decide("dominance", Reached(99, 0.5, 1.0, 1e6), others, 2).why


def test_too_few_to_compare_go_on():
    worst = Reached(2, 0.0, 1.0, 1e6)
    decision = decide("dominance", worst, ladder([0.8]), 3)
    assert not decision.stop
    assert decision.why == "2 that are no slower and no costlier; a decision needs 3"
    assert decide("dominance", worst, ladder([0.8, 0.9]), 3).stop


def test_ties_favour_own():
    own = Reached(9, 0.5, 1.0, 1e6)
    assert not decide("dominance", own, ladder([0.5, 0.5, 0.1]), 4).stop
    assert decide("dominance", own, ladder([0.5, 0.500001, 0.1]), 4).stop


@pytest.mark.parametrize("dearer", [{"latency_ms": 2.0}, {"flops": 2e6}])
def test_one_dearer_objective_is_enough_not_to_be_compared(dearer):
    own, others = Reached(9, 0.1, 1.0, 1e6), ladder([0.8, 0.9, 0.95])
    assert decide("dominance", own, others, 3).stop
    dear = [dataclasses.replace(one, **dearer) for one in others]
    assert not decide("dominance", own, dear, 3).stop


@hypothesis.given(crowds, factors)
def test_what_nothing_dominates_is_never_stopped(crowd, factor):
    for own, others in each(crowd):
        if decide("dominance", own, others, factor).stop:
            assert any(dominates(one, own) for one in others)


@hypothesis.given(crowds, crowds, factors)
def test_dearer_trials_change_nothing(crowd, more, factor):
    for own, others in each(crowd):
        dear = [dataclasses.replace(one, number=100 + one.number) for one in more if not no_dearer(one, own)]
        assert decide("dominance", own, others + dear, factor) == decide("dominance", own, others, factor)


@hypothesis.given(crowds, factors)
def test_the_cheapest_are_never_stopped(crowd, factor):
    for own, others in each(crowd):
        if not any(no_dearer(one, own) for one in others):
            for accuracy in (0.0, own.val_accuracy):
                worse = dataclasses.replace(own, val_accuracy=accuracy)
                assert not decide("dominance", worse, others, factor).stop


@hypothesis.given(crowds, factors, factors)
def test_a_larger_factor_stops_what_a_smaller_one_stops(crowd, smaller, larger):
    """As long as there are enough to compare: with fewer than `larger` of them nothing is decided."""
    smaller, larger = sorted((smaller, larger))
    for own, others in each(crowd):
        n = 1 + sum(no_dearer(one, own) for one in others)
        if n >= larger and decide("dominance", own, others, smaller).stop:
            assert decide("dominance", own, others, larger).stop


def test_a_larger_factor_may_have_too_few_to_decide():
    own, others = Reached(9, 0.1, 1.0, 1e6), ladder([0.8])
    assert decide("dominance", own, others, 2).stop
    assert not decide("dominance", own, others, 3).stop


@hypothesis.given(crowds, factors, st.integers(1, 8))
def test_more_accuracy_never_stops_what_went_on(crowd, factor, gain):
    for own, others in each(crowd):
        better = dataclasses.replace(own, val_accuracy=own.val_accuracy + gain / 8)
        if decide("dominance", better, others, factor).stop:
            assert decide("dominance", own, others, factor).stop


# moasha


def test_the_order_of_fronts_comes_before_the_order_inside_them():
    crowd = [
        Reached(0, 0.4, 2.0, 2e6),  # dominated by 1 and, in front 2, by 2
        Reached(1, 0.6, 1.0, 1e6),
        Reached(2, 0.5, 2.0, 2e6),  # dominated by 1
        Reached(3, 0.7, 3.0, 2e6),
    ]
    assert moasha_order(crowd) == [3, 1, 2, 0]


def test_inside_a_front_the_farthest_from_those_taken_is_next():
    rows = [(0.9, 11.0), (0.85, 9.0), (0.45, 2.0), (0.4, 1.0)]  # scaled: (1, 1), (0.9, 0.8), (0.1, 0.1), (0, 0)
    crowd = [Reached(n, accuracy, latency_ms, 1e6) for n, (accuracy, latency_ms) in enumerate(rows)]
    # From the most accurate, 0, the farthest is 3. Now 2 is 0.14 from 3, and 1 is 0.22 from 0.
    assert moasha_order(crowd) == [0, 3, 1, 2]


def test_ties_go_to_the_lower_number():
    crowd = [Reached(5, 0.5, 1.0, 1e6), Reached(3, 0.5, 1.0, 1e6), Reached(4, 0.5, 1.0, 1e6)]
    assert moasha_order(crowd) == [1, 2, 0]


def test_a_front_larger_than_what_goes_on_loses_members():
    """What the rule dominance never does."""
    crowd = [Reached(n, 0.3 + 0.1 * n, 1.0 + n, 1e6 * (1 + n)) for n in range(6)]
    going = {
        rule: [o.number for o, rest in each(crowd) if not decide(rule, o, rest, 3).stop]
        for rule in ("moasha", "dominance")
    }
    assert going == {"moasha": [0, 5], "dominance": [0, 1, 2, 3, 4, 5]}


def test_moasha_decides_nothing_before_there_are_enough():
    own, better = Reached(9, 0.1, 1.0, 1e6), ladder([0.8, 0.9])
    assert not decide("moasha", own, better[:1], 3).stop
    decision = decide("moasha", own, better, 3)
    assert (decision.stop, decision.why) == (
        True,
        "3rd by non-dominated sorting and epsilon-net of 3 at this rung; the best one goes on",
    )


@hypothesis.given(crowds, factors)
def test_just_one_in_factor_of_a_full_rung_goes_on_under_moasha(crowd, factor):
    going = [own for own, others in each(crowd) if not decide("moasha", own, others, factor).stop]
    assert len(going) == (len(crowd) // factor if len(crowd) >= factor else len(crowd))


@hypothesis.given(crowds)
def test_moasha_never_puts_a_trial_before_one_that_dominates_it(crowd):
    order = moasha_order(crowd)
    assert sorted(order) == list(range(len(crowd)))
    for place, later in enumerate(order):
        assert not any(dominates(crowd[later], crowd[earlier]) for earlier in order[:place])


@hypothesis.given(crowds)
def test_the_units_of_the_objectives_do_not_matter_to_moasha(crowd):
    scaled = [dataclasses.replace(one, latency_ms=one.latency_ms / 1024, flops=one.flops * 1024) for one in crowd]
    assert moasha_order(scaled) == moasha_order(crowd)


# all rules


@pytest.mark.parametrize("rule", ["dominance", "moasha"])
@hypothesis.given(data=st.data(), crowd=crowds, factor=factors)
def test_the_order_of_the_others_does_not_matter(rule, data, crowd, factor):
    own, *others = crowd
    shuffled = data.draw(st.permutations(others))
    assert decide(rule, own, shuffled, factor) == decide(rule, own, others, factor)


def test_without_a_rule_nothing_stops():
    assert not decide("none", Reached(9, 0.0, 9.0, 9e6), ladder([0.9] * 20), 2).stop


def record(number, state, accuracies, latency_ms=2.0, flops=30):
    cost = made.measurement(latency_ms, flops, unsure=0.25)
    return TrialRecord(
        number, State(state), None, measurement=cost, learning_curve=[{"val_accuracy": a} for a in accuracies]
    )


def test_what_was_reached_at_a_rung():
    records = [
        record(0, "complete", [0.5, 0.4, 0.9]),
        record(1, "running", [0.6, 0.7], latency_ms=3.0),
        record(2, "stopped", [0.3]),
        record(3, "failed", [0.2, 0.8], flops=10),
        record(4, "interrupted", [0.9, 0.9]),  # tried again, it would be counted twice
        record(5, "infeasible", []),
        TrialRecord(6, State.FAILED, None, learning_curve=[{"val_accuracy": 0.9}]),  # never measured
        TrialRecord(7, State.WAITING, None),
    ]
    assert reached_at(records, 1) == [
        Reached(0, 0.5, 2.0, 30.0, 0.25),
        Reached(1, 0.6, 3.0, 30.0, 0.25),
        Reached(2, 0.3, 2.0, 30.0, 0.25),
        Reached(3, 0.2, 2.0, 10.0, 0.25),
    ]
    assert [(one.number, one.val_accuracy) for one in reached_at(records, 2)] == [(0, 0.5), (1, 0.7), (3, 0.8)]
    assert [(one.number, one.val_accuracy) for one in reached_at(records, 3)] == [(0, 0.9)]


def test_latencies_within_their_uncertainty_are_equal():
    """0.3 and 0.4 make 0.5 ms together: who is that much slower is still a rival, who is slower by more is none."""
    own = Reached(0, 0.5, 2.0, 30.0, 0.3)
    for slower, rivals in ((2.5, True), (2.51, False)):
        decision = decide("dominance", own, [Reached(1, 0.9, slower, 30.0, 0.4)], factor=2)
        assert decision.stop == rivals
    assert not decide("dominance", own, [Reached(1, 0.9, 2.0, 31.0, 0.4)], factor=2).stop  # but costlier


def test_moasha_sorts_by_latencies_that_differ():
    trials = [Reached(0, 0.1, 2.0, 90.0, 0.3), Reached(1, 0.6, 2.4, 30.0, 0.4), Reached(2, 0.7, 3.4, 60.0, 0.1)]
    assert moasha_order(trials) == [2, 1, 0]  # 1, which is no slower, dominates 0
    exact = [dataclasses.replace(trial, uncertainty_ms=0.0) for trial in trials]
    assert moasha_order(exact) == [2, 0, 1]  # none dominates another: the farthest from 2 first


@pytest.mark.parametrize("rule", ["dominance", "moasha", "none"])
@pytest.mark.parametrize("accuracy", [0.2, 0.6])
def test_a_judge_in_a_worker_decides_as_the_search_does(rule, accuracy):
    """Of a trial in one go: at a rung it says what `decide` says, and nothing between rungs."""
    others = ladder([0.3, 0.5, 0.4], latency_ms=1.0, flops=2e6)
    judge = Judge(7, rule, 2, {2: others, 4: ()})
    cost = made.measurement(1.0, 2_000_000, unsure=0.1)
    decision = decide(rule, Reached(7, accuracy, 1.0, 2e6, 0.1), others, 2)
    assert judge(2, accuracy, cost) == (f"stopped at epoch 2: {decision.why}" if decision.stop else "")
    assert (rule != "none" and accuracy < 0.3) == decision.stop
    assert judge(3, accuracy, cost) == judge(4, accuracy, cost) == ""
