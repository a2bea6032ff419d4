"""What tells studies apart, and what does not."""

import json

import pytest

from hpo.search.fingerprint import fingerprint
from hpo.search.space import make_space
from tests.hpo.conftest import fake_facts


def marks(config):
    facts = fake_facts(config)
    return fingerprint(config, facts, make_space(config, facts.blocks, facts.resolutions)).to_dict()


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ({}, {"stopping": "dominance"}, {"stopping", "reduction_factor"}),
        ({"stopping": "moasha"}, {"stopping": "dominance"}, {"stopping"}),
        ({"stopping": "dominance"}, {"stopping": "dominance", "reduction_factor": 3}, {"reduction_factor"}),
        ({}, {"reduction_factor": 3}, set()),  # nothing is stopped
        ({}, {"augment": "light"}, {"space", "views"}),
        ({"augment": "light"}, {"augment": "light", "views": 2}, {"views"}),
        ({}, {"views": 2}, set()),  # nothing is augmented
        ({}, {"cache_dtype": "float32"}, {"cache_dtype"}),
        ({}, {"max_gflops": 1.0}, {"max_gflops"}),
        ({}, {"seed": 1}, {"seed"}),
        ({}, {"resolutions": (16,)}, {"space"}),
        ({}, {"heads": 1, "workers": 3, "cache_gib": 0, "trials": 99, "sampler": "random"}, set()),
    ],
)
def test_what_tells_studies_apart(configure, before, after, changed):
    then, now = marks(configure(**before)), marks(configure(**after))
    assert {name for name in then if then[name] != now[name]} == changed
    assert set(then) == set(now)
    json.dumps(then)
