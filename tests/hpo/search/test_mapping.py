"""The map in the search: side by side, kept, and gone on with."""

import dataclasses

import pytest

from hpo.errors import BadField, StudyStopped
from hpo.search.mapping import make_map, map_networks
from hpo.worker.pool import Workers
from studies.probes import map_of
from studies.storage import load_study
from tests.hpo.conftest import Probing, fake_facts, fake_group


@pytest.fixture
def probing():
    return Probing()


@pytest.fixture
def mapping(configure, recorder, probing):
    def make(ends=None, **options):
        config = configure(no_map=False, **options)
        facts = dataclasses.replace(fake_facts(config), ends=ends)
        with Workers(0, "auto", config.study_dir / "log") as workers:
            return make_map(config, facts, workers, recorder, probing)

    return make


def test_all_sides_the_smallest_first(mapping, probing):
    found = mapping()
    assert probing.sides == [16, 24, 32] and found.complete
    assert [(probe.resolution, probe.keep_blocks) for probe in found.probes] == [
        (side, kept) for side in (16, 24, 32) for kept in (2, 0)
    ]
    assert (found.n_train, found.n_val, found.of_train, found.of_val) == (100, 20, 100, 20)


def test_a_broken_map_goes_on_where_it_was(mapping, probing):
    probing.broken = 24
    with pytest.raises(KeyboardInterrupt):
        mapping()
    probing.broken = None
    assert mapping().complete
    assert probing.sides == [16, 24, 32]
    mapping()
    assert probing.sides == [16, 24, 32]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"backbone": "x"}'])
def test_a_damaged_side_is_probed_again(mapping, probing, configure, text):
    mapping()
    (configure().study_dir / "map" / "24.json").write_text(text)
    assert mapping().complete
    assert probing.sides == [16, 24, 32, 24]


@pytest.mark.parametrize("changes", [{"map_size": 50}, {"ends": "before projections"}])
def test_another_map_is_not_taken_for_it(mapping, probing, changes):
    mapping()
    mapping(**changes)
    assert probing.sides == [16, 24, 32] * 2


def test_the_search_begins_with_it_and_keeps_it(configure, fakes, probing, recorder):
    fakes.changes["probe_side"] = probing
    config = configure(no_map=False, trials=3)
    records = fakes.run(config)
    assert [ways(record.candidate) for record in records if record.candidate] == [(16, 2, 0), (16, 2, 2), (24, 2, 2)]
    study = load_study(config.storage, config.study_name)
    assert len(map_of(study).probes) == 6
    fakes.run(configure(no_map=False, trials=4))
    assert probing.sides == [16, 24, 32]


def ways(candidate):
    """What is trained of which network."""
    return candidate.resolution, candidate.keep_blocks, candidate.unfreeze_depth


@pytest.fixture
def order(fakes, probing):
    """What happened, in its order: sides that were mapped, and what was trained."""
    happened = []

    def probe(config, facts, side):
        happened.append(side)
        return probing(config, facts, side)

    def evaluate(jobs, until, alive, seconds):
        happened.extend(
            (job.candidate.resolution, job.candidate.keep_blocks, job.candidate.unfreeze_depth) for job in jobs
        )
        return fake_group(jobs, until)

    fakes.changes["probe_side"], fakes.evaluate = probe, evaluate
    return happened


FIRST = [16, (16, 2, 0), (16, 2, 2), 24, (24, 2, 2), 32, (32, 2, 2), (32, 2, 0), (32, 0, 2)]


def test_what_a_side_says_is_trained_before_the_next_one_is_mapped(configure, fakes, order):
    fakes.run(configure(no_map=False, trials=6))
    assert order == FIRST


def test_the_sampler_is_asked_when_the_map_is_complete(configure, fakes, order):
    fakes.run(configure(no_map=False, trials=9, heads=1))
    assert order[: len(FIRST)] == FIRST and len(order) == len(FIRST) + 3


def test_the_map_is_completed_though_the_trials_are_there(configure, fakes, order):
    config = configure(no_map=False, trials=1)
    fakes.run(config)
    assert order == [16, (16, 2, 0), 24, 32]
    assert map_of(load_study(config.storage, config.study_name)).complete


def test_when_the_time_is_over_no_side_is_begun(configure, fakes, order):
    config = configure(no_map=False, timeout=1e-9)
    fakes.run(config)
    assert order == []
    assert map_of(load_study(config.storage, config.study_name)) is None


@pytest.mark.parametrize("broken", [24, 32])
def test_a_search_that_was_broken_while_mapping_goes_on_as_if_it_was_not(configure, fakes, order, probing, broken):
    probing.broken = broken
    with pytest.raises(KeyboardInterrupt):
        fakes.run(configure(no_map=False, trials=6))
    probing.broken = None
    fakes.run(configure(no_map=False, trials=6))
    assert [each for number, each in enumerate(order) if each not in order[:number]] == FIRST
    assert order.count(broken) == 2 and len(order) == len(FIRST) + 1


def test_without_a_map_nothing_is_probed(configure, fakes, probing):
    fakes.changes["probe_side"] = probing
    fakes.run(configure(trials=1))
    fakes.run(configure(trials=1, no_map=False, keep="full", study="full"))
    fakes.run(configure(trials=1, no_map=False, weights="none", study="scratch"))
    assert probing.sides == []


def test_a_map_that_cannot_be_made_says_how_to_do_without(configure, fakes):
    def broken(config, facts, side):
        raise ZeroDivisionError("of ours")

    fakes.changes["probe_side"] = broken
    with pytest.raises(StudyStopped, match="the map could not be made: .*of ours.*; --no-map leaves it out"):
        fakes.run(configure(no_map=False))


def test_from_scratch_there_is_nothing_to_map(configure, recorder, probing):
    with pytest.raises(BadField, match="weights must be pretrained or a .h5 file: a map is of frozen features"):
        map_networks([configure(weights="none")], recorder, probing)
