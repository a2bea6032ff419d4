"""What is kept of all records is what going through all of them would find."""

import numpy as np

from hpo.search.known import SETTLED, Known
from hpo.search.stopping import reached_at
from models.candidate import Candidate
from studies.records import State, TrialRecord
from tests import made

CANDIDATES = [
    Candidate(
        backbone="custom_cnn",
        unfreeze_depth=depth,
        head_width=0,
        dropout=0.0,
        learning_rate=1e-3,
        lr_schedule="cosine",
        resolution=16,
    )
    for depth in range(3)
]


def record(number, rng):
    epochs = int(rng.integers(0, 5))
    return TrialRecord(
        number,
        list(State)[rng.integers(len(State))],
        [None, *CANDIDATES][rng.integers(4)],
        measurement=made.measurement() if epochs else None,
        learning_curve=[{"epoch": n + 1, "val_accuracy": float(rng.random())} for n in range(epochs)],
    )


def check(known, records):
    assert known.records == records
    assert known.counted == sum(one.counts for one in records)
    for candidate in CANDIDATES:
        alike = (one.number for one in records if one.candidate == candidate and one.state in SETTLED)
        assert known.same_as(candidate) == next(alike, None)
    for epoch in (2, 4):
        assert sorted(known.reached(epoch), key=lambda one: one.number) == reached_at(records, epoch)


def test_it_is_what_all_records_say():
    rng = np.random.default_rng(0)
    known, records = Known(), []
    for _ in range(60):
        number = int(rng.integers(0, len(records) + 1))
        records[number : number + 1] = [record(number, rng)]
        known.put(records[number])
        check(known, records)
    check(Known(records), records)
