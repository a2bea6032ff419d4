"""Who asks: what lies queued first, then the sampler."""

import optuna

from hpo.config import make_config
from hpo.search.asking import Asker
from hpo.search.samplers import make_sampler
from hpo.search.space import first_candidates, make_space
from studies import attributes
from studies.objectives import DIRECTIONS

CONFIG = make_config({"backbone": "custom_cnn", "no_map": True})
SPACE = make_space(CONFIG, (1, 2, 3, 4), (16, 32))


def asking(**changes):
    study = optuna.create_study(directions=DIRECTIONS)
    return Asker(CONFIG.model_copy(update=changes), study, SPACE, 10), study


def test_what_is_queued_is_asked_for_in_its_order_and_once():
    asker, _ = asking()
    first = list(first_candidates(SPACE))
    asker.queue(first)
    asker.queue(first)
    assert asker.queued
    asked = [asker.ask([], number, {}) for number in range(len(first))]
    assert [candidate for _, candidate in asked] == first
    assert [trial.user_attrs[attributes.CANDIDATE] for trial, _ in asked] == [each.to_dict() for each in first]
    assert not asker.queued


def test_for_what_is_queued_no_sampler_thinks():
    asker, study = asking(sampler="gp")
    asker.queue(list(first_candidates(SPACE))[:1])
    asker.ask([], 0, {})
    assert type(study.sampler) is type(make_sampler("random", 0, {}))
    asker.ask([], 1, {})
    assert type(study.sampler) is type(make_sampler("gp", 0, {}))


def test_as_many_trials_and_one_seed_are_one_proposal():
    def proposed(count, seed=0):
        return asking(seed=seed)[0].ask([], count, {})[1]

    assert proposed(3) == proposed(3)
    assert len({proposed(3), proposed(4), proposed(3, seed=1)}) == 3


def test_what_is_given_is_not_proposed():
    _, candidate = asking()[0].ask([], 0, {"resolution": 16, "unfreeze_depth": 0})
    assert (candidate.resolution, candidate.unfreeze_depth) == (16, 0)
