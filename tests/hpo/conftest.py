"""A study without Keras: fake facts and a fake evaluation, in this process."""

import pytest

import hpo.evaluation
import hpo.search
from hpo.config import make_config
from hpo.evaluation import Facts, over_budget
from hpo.measurements import write_atomically
from studies.records import Measurement, Outcome

MACHINE = {
    "device": "test",
    "backend": "none",
    "dtype": "float32",
    "versions": {"keras": "0"},
    "latency_protocol": 1,
}


class Recorder:
    """A display that remembers what it was told."""

    def __init__(self):
        self.notes, self.lines = [], []

    def note(self, text):
        self.notes.append(text)

    def waiting(self, text):
        pass

    def prepared(self, config, facts, records):
        pass

    def tick(self, running):
        pass

    def told(self, record, records):
        assert records[record.number] is record
        self.lines.append((record.number, record.state))


def fake_facts(config):
    return Facts(
        "digits",
        "d" * 64,
        ("a", "b"),
        (8, 8, 1),
        100,
        20,
        "s" * 64,
        "none",
        0,
        config.resolutions or (16, 24, 32),
        4,
        "w" * 64,
        MACHINE,
    )


def fake_evaluate(job):
    """Deterministic numbers from the candidate alone; larger is dearer and a little better."""
    c = job.candidate
    latency, flops = c.resolution / 10, c.resolution**2 * 1000
    cost = Measurement(
        latency, {"p10_ms": latency, "p90_ms": latency, "p99_ms": latency, "runs": 1}, flops // 2, flops, 0, 10
    )
    constraints = over_budget(job.config, cost)
    trained = all(value <= 0 for value in constraints.values())
    accuracy = round(0.5 + c.resolution / 100 - abs(c.dropout - 0.2) / 10, 6) if trained else None
    outcome = Outcome(
        job.study_id,
        job.number,
        c,
        cost,
        5,
        accuracy,
        1 if trained else None,
        constraints,
        [{"epoch": 1, "val_accuracy": accuracy}] if trained else [],
        {"train": 0.1},
        1.0,
        job.seed,
        MACHINE,
    )
    write_atomically(job.outcome_path, outcome.to_json())
    return outcome


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def configure(tmp_path):
    def make(**values):
        return make_config(
            {
                "storage": f"sqlite:///{tmp_path}/studies.db",
                "out": tmp_path / "runs",
                "workers": 0,
                "cache_dir": tmp_path / "cache",
                "trials": 8,
            }
            | values
        )

    return make


@pytest.fixture
def fakes(monkeypatch):
    monkeypatch.setattr(hpo.search, "prepare", fake_facts)
    monkeypatch.setattr(hpo.evaluation, "evaluate", lambda job, alive, seconds: fake_evaluate(job))
    return monkeypatch
