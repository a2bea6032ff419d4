"""Runs one after the other: what is measured, and what is said of the time."""

from types import SimpleNamespace

import numpy as np
import pytest

from hpo.errors import BadInput
from hpo.final import evaluation
from hpo.final.evaluation import check_overlap
from hpo.final.training import FinalJob
from models.candidate import Candidate
from studies.finals import FinalRun
from studies.overlap import Overlap
from studies.scores import score
from tests import made

CANDIDATES = {
    "1": Candidate(
        backbone="custom_cnn",
        unfreeze_depth=1,
        head_width=128,
        dropout=0.3,
        learning_rate=3e-3,
        lr_schedule="cosine",
        resolution=16,
    )
}
CANDIDATES["2"] = Candidate(**{**vars(CANDIDATES["1"]), "dropout": 0.1, "unfreeze_depth": 3})  # the same network
CANDIDATES["3"] = Candidate(**{**vars(CANDIDATES["1"]), "head_width": 0})
SECONDS = {"prepare": 1.0, "train": 10.0, "measure": 5.0, "test": 2.0}


@pytest.fixture
def measured(monkeypatch):
    """Labels of the runs whose costs were measured; what is done is in the dict."""
    done: dict[tuple[str, int], FinalRun] = {}
    labels = []

    def attempt(_workers, final, _where, _watcher):
        if final.measure and final.costs is None:
            labels.append(final.label)
        costs = final.costs or (made.final_costs() if final.measure else None)
        done[final.label, final.seed] = FinalRun(
            "id", final.label, final.seed, final.job.candidate, 1, 10, [], score(np.eye(2), np.arange(2)), costs, 1,
            SECONDS, 1.0, {},
        )  # fmt: skip
        return ""

    monkeypatch.setattr(evaluation, "finished", lambda final: done.get((final.label, final.seed)))
    monkeypatch.setattr(evaluation, "_attempt", attempt)
    return labels


def finals(*labels):
    return [
        FinalJob(SimpleNamespace(candidate=CANDIDATES[label]), label, seed, 1, (), seed == 0)
        for label in labels
        for seed in (0, 1)
    ]


class Watcher(list):
    """The notes."""

    def steps(self, *_):
        """Of no interest."""

    note = list.append


def test_one_network_is_measured_once(measured):
    runs, failures = evaluation.run_all(finals("1", "2", "3"), None, Watcher())
    assert (measured, failures) == (["1", "3"], [])
    assert [run.costs is not None for run in runs] == [True, False] * 3
    assert runs[2].costs == runs[0].costs


def test_what_was_measured_before_counts_too(measured):
    evaluation.run_all(finals("1"), None, Watcher())
    evaluation.run_all(finals("1", "2"), None, Watcher())
    assert measured == ["1"]


def test_where_the_time_went_is_said(measured):
    notes = Watcher()
    evaluation.run_all(finals("1", "3"), None, notes)
    assert notes[0] == "[1/4] trial 1, seed 0: test accuracy 1.0000, trained in 11.0 s"
    assert notes[-1] == (
        "Time: preparing networks and features 4 s, training 40 s, measuring latency and throughput 20 s, testing 8 s."
    )
    notes = Watcher()
    evaluation.run_all(finals("1", "3"), None, notes)  # nothing is left to do
    assert not [note for note in notes if note.startswith("Time")]


def test_too_much_of_the_test_among_what_is_trained_on_is_refused():
    said = []
    check_overlap(Overlap(0, 100), False, said.append)
    check_overlap(Overlap(1, 100), False, said.append)
    with pytest.raises(BadInput, match=r"is needed to go on: 2 of the 100 test pictures \(2.0%\) are also among"):
        check_overlap(Overlap(2, 100), False, said.append)
    check_overlap(Overlap(2, 100), True, said.append)
    assert said == [f"note: {Overlap(number, 100).words}" for number in (1, 2)]
