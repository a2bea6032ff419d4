"""What is kept of all records is what going through all of them would find."""

import numpy as np

from hpo.search.known import SETTLED, Known
from hpo.search.stopping import reached_at
from studies.records import State, TrialRecord
from tests import made

CANDIDATES = [made.candidate(unfreeze_depth=depth) for depth in range(3)]
EPOCHS = 2, 4


def test_candidates_are_told_apart_by_their_values():
    """However these are written, as by who queues a trial."""
    known = Known([TrialRecord(0, State.RUNNING, made.candidate(dropout=0.0))])
    assert known.same_as(made.candidate(dropout=0)) == 0


def record(number, rng):
    epochs = int(rng.integers(0, 5))
    return TrialRecord(
        number,
        list(State)[rng.integers(len(State))],
        [None, *CANDIDATES][rng.integers(4)],
        measurement=made.measurement() if epochs else None,
        learning_curve=[{"epoch": n + 1, "val_accuracy": float(rng.random())} for n in range(epochs)],
    )


def kept(known):
    reached = [sorted(known.reached(epoch), key=lambda one: one.number) for epoch in EPOCHS]
    return known.records, known.counted, [known.same_as(candidate) for candidate in CANDIDATES], reached


def gone_through(records):
    alike = [
        next((one.number for one in records if one.candidate == candidate and one.state in SETTLED), None)
        for candidate in CANDIDATES
    ]
    return records, sum(one.counts for one in records), alike, [reached_at(records, epoch) for epoch in EPOCHS]


def test_it_is_what_all_records_say():
    rng = np.random.default_rng(0)
    known, records = Known(), []
    for _ in range(60):
        number = int(rng.integers(0, len(records) + 1))
        records[number : number + 1] = [record(number, rng)]
        known.put(records[number])
        assert kept(known) == gone_through(records)
    assert kept(Known(records)) == gone_through(records)
