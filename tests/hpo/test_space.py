"""The search space: what is suggested, what comes first, and which resolutions make sense."""

import optuna
import pytest

from hpo.space import Space, default_resolutions, first_candidates, make_space, parameters, suggest
from models.candidate import Candidate
from models.schedules import LR_SCHEDULES

SPACE = make_space("vgg19", 5, from_scratch=False, resolutions=(32, 64, 128))
SCRATCH = make_space("vgg19", 5, from_scratch=True, resolutions=(32,))


def drawn(space, n=300):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [suggest(study.ask(), space) for _ in range(n)]


def test_all_of_the_space_and_nothing_else_is_drawn():
    found = drawn(SPACE)
    assert {c.unfreeze_depth for c in found} == {0, 1, 2, 3, 4, 5}
    assert {c.head_width for c in found} == set(range(0, 1025, 128))
    assert {c.lr_schedule for c in found} == set(LR_SCHEDULES)
    assert {c.resolution for c in found} == {32, 64, 128}
    assert all(0 <= c.dropout <= 0.6 and 1e-5 <= c.learning_rate <= 1e-2 for c in found)
    rates = sorted(c.learning_rate for c in found)
    assert 1e-4 < rates[len(rates) // 2] < 1e-3  # logarithmic: the median lies near the geometric mean, 3.2e-4


def test_from_scratch_the_whole_network_is_trained():
    assert {c.unfreeze_depth for c in drawn(SCRATCH, 20)} == {5}
    assert {c.unfreeze_depth for c in first_candidates(SCRATCH)} == {5}


@pytest.mark.parametrize("space", [SPACE, SCRATCH, Space("x", (0, 1), (16,))])
def test_first_candidates_can_be_drawn_from_the_space(space):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    firsts = first_candidates(space)
    for candidate in firsts:
        study.enqueue_trial(parameters(candidate))
    assert [suggest(study.ask(), space) for _ in firsts] == list(firsts)
    assert len(set(firsts)) == len(firsts)


def test_the_first_five_mark_the_ends_and_the_usual_ways():
    firsts = first_candidates(SPACE)
    assert [(c.unfreeze_depth, c.resolution) for c in firsts] == [(0, 128), (0, 32), (1, 128), (0, 64), (2, 64)]


@pytest.mark.parametrize(
    ("least", "native", "own", "expected"),
    [
        (8, 32, 8, (8, 16, 24, 32)),
        (32, 224, 32, (32, 48, 64, 96, 128)),
        (32, 224, 28, (32, 48, 64, 96)),
        (75, 299, 160, (96, 128, 160, 192, 224, 240, 260, 299)),
        (71, 299, 8, (71,)),
        (32, 224, 160, (32, 48, 64, 96, 128, 160, 192, 224)),
    ],
)
def test_default_resolutions(least, native, own, expected):
    assert default_resolutions(least, native, own) == expected


def test_parameters_are_what_suggest_draws():
    candidate = Candidate("vgg19", 1, 128, 0.1, 1e-3, "step", 64)
    assert parameters(candidate) == {
        "unfreeze_depth": 1,
        "head_width": 128,
        "dropout": 0.1,
        "learning_rate": 1e-3,
        "lr_schedule": "step",
        "resolution": 64,
    }


def test_the_description_tells_spaces_apart():
    assert SPACE.describe() != SCRATCH.describe()
    assert SPACE.describe() == make_space("vgg19", 5, False, (32, 64, 128)).describe()
