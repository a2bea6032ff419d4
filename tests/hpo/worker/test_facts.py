"""What is found out before the first trial."""

import dataclasses

import pytest

from hpo.worker.facts import Changed, check_unchanged, default_resolutions, unlike
from tests.hpo.conftest import fake_facts


def test_facts_that_changed_are_named(configure):
    facts = fake_facts(configure())
    check_unchanged(facts, facts)
    with pytest.raises(Changed, match="since the study was opened: n_val, stages; end this run and start it again"):
        check_unchanged(facts, dataclasses.replace(facts, n_val=1, stages=(9,)))


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


@pytest.mark.parametrize(
    ("least", "native", "patch", "expected"),
    [
        (32, 224, 16, (32, 48, 64, 96, 128, 160, 192, 224)),
        (42, 518, 14, (42, 56, 84, 126, 154, 182, 224, 238, 252, 294, 322, 378, 448, 518)),
    ],
)
def test_default_resolutions_of_transformers_are_multiples_of_their_patch(least, native, patch, expected):
    assert default_resolutions(least, native, 518, patch) == expected


def test_what_keeps_two_machines_from_training_for_one_study():
    one = {"device": "A", "backend": "jax", "dtype": "float32", "versions": {"keras": "3.15.1", "jax": "0.10.2"}}
    measuring = one | {"device": "B", "latency_runtime": "litert", "versions": one["versions"] | {"litert": "2.3"}}
    assert unlike(one, measuring) == unlike(measuring, one) == []
    other = one | {"backend": "tensorflow", "versions": {"keras": "3.15.0", "jax": "0.10.2"}}
    assert unlike(other, one) == ["backend", "keras (3.15.0)"]
