"""Made-up records, so that tables and plots can be checked against numbers written by hand."""

import numpy as np
import pytest

from models.candidate import Candidate
from studies.records import CompleteTrial, State, TrialRecord
from tests import made
from tests.postgresql import running


@pytest.fixture
def make_record():
    def make(number, accuracy, latency_ms, mflops, state=State.COMPLETE, unsure=None, **changes):
        candidate = Candidate(
            backbone="custom_cnn",
            unfreeze_depth=number % 3,
            head_width=128,
            dropout=0.25,
            learning_rate=1e-3,
            lr_schedule="cosine",
            resolution=32,
        )
        cost = made.measurement(latency_ms, int(mflops * 1e6), unsure)
        values = {
            "number": number,
            "state": State(state),
            "candidate": candidate,
            "val_accuracy": accuracy,
            "best_epoch": 2,
            "epochs": 3,
            "seconds": 4.5,
            "trainable_parameters": 1000,
            "measurement": cost,
        }
        kind = CompleteTrial if state == State.COMPLETE else TrialRecord
        return kind(**values | changes)

    return make


@pytest.fixture
def records(make_record):
    """Seven trials: 0, 1 and 2 on the front of all three; 2 only because of its FLOPs."""
    return [
        make_record(0, 0.80, 1.0, 10),
        make_record(1, 0.90, 2.0, 20),
        make_record(2, 0.78, 1.5, 5),
        make_record(3, 0.70, 3.0, 30),
        make_record(4, None, 9.0, 90, state=State.INFEASIBLE, constraints={"max_latency_ms": 4.0}),
        TrialRecord(5, State.FAILED, None, reason="out of memory: 3 GiB"),
        TrialRecord(6, State.WAITING, None),
    ]


@pytest.fixture
def digits():
    """Labels of 30 test pictures in three classes, and probabilities that have the first ones of them right."""
    labels = np.arange(30) % 3

    def shares(n_right):
        guesses = np.where(np.arange(30) < n_right, labels, (labels + 1) % 3)
        found = np.full((30, 3), 0.05)
        found[np.arange(30), guesses] = 0.9
        return found

    return labels, shares


@pytest.fixture(scope="session")
def server():
    """Of PostgreSQL; whoever needs it empties it first."""
    with running() as server:
        yield server
