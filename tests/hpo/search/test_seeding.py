"""What a study begins with where there is a map."""

from dataclasses import replace

import optuna
import pytest

from hpo.config import make_config
from hpo.search.seeding import seeds
from hpo.search.space import make_space, parameters, suggest
from tests import made

STAGES = (1, 2, 2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 5, 5, 5, 5, 5)
SPACE = make_space(make_config({"backbone": "mobilenet_v2_0.35"}), STAGES, (32, 64))
MAP = made.network_map(
    made.probe(1, 32, 0.2), made.probe(12, 32, 0.505), made.probe(13, 32, 0.51), made.probe(0, 32, 0.4),
    made.probe(14, 64, 0.6), made.probe(0, 64, 0.7),
)  # fmt: skip


def ways(found):
    return [(one.resolution, one.keep_blocks, one.unfreeze_depth) for one in found]


def test_two_heads_a_fine_tune_for_each_side_and_the_cheapest_network():
    found = seeds(MAP, SPACE)
    assert ways(found) == [
        (32, 13, 0),  # the most accurate probe of the smallest side
        (32, 12, 2),  # cannot be told from 13 blocks on 1,000 pictures
        (32, 1, 1),  # the cheapest, and all of its stages
        (64, 0, 2),
        (64, 0, 0),  # the most accurate probe of all
    ]
    assert {one.head_width for one in found} == {0}
    assert {one.dropout for one in found if one.unfreeze_depth == 0} == {0.0}


def test_a_map_that_is_under_way_says_what_it_says_when_it_is_complete():
    one = replace(MAP, probes=tuple(probe for probe in MAP.probes if probe.resolution == 32))
    assert not one.complete
    assert ways(seeds(one, SPACE)) == [(32, 13, 0), (32, 12, 2), (32, 1, 1)] == ways(seeds(MAP, SPACE))[:3]
    assert seeds(replace(MAP, probes=()), SPACE) == []


def test_the_more_is_right_already_the_smaller_the_rate():
    found = seeds(made.network_map(made.probe(12, 64, 0.9), made.probe(0, 64, 0.96)), SPACE)
    rates = {(one.keep_blocks, one.unfreeze_depth): one.learning_rate for one in found}
    assert rates == pytest.approx({(0, 0): 3e-3, (0, 2): 1.4e-4, (12, 2): 3.5e-4})
    ended = seeds(made.network_map(made.probe(12, 64, 0.9), made.probe(0, 64, 0.9)), SPACE)
    assert {(one.keep_blocks, one.unfreeze_depth): one.learning_rate for one in ended} == pytest.approx(
        {(12, 0): 3e-3, (12, 2): 3.5e-4, (0, 2): 3e-4}
    )


def test_no_more_stages_than_there_are():
    found = seeds(made.network_map(made.probe(1, 32, 0.5)), SPACE)
    assert [(one.keep_blocks, one.unfreeze_depth) for one in found] == [(1, 0), (1, 1), (0, 2)]


def test_they_can_be_drawn_from_the_space():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found = seeds(MAP, SPACE)
    for candidate in found:
        study.enqueue_trial(parameters(candidate, SPACE))
    assert [suggest(study.ask(), SPACE) for _ in found] == list(found)


def test_what_is_not_allowed_is_left_out_before_the_choice():
    found = seeds(MAP, SPACE, lambda candidate: candidate.resolution == 32 and candidate.keep_blocks == 1)
    assert [(one.resolution, one.keep_blocks, one.unfreeze_depth) for one in found] == [(32, 1, 0), (32, 1, 1)]
    assert seeds(MAP, SPACE, lambda candidate: False) == []
