"""The map in the search: side by side, kept, and gone on with."""

import pytest

from hpo.errors import BadField, StudyStopped
from hpo.search.mapping import make_map, map_networks
from hpo.worker.pool import Workers
from studies.probes import map_of
from studies.storage import load_study
from tests.hpo.conftest import Probing, fake_facts


@pytest.fixture
def probing():
    return Probing()


@pytest.fixture
def mapping(configure, recorder, probing):
    def make(**options):
        config = configure(no_map=False, **options)
        with Workers(0, "auto", config.study_dir / "log") as workers:
            return make_map(config, fake_facts(config), workers, recorder, probing)

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


def test_another_map_is_not_taken_for_it(mapping, probing):
    mapping()
    mapping(map_size=50)
    assert probing.sides == [16, 24, 32] * 2


def test_the_search_begins_with_it_and_keeps_it(configure, fakes, probing, recorder):
    fakes.changes["probe_side"] = probing
    config = configure(no_map=False, trials=3)
    records = fakes.run(config)
    first = records[0].candidate
    assert (first.resolution, first.keep_blocks, first.unfreeze_depth) == (32, 2, 0)  # the most accurate probe
    study = load_study(config.storage, config.study_name)
    assert len(map_of(study).probes) == 6
    fakes.run(configure(no_map=False, trials=4))
    assert probing.sides == [16, 24, 32]


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
