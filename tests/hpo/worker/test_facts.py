"""What is found out before the first trial."""

import dataclasses
import json

import pytest

from datasets import DataError
from hpo.errors import BadInput
from hpo.worker.facts import Changed, check_unchanged, prepare
from models import ModelError


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
    monkeypatch.setattr("models.latency.sees_gpu", lambda: False)
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
