"""What the planner is told of a candidate: the map's numbers, and what its head adds."""

import math

import optuna
import pytest

from hpo.config import make_config
from hpo.search import planning
from hpo.search.planner import Lesson
from hpo.search.planning import (
    LEAST_GAIN,
    LEAST_SECONDS,
    MADE_UP,
    MS_PER_MFLOP,
    STEP_SECONDS,
    Outlook,
    lessons,
    make_planner,
    usual_ways,
)
from hpo.search.seeding import usual_rate
from hpo.search.space import make_space, parameters, suggest
from models.candidate import Candidate
from studies import attributes
from tests import made

STAGES = (1, 2, 2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 5, 5, 5, 5, 5)
CONFIG = make_config({"backbone": "mobilenet_v2_0.35", "dataset": "cifar10"})
SPACE = make_space(CONFIG, STAGES, (32, 64))
MAP = made.network_map(
    made.probe(4, 32, 0.4), made.probe(12, 32, 0.6), made.probe(0, 32, 0.5),
    made.probe(4, 64, 0.5), made.probe(12, 64, 0.7), made.probe(0, 64, 0.8),
)  # fmt: skip


def candidate(**values):
    usual = {"unfreeze_depth": 0, "head_width": 0, "dropout": 0.2, "learning_rate": 3e-3, "lr_schedule": "cosine"}
    return Candidate(backbone="mobilenet_v2_0.35", **{"resolution": 32, **usual, **values})


def outlook(config=CONFIG, classes=10):
    return Outlook(MAP, SPACE, config, classes)


def test_a_place_of_the_map_has_its_numbers_and_one_between_lies_between():
    assert outlook().costs(candidate(keep_blocks=12)) == (1.2, 12e6)
    assert outlook().costs(candidate(resolution=64)) == (3.6, 36e6)
    place = outlook().place(candidate(keep_blocks=8))
    assert (place.val_accuracy, place.latency_ms, place.flops) == pytest.approx((0.5, 0.8, 8e6))


@pytest.mark.parametrize(("classes", "logits"), [(2, 1), (10, 10)])
def test_a_hidden_layer_costs_its_weights(classes, logits):
    """8 features: 2 (8 x 256 + 256 logits) FLOPs instead of 2 x 8 logits."""
    more = 2 * (8 * 256 + 256 * logits) - 2 * 8 * logits
    found = outlook(classes=classes).costs(candidate(keep_blocks=12, head_width=256))
    assert found == pytest.approx((1.2 + more / 1e6 * MS_PER_MFLOP, 12e6 + more))


@pytest.mark.parametrize("budget", [{"max_latency_ms": 1.0}, {"max_gflops": 0.01}])
def test_over_budget_is_not_looked_at(budget):
    here = outlook(CONFIG.model_copy(update=budget))
    assert here.look(parameters(candidate(keep_blocks=4), SPACE)) is not None
    assert here.look(parameters(candidate(keep_blocks=12), SPACE)) is None


def test_what_was_over_a_budget_when_it_was_measured_is_not_looked_at_again():
    one = candidate(keep_blocks=12)
    here = Outlook(MAP, SPACE, CONFIG, 10, {one.architecture_key()})
    assert here.look(parameters(one, SPACE)) is None
    assert here.look(parameters(candidate(keep_blocks=11), SPACE)) is not None


def test_a_latency_that_was_measured_counts_and_not_the_maps_estimate():
    one, wide = candidate(keep_blocks=12), candidate(keep_blocks=12, head_width=256)
    here = Outlook(MAP, SPACE, CONFIG, 10, measured={one.architecture_key(): 1.3})
    assert here.costs(one) == (1.3, 12e6)
    assert here.costs(candidate(keep_blocks=12, unfreeze_depth=2, learning_rate=1e-3)) == (1.3, 12e6)
    assert here.costs(wide) == outlook().costs(wide)


def test_what_an_estimate_leaves_open_is_within_a_latency_budget():
    """1.2 ms with an uncertainty of 1 %."""
    one, tight = candidate(keep_blocks=12), CONFIG.model_copy(update={"max_latency_ms": 1.19})
    low = MAP.probes[1].measurement.latency.low
    assert low < 1.19 < MAP.probes[1].latency_ms
    assert Outlook(MAP, SPACE, tight, 10).allows(one)
    assert not Outlook(MAP, SPACE, tight, 10, measured={one.architecture_key(): 1.2}).allows(one)
    assert not Outlook(MAP, SPACE, CONFIG.model_copy(update={"max_latency_ms": 0.99 * low}), 10).allows(one)


def test_a_trial_that_was_killed_while_it_was_asked_for_is_not_looked_at():
    params = parameters(candidate(), SPACE)
    assert outlook().look({name: params[name] for name in list(params)[:2]}) is None


def test_what_is_remembered_of_looks_is_what_a_look_finds(monkeypatch):
    """Also when a trial has measured its architecture since, and when it was forgotten."""
    monkeypatch.setattr(planning, "MOST_REMEMBERED", 3)
    looks, places = planning.Looks(), (4, 6, 8, 10, 12)
    asked = [parameters(candidate(keep_blocks=blocks), SPACE) for blocks in places] * 2
    key = candidate(keep_blocks=8).architecture_key()
    for measured in ({}, {key: 0.5}):
        kept = Outlook(MAP, SPACE, CONFIG, 10, measured=measured, looks=looks)
        anew = [Outlook(MAP, SPACE, CONFIG, 10, measured=measured).look(params) for params in asked]
        assert [kept.look(params) for params in asked] == anew
    assert anew[2].costs[0] == 0.5


def test_those_that_were_looked_at_last_are_remembered(monkeypatch):
    monkeypatch.setattr(planning, "MOST_REMEMBERED", 2)
    looks, asked = planning.Looks(), []
    for name in "ababcbca":
        looks.first(((name, 1),), lambda params: asked.append(params[0][0]))
    assert asked == ["a", "b", "c", "a"]


def test_a_view_is_of_what_would_be_suggested():
    """Of more stages than the network has where it ends all are meant."""
    params = parameters(candidate(keep_blocks=2, unfreeze_depth=2, learning_rate=1e-3), SPACE) | {"unfreeze_depth": 5}
    view = outlook().look(params)
    assert view.params == params | {"unfreeze_depth": 2}
    assert view.expected == pytest.approx(0.4 + MADE_UP * 0.2)  # of the nearest place, and to the best of the side
    study = optuna.create_study()
    study.enqueue_trial(view.params)
    assert suggest(study.ask(), SPACE) == candidate(keep_blocks=2, unfreeze_depth=2, learning_rate=1e-3)


def test_fine_tuning_is_believed_to_make_up_for_a_part_of_what_a_frozen_place_lacks():
    def expected(**values):
        return outlook().look(parameters(candidate(**values), SPACE)).expected

    assert (expected(keep_blocks=4), expected(keep_blocks=12)) == (0.4, 0.6)
    assert expected(keep_blocks=4, unfreeze_depth=1, learning_rate=1e-3) == pytest.approx(0.4 + MADE_UP * 0.2)
    assert expected(keep_blocks=12, unfreeze_depth=1, learning_rate=1e-3) == 0.6  # the best of its side
    assert expected(resolution=64, keep_blocks=4, unfreeze_depth=1, learning_rate=1e-3) == pytest.approx(
        0.5 + MADE_UP * 0.3
    )


def test_the_usual_rate_is_believed_in_most():
    assert usual_rate(candidate(), 0.5) == usual_rate(candidate(), 0.9) == 3e-3
    assert usual_rate(candidate(unfreeze_depth=2, keep_blocks=4), 0.5) == 1e-3
    assert usual_rate(candidate(unfreeze_depth=2), 0.5) == 3e-4
    # what is right already is changed but little
    assert usual_rate(candidate(unfreeze_depth=2, keep_blocks=4), 0.9) == pytest.approx(3.5e-4)
    assert usual_rate(candidate(unfreeze_depth=2), 0.94) == pytest.approx(2.1e-4)
    assert usual_rate(candidate(unfreeze_depth=2), 1.0) == 3e-5
    priors = [outlook().look(parameters(candidate(learning_rate=rate), SPACE)).prior for rate in (3e-3, 3e-4, 1e-4)]
    assert priors == pytest.approx([0, -2, -2 * math.log10(30) ** 2])


def test_every_place_can_be_trained_in_the_usual_ways():
    def at(one):
        return outlook().place(one).val_accuracy

    found = [suggest(optuna.trial.FixedTrial(dict(params)), SPACE) for params in usual_ways(MAP, SPACE)]
    assert {(one.resolution, one.keep_blocks) for one in found} == {
        (side, kept) for side in (32, 64) for kept in (4, 12, 0)
    }
    assert [one.unfreeze_depth for one in found if (one.resolution, one.keep_blocks) == (32, 4)] == [0, 1, 2, 3]
    assert all((one.head_width, one.learning_rate) == (0, usual_rate(one, at(one))) for one in found)


def test_a_trial_teaches_half_way_and_as_far_as_it_came():
    curve = [{"val_accuracy": accuracy} for accuracy in (0.3, 0.5, 0.4, 0.6)]

    def trial(epochs):
        return optuna.trial.create_trial(
            state=optuna.trial.TrialState.PRUNED, user_attrs={attributes.LEARNING_CURVE: curve[:epochs]}
        )

    assert lessons(trial(4), 4) == [Lesson(0.5, 0.5), Lesson(1.0, 0.6)]
    assert lessons(trial(3), 4) == [Lesson(0.5, 0.5), Lesson(0.75, 0.5)]
    assert lessons(trial(1), 4) == [Lesson(0.25, 0.3)]
    assert lessons(trial(0), 4) == []


def test_training_takes_what_is_trained():
    """Of 12 blocks the top stage is 7 to 12: 1.2 ms less the 0.6 below, three times, 4,000 pictures, 8 epochs.

    And 125 steps in each epoch, of six blocks.
    """
    here = outlook()
    assert here.seconds(candidate(keep_blocks=12)) == LEAST_SECONDS
    work = 8 * (3 * 0.6e-3 * 4000 + 125 * 6 * STEP_SECONDS)
    assert here.seconds(candidate(keep_blocks=12, unfreeze_depth=1)) == pytest.approx(LEAST_SECONDS + work)
    assert here.seconds(candidate(keep_blocks=12, unfreeze_depth=4)) == pytest.approx(LEAST_SECONDS + 2 * work)


def test_a_trial_has_to_be_better_by_more_than_luck():
    """The best place has 0.8 of 1,000 pictures; half a standard error of that."""
    assert outlook().standard_error == pytest.approx(math.sqrt(0.8 * 0.2 / 1000))
    planner = make_planner(outlook(), SPACE, 4, 0)
    assert planner.least == pytest.approx(LEAST_GAIN * outlook().standard_error)


def test_it_proposes_candidates_of_the_space_within_the_budget():
    config = CONFIG.model_copy(update={"max_gflops": 0.02})
    study = optuna.create_study(directions=["maximize", "minimize", "minimize"])
    here = Outlook(MAP, SPACE, config, 10)
    found = []
    for number in range(8):
        study.sampler = make_planner(here, SPACE, 4, number)
        trial = study.ask()
        found.append(suggest(trial, SPACE))
        trial.set_user_attr(attributes.LEARNING_CURVE, [{"val_accuracy": 0.5 + number / 100}] * 4)
        study.tell(trial, [0.5 + number / 100, *here.costs(found[-1])])
    assert len(set(found)) == 8
    assert all(here.allows(one) for one in found)
