"""The search space: what is suggested, what comes first, and which resolutions make sense."""

import optuna
import pytest

from hpo.config import make_config
from hpo.errors import BadField
from hpo.search.space import (
    Space,
    first_candidates,
    highest_rate,
    make_space,
    parameters,
    sibling_heads,
    suggest,
)
from models.candidate import RATES_BY_PART, Candidate
from models.dimension import Range
from models.training.schedules import LR_SCHEDULES

STAGES = (1, 1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5)  # behind each block of vgg19


def space_of(resolutions=(32, 64, 128), **options):
    return make_space(make_config({"backbone": "vgg19", "keep": "full", **options}), STAGES, resolutions)


SPACE = space_of()
SCRATCH = space_of((32,), weights="none")
SEARCHED = space_of(
    search="optimizer,weight_decay,label_smoothing,pooling,batch_norm_head,batch_size",
    augment="none,light,strong",
    strategy="plain,progressive",
)


def drawn(space, n=300):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [suggest(study.ask(), space) for _ in range(n)]


def test_all_of_the_space_and_nothing_else_is_drawn():
    found = drawn(SPACE)
    assert {c.unfreeze_depth for c in found} == {0, 1, 2, 3, 4, 5}
    assert {c.head_width for c in found} == set(range(0, 1025, 128))
    assert {c.lr_schedule for c in found} == set(LR_SCHEDULES)
    assert {c.resolution for c in found} == {32, 64, 128}
    assert all(0 <= c.dropout <= 0.6 for c in found)


def median_rate(found):
    rates = sorted(c.learning_rate for c in found)
    return rates[len(rates) // 2]


def test_heads_and_fine_tuned_stages_have_learning_rates_of_their_own():
    """Logarithmic: the median lies near the geometric mean, 1.7e-3 and 1.4e-4."""
    found = drawn(SPACE, 1000)
    heads, tails = [c for c in found if not c.unfreeze_depth], [c for c in found if c.unfreeze_depth]
    assert all(1e-4 <= c.learning_rate <= 3e-2 for c in heads)
    assert 1e-3 < median_rate(heads) < 3e-3
    assert all(1e-5 <= c.learning_rate <= 2e-3 / c.unfreeze_depth**0.5 for c in tails)
    assert 7e-5 < median_rate(tails) < 2.8e-4


def test_the_more_stages_are_free_the_lower_is_the_highest_rate():
    assert [highest_rate(depth) for depth in (1, 4, 16)] == [2e-3, 1e-3, 5e-4]
    highest = {"fine_tuning_learning_rate": 2e-3, "unfreeze_depth": 4}
    params = parameters(first_candidates(SPACE)[2], SPACE) | highest
    assert suggest(optuna.trial.FixedTrial(params), SPACE).learning_rate == 1e-3


def test_one_range_of_learning_rates_as_before():
    one = space_of(rates="one")
    assert {name: one.describe().get(name) for name in ("learning_rate", *RATES_BY_PART)} == {
        "learning_rate": [1e-5, 1e-2],
        "head_learning_rate": None,
        "fine_tuning_learning_rate": None,
    }
    found = drawn(one)
    assert all(1e-5 <= c.learning_rate <= 1e-2 for c in found)
    assert 1e-4 < median_rate(found) < 1e-3
    assert SCRATCH.describe()["learning_rate"] == [1e-5, 1e-2]  # there is nothing but the whole network
    with pytest.raises(BadField, match="rates must be auto or one where the weights are none.* Received: parts"):
        space_of(weights="none", rates="parts")


def test_from_scratch_the_whole_network_is_trained():
    assert {c.unfreeze_depth for c in drawn(SCRATCH, 20)} == {5}
    assert {c.unfreeze_depth for c in first_candidates(SCRATCH)} == {5}


def test_optimizers_have_rates_of_their_own():
    found = drawn(SCRATCH)
    assert {c.optimizer for c in found} == {"adam", "sgd"}
    assert all(1e-3 <= c.learning_rate <= 0.3 for c in found if c.optimizer == "sgd")
    assert all(1e-5 <= c.learning_rate <= 1e-2 for c in found if c.optimizer == "adam")
    assert {c.optimizer for c in first_candidates(SCRATCH)} == {"adam", "sgd"}
    assert {c.optimizer for c in drawn(SPACE, 20)} == {"adam"}


def test_what_is_searched_on_request():
    found = drawn(SEARCHED)
    for name, values in {
        "optimizer": {"adam", "sgd"},
        "pooling": {"average", "max"},
        "batch_norm_head": {False, True},
        "batch_size": {16, 32, 64, 128},
        "augmentation": {"none", "light", "strong"},
        "strategy": {"plain", "progressive"},
    }.items():
        assert {getattr(c, name) for c in found} == values
    assert all(1e-5 <= c.weight_decay <= 1e-1 and 0 <= c.label_smoothing <= 0.2 for c in found)
    assert max(c.label_smoothing for c in found) > 0.1
    assert {c.strategy for c in found if c.unfreeze_depth == 0} == {"plain"}
    plain = drawn(space_of(batch_size=64, augment="light"), 20)
    assert {(c.batch_size, c.augmentation, c.strategy, c.weight_decay) for c in plain} == {(64, "light", "plain", 0.0)}


def test_a_head_stands_on_the_class_token_where_there_is_one():
    config = make_config({"backbone": "vgg19", "search": ("pooling",)})
    searched = [make_space(config, STAGES, (32,), token).searched["pooling"] for token in (False, True)]
    assert searched == [("average", "max"), ("average", "max", "token")]


def test_heads_that_are_trained_together_share_what_they_see_and_their_steps():
    candidate = next(c for c in drawn(SEARCHED) if c.unfreeze_depth == 0 and c.augmentation == "light")
    assert sibling_heads(candidate, SPACE) == {"unfreeze_depth": 0, "resolution": candidate.resolution}
    names = ("unfreeze_depth", "resolution", "optimizer", "pooling", "batch_norm_head", "batch_size", "augmentation")
    assert sibling_heads(candidate, SEARCHED) == {name: getattr(candidate, name) for name in names}


@pytest.mark.parametrize(
    "space",
    [
        SPACE,
        SCRATCH,
        SEARCHED,
        Space("x", SPACE.searched | {"unfreeze_depth": Range(0, 1, step=1), "resolution": (16,)}, stages=(1,)),
    ],
)
def test_first_candidates_can_be_drawn_from_the_space(space):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    firsts = first_candidates(space)
    for candidate in firsts:
        study.enqueue_trial(parameters(candidate, space))
    assert [suggest(study.ask(), space) for _ in firsts] == list(firsts)
    assert len(set(firsts)) == len(firsts)


def test_the_first_five_mark_the_ends_and_the_usual_ways():
    firsts = first_candidates(SPACE)
    assert [(c.unfreeze_depth, c.resolution) for c in firsts] == [(0, 128), (0, 32), (1, 128), (0, 64), (2, 64)]


def test_parameters_are_what_suggest_draws():
    candidate = Candidate(
        backbone="vgg19",
        unfreeze_depth=1,
        head_width=128,
        dropout=0.1,
        learning_rate=1e-3,
        lr_schedule="step",
        resolution=64,
    )
    assert parameters(candidate, SPACE) == {
        "unfreeze_depth": 1,
        "head_width": 128,
        "dropout": 0.1,
        "fine_tuning_learning_rate": 1e-3,
        "lr_schedule": "step",
        "resolution": 64,
    }


def test_the_description_tells_spaces_apart():
    assert SPACE.describe() != SCRATCH.describe()
    assert SPACE.describe() == space_of().describe()
    assert (
        len(
            {
                str(space.describe())
                for space in (SPACE, SEARCHED, space_of(augment="light"), space_of(search="pooling"))
            }
        )
        == 4
    )


def test_where_a_network_ends_is_searched_where_weights_are_published():
    published = space_of(keep="auto")
    assert published.describe()["keep_blocks"] == [1, 16]
    assert published.describe() == space_of(keep="search").describe()
    assert space_of(weights="none", keep="auto").describe()["keep_blocks"] == [1, 16]
    assert "keep_blocks" not in space_of(keep="full").describe()
    lenet = make_config({"backbone": "lenet5", "weights": "none"})
    assert "keep_blocks" not in make_space(lenet, (1, 2, 3), (32,)).describe()


def test_a_candidate_trains_no_more_stages_than_it_keeps():
    space = space_of(keep="search")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found = [suggest(study.ask(), space) for _ in range(200)]
    assert {candidate.keep_blocks for candidate in found} == set(range(16))  # 0 is the whole network, of 16
    assert all(candidate.unfreeze_depth <= STAGES[candidate.keep_blocks - 1] for candidate in found)
    assert any(candidate.unfreeze_depth == STAGES[candidate.keep_blocks - 1] > 0 for candidate in found)
    for candidate in found[:20]:
        drawn = parameters(candidate, space)
        assert drawn["keep_blocks"] == (candidate.keep_blocks or 16)
        study.enqueue_trial(drawn)
        assert suggest(study.ask(), space) == candidate


def test_from_scratch_all_stages_of_what_is_kept_are_trained():
    space = space_of(keep="search", weights="none")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found = [suggest(study.ask(), space) for _ in range(50)]
    assert all(candidate.unfreeze_depth == STAGES[candidate.keep_blocks - 1] for candidate in found)
