"""What a worker keeps open, and what it finds out with it."""

import dataclasses
import json

import numpy as np
import pytest

import hpo.worker.session
from datasets import DataError
from hpo.errors import BadInput
from hpo.worker.job import Job
from hpo.worker.session import Session, prepare
from models import ModelError
from tests import made

TAIL = made.candidate(unfreeze_depth=1, head_width=128, dropout=0.3, learning_rate=3e-3, lr_schedule="cosine")


def test_facts_about_data_weights_and_machine(small):
    facts = prepare(small)
    assert (facts.dataset, facts.shape, len(facts.class_names)) == ("digits", (8, 8, 1), 10)
    assert (facts.n_train, facts.n_val, facts.stages, facts.resolutions) == (200, 100, (1, 2, 3, 4), (16,))
    assert len(facts.weights_digest) == len(facts.dataset_digest) == len(facts.split_digest) == 64
    assert {"device", "backend", "dtype", "versions"} <= set(facts.machine)
    json.dumps(dataclasses.asdict(facts))


def test_facts_tell_splits_seeds_and_weights_apart(small):
    facts = prepare(small)
    assert prepare(small.model_copy(update={"seed": 1})).split_digest != facts.split_digest
    assert prepare(small.model_copy(update={"weights": "none"})).weights_digest == "none"
    assert prepare(small.model_copy(update={"trials": 3})) == facts


@pytest.mark.parametrize(("runtime", "driver", "gpu", "order"), [
    ("auto", False, False, ["converter", "keras", "converter"]),  # started once: it is there by then
    ("litert", False, False, ["converter", "keras", "converter"]),
    ("auto", True, False, ["keras", "converter"]),
    ("auto", True, True, ["keras"]),
    ("keras", False, False, ["keras"]),
])  # fmt: skip
def test_the_converting_process_starts_beside_the_import_of_keras_where_it_is_wanted_for_sure(
    small, monkeypatch, runtime, driver, gpu, order
):
    happened = []
    monkeypatch.setattr("models.latency.conversion.start_early", lambda: happened.append("converter"))
    monkeypatch.setattr("models.lean.import_keras", lambda: happened.append("keras"))
    monkeypatch.setattr("models.device.has_driver", lambda: driver)
    monkeypatch.setattr("models.device.sees_gpu", lambda: gpu)
    prepare(small.model_copy(update={"latency_runtime": runtime}))
    assert happened == [*order, "keras"]  # as each task asks for it


@pytest.mark.parametrize("backends", ["gpu", "gpu:3"])
def test_a_gpu_that_is_not_there(small, monkeypatch, backends):
    monkeypatch.setattr("models.device.sees_gpu", lambda: False)
    with pytest.raises(BadInput, match=f"^device must be auto or cpu: .* sees no such GPU here. Received: {backends}"):
        prepare(small.model_copy(update={"device": backends}))


def test_sizes_that_the_data_cannot_give(small):
    with pytest.raises(DataError, match="--train-size"):
        prepare(small.model_copy(update={"train_size": 100_000}))


def test_weights_of_another_network(small, tmp_path):
    (tmp_path / "x.h5").write_bytes(b"no")
    with pytest.raises(ModelError, match="x.h5"):
        prepare(small.model_copy(update={"weights": str(tmp_path / "x.h5")}))


@pytest.fixture
def opened(monkeypatch):
    """How often data was opened, whatever for."""
    calls = []
    real = hpo.worker.session.open_dataset
    monkeypatch.setattr(hpo.worker.session, "open_dataset", lambda *given: calls.append(given) or real(*given))
    return calls


def test_another_seed_does_not_open_the_data_again(small, opened):
    session = Session()
    session.split(small, 16)
    other = small.model_copy(update={"seed": 5, "epochs": 9})
    assert not np.array_equal(session.split(other, 16).train, session.split(small, 16).train)
    assert session.data(other, 16) is session.data(small, 16)
    assert len(opened) == 1
    session.data(small.model_copy(update={"dataset": "digits:3,8"}), 16)
    assert len(opened) == 2


def test_networks_and_steps_are_shared_by_what_they_have_in_common(small, tmp_path):
    session = Session()
    facts = session.facts(small)
    job, other = (
        Job(small, "id", number, dataclasses.replace(TAIL, dropout=rate), facts, tmp_path)
        for number, rate in enumerate((0.1, 0.5))
    )
    assert session.network(job) is session.network(other)
    assert session.trainer(job, "top1") is session.trainer(other, "top1")
    wider = dataclasses.replace(job, candidate=dataclasses.replace(TAIL, head_width=256))
    assert session.network(wider) is not session.network(job)
    assert session.flops(job, "pictures") - session.flops(job, "pictures", "top1") == session.flops(job, "top1")


def test_what_is_forgotten_is_opened_and_built_anew(small, opened, tmp_path):
    session = Session()
    facts = session.facts(small)
    job = Job(small, "id", 0, TAIL, facts, tmp_path)
    network, trainer = session.network(job), session.trainer(job, "top1")
    session.in_memory["x"] = 1
    session.forget()
    assert session.in_memory == {}
    assert session.facts(small) == facts
    assert len(opened) == 2
    assert session.network(job) is not network
    assert session.trainer(job, "top1") is not trainer
