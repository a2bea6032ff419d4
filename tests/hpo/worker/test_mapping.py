"""Probes in a worker: each is what the network that ends there gives."""

import dataclasses
import itertools

import pytest

import hpo.worker.mapping
from hpo.worker.mapping import job_of, probe_side
from hpo.worker.session import current, prepare
from models import flops
from models.build import build_network
from models.probe import fit
from models.training.backend import forward
from studies.paths import StudyFiles
from tests import made


class Survey:
    """Latencies without measuring."""

    def estimate(self, trunks, on_step):
        def wait(flops):
            assert all(less < more for less, more in itertools.pairwise(flops))
            return [made.deployed_latency(float(trunk.keep_blocks or 4)) for trunk in trunks]

        return wait


@pytest.fixture
def mapped(small, monkeypatch):
    monkeypatch.setattr("hpo.worker.session.Session.survey", lambda self, job: Survey())
    current().forget()
    yield small.model_copy(update={"latency_runtime": "litert", "map_size": 5000})
    current().forget()


def test_each_place_is_probed_as_the_network_that_ends_there(mapped):
    facts = prepare(mapped)
    found = probe_side(mapped, facts, 16)
    assert [probe.keep_blocks for probe in found] == [1, 2, 3, 0]
    assert [probe.latency_ms for probe in found] == [1.0, 2.0, 3.0, 4.0]
    here, side = current(), facts.resolutions[-1]
    data, parts = here.data(mapped, side), here.split(mapped, side)
    job = job_of(mapped, facts, 16)
    for probe in found:
        candidate = dataclasses.replace(job.candidate, keep_blocks=probe.keep_blocks)
        network = build_network(candidate, here.task(job), 0)
        cost = flops.count(network.model)
        assert (probe.measurement.macs, probe.flops) == (cost.macs, cost.flops)
        assert probe.measurement.parameters == network.model.count_params()
        run = forward(network.prefix())
        train, val = (run(data.images[rows]).astype("float16") for rows in (parts.train, parts.val))
        again = fit(train, data.labels[parts.train], len(facts.class_names))
        assert probe.channels == train.shape[1]
        assert probe.val_accuracy == pytest.approx(again.accuracy(val, data.labels[parts.val]), abs=0.011)
        assert probe.strength == again.strength


def test_what_was_computed_is_not_computed_again_and_says_the_same(mapped, monkeypatch):
    facts = prepare(mapped)
    first = probe_side(mapped, facts, 16)
    computed = []
    monkeypatch.setattr(hpo.worker.mapping, "_computed", lambda jobs, *_: computed.extend(jobs) or [])
    assert probe_side(mapped, facts, 16) == first
    assert computed == []


def test_no_sign_of_life_is_left(mapped):
    probe_side(mapped, prepare(mapped), 16)
    assert not list(StudyFiles(mapped.study_dir).map.glob("*.progress"))
