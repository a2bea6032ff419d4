"""What is found out before the first trial, and what of it tells studies apart."""

import dataclasses
import json

import pytest

from datasets import DataError
from hpo.errors import BadInput
from hpo.search.space import make_space
from hpo.worker.facts import Changed, check_unchanged, fingerprint, prepare
from models import ModelError
from tests.hpo.conftest import fake_facts


def test_facts_about_data_weights_and_machine(small):
    facts = prepare(small)
    assert (facts.dataset, facts.shape, len(facts.class_names)) == ("digits", (8, 8, 1), 10)
    assert (facts.n_train, facts.n_val, facts.blocks, facts.resolutions) == (200, 100, 4, (16,))
    assert len(facts.weights_digest) == len(facts.dataset_digest) == len(facts.split_digest) == 64
    assert {"device", "backend", "dtype", "versions"} <= set(facts.machine)
    json.dumps(dataclasses.asdict(facts))


def test_facts_tell_splits_seeds_and_weights_apart(small):
    facts = prepare(small)
    assert prepare(small.model_copy(update={"seed": 1})).split_digest != facts.split_digest
    assert prepare(small.model_copy(update={"weights": "none"})).weights_digest == "none"
    assert prepare(small.model_copy(update={"trials": 3})) == facts


@pytest.mark.parametrize("backends", ["gpu", "gpu:3"])
def test_a_gpu_that_is_not_there(small, monkeypatch, backends):
    monkeypatch.setattr("models.device.sees_gpu", lambda: False)
    with pytest.raises(BadInput, match=f"--device must be auto or cpu: .* sees no such GPU here. Received: {backends}"):
        prepare(small.model_copy(update={"device": backends}))


def test_sizes_that_the_data_cannot_give(small):
    with pytest.raises(DataError, match="--train-size"):
        prepare(small.model_copy(update={"train_size": 100_000}))


def test_weights_of_another_network(small, tmp_path):
    (tmp_path / "x.h5").write_bytes(b"no")
    with pytest.raises(ModelError, match="x.h5"):
        prepare(small.model_copy(update={"weights": str(tmp_path / "x.h5")}))


def test_facts_that_changed_are_named(small):
    facts = prepare(small)
    check_unchanged(small, facts)
    with pytest.raises(Changed, match="since the study was opened: n_val, blocks; end this run and start it again"):
        check_unchanged(small, dataclasses.replace(facts, n_val=1, blocks=9))


def marks(config):
    facts = fake_facts(config)
    return fingerprint(config, facts, make_space(config, facts.blocks, facts.resolutions))


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
