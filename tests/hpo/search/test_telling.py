"""How a trial ends: told, failed, queued again, recovered."""

import dataclasses
from concurrent.futures.process import BrokenProcessPool

import pebble
import pytest
from optuna.trial import TrialState

from hpo.errors import StudyStopped
from hpo.search.space import first_candidates, parameters
from hpo.search.telling import Streak
from hpo.worker.executor import explain_death
from hpo.worker.job import Job
from models.candidate import Candidate
from studies.outcomes import Failure
from studies.paths import write_text
from studies.storage import load_study
from tests.hpo.conftest import FakeWorkers, Probing, fake_evaluate, fake_facts


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (pebble.ProcessExpired("", code=-9), "signal 9"),
        (pebble.ProcessExpired("", code=1), "exit code 1"),
        (BrokenProcessPool(), "the worker process died between two tasks;"),
        (MemoryError(), "out of memory"),
    ],
)
def test_why_there_is_no_answer(error, said):
    assert said in explain_death(error)


def test_left_over_trials_are_settled(configure, fakes):
    """Three RUNNING trials as a SIGKILL leaves them: with a result on disk, without, and hardly begun."""
    config = configure(trials=2)
    fakes.run(config)
    study = load_study(config.storage, config.study_name)
    search = fakes.search(configure(trials=4), FakeWorkers())
    for _ in range(2):
        search._ask()
        search._send()
    study.ask()
    with_result = next(leg.job for legs in search.running.values() for leg in legs if leg.job.number == 2)
    outcome = fake_evaluate(with_result, config.epochs)

    records = fakes.run(configure(trials=8))
    assert records[2].state == "complete"
    assert records[2].val_accuracy == outcome.val_accuracy
    assert records[3].state == records[4].state == "interrupted"
    assert sum(record.counts for record in records) == 8
    assert [r.state for r in records if r.candidate == records[3].candidate] == ["interrupted", "complete"]
    assert not [record for record in records if record.state == "running"]


def test_a_result_of_another_study_is_not_taken(configure, fakes):
    config = configure(trials=1)
    fakes.run(config)
    path = config.study_dir / "trials" / "00000.json"
    foreign = path.read_text()
    other = configure(trials=1, storage=config.storage.replace("studies.db", "other.db"))
    fakes.run(other)
    study = load_study(other.storage, other.study_name)
    trial = study.ask()
    trial.set_user_attr("candidate", study.trials[0].user_attrs["candidate"])
    (config.study_dir / "trials" / "00001.json").write_text(foreign)  # another study's id
    records = fakes.run(configure(trials=2, storage=other.storage))
    assert records[1].state == "interrupted"


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"study_id": "x"}'])
def test_a_file_that_is_no_result_is_named_and_not_taken(configure, recorder, content, fakes):
    config = configure(trials=1)
    fakes.run(config)
    load_study(config.storage, config.study_name).ask()
    (config.study_dir / "trials" / "00001.json").write_text(content)
    assert fakes.run(configure(trials=2))[1].state == "interrupted"
    assert any("00001.json is not a result of this program" in note for note in recorder.notes)


@pytest.mark.slow
def test_interrupted_a_second_time_is_not_tried_again(configure, fakes):
    config = configure(trials=1)
    fakes.run(config)
    study = load_study(config.storage, config.study_name)
    study.enqueue_trial({"dropout": 0.123}, user_attrs={"retry_of": 0})
    for waiting in study.get_trials(states=(TrialState.WAITING,)):
        study.ask()
        assert waiting
    records = fakes.run(configure(trials=3))
    assert sum(record.counts for record in records) == 3
    retried = [
        trial for trial in load_study(config.storage, config.study_name).trials if trial.user_attrs.get("retry_of") == 5
    ]
    assert retried == []


@pytest.mark.parametrize("sampler", ["tpe", "planner"])
def test_interrupted_twice_a_candidate_has_failed_and_is_not_proposed_again(configure, fakes, sampler):
    """It may have taken the machine down: a study would not come past it."""
    fakes.changes["probe_side"] = Probing()
    config = configure(trials=6, heads=1, sampler=sampler, no_map=sampler == "tpe")
    for number in range(2):
        search = fakes.search(config, FakeWorkers())
        search.recover()
        if number == 0:
            search.asker.queue(first_candidates(search.space)[:1])
        search._ask()
        search._send()
    records = fakes.run(config)
    first, second = records[0], next(record for record in records[1:] if record.candidate == records[0].candidate)
    assert (first.state, first.counts, second.state, second.counts) == ("interrupted", False, "failed", True)
    assert second.reason == "the run ended before this trial did, as it did with the same candidate in trial 0"
    assert sum(record.counts for record in records) == 6
    assert [r.state for r in records if r.candidate == first.candidate and r.state == "complete"] == []


def test_what_was_interrupted_is_tried_alone(configure, fakes):
    """So that no other trial fails with it."""
    config = configure(trials=5, heads=8)
    search = fakes.search(config, FakeWorkers())
    heads = [each for each in first_candidates(search.space) if each.joins_heads][:1]
    search.asker.queue(heads)
    search._ask()
    search._ask()
    search._send()
    (legs,) = search.running.values()
    assert len(legs) > 1
    search.recover()
    for _ in legs:
        search._ask_one({})
    assert {leg.alone for leg in search.waiting} == {True}
    search._send()
    assert [len(legs) for legs in search.running.values()] == [1]


def test_left_over_trials_leave_only_the_checkpoints_of_those_tried_again(configure, recorder, fakes):
    config = configure(trials=4, epochs=4)
    search = fakes.search(config, FakeWorkers())
    for candidate in first_candidates(search.space)[:3]:
        search.study.enqueue_trial(parameters(candidate, search.space))
        search._ask_one({})
    finished, stopped, retried = jobs = [leg.job for leg in search.waiting]
    for job in jobs:
        fake_evaluate(job, 2)
    fake_evaluate(finished, 4)
    stop = dataclasses.replace(fake_evaluate(stopped, 2), stopped="at epoch 2")
    write_text(stopped.files.outcome, stop.to_json())
    (finished.checkpoint_path.parent / ".x.npz.99").touch()  # of a worker that was killed while it wrote
    search.recover()
    assert [record.state for record in search.records[:3]] == ["complete", "stopped", "interrupted"]
    assert list(finished.checkpoint_path.parent.iterdir()) == [retried.checkpoint_path]

    search._ask_one({})
    assert search.waiting[0].job.candidate == retried.candidate
    search.recover()  # a second time
    assert list(finished.checkpoint_path.parent.iterdir()) == []
    assert recorder.notes[-1] == "trial 3: interrupted a second time; not tried again"


def outcome(configure, tmp_path):
    config = configure()
    candidate = Candidate(
        backbone="custom_cnn",
        unfreeze_depth=0,
        head_width=0,
        dropout=0.1,
        learning_rate=1e-3,
        lr_schedule="cosine",
        resolution=32,
    )
    return fake_evaluate(Job(config, "id", 0, candidate, fake_facts(config), tmp_path), config.epochs)


def test_only_failures_of_one_kind_without_a_success_between_are_a_streak(configure, tmp_path):
    good, bad, worse = outcome(configure, tmp_path), Failure("a", "text"), Failure("b", "other")
    streak = Streak()
    for result in (bad, bad, good, bad, bad, worse, worse, bad, bad):
        streak.add(result, tmp_path / "x")
        streak.check([])
    streak.add(bad, tmp_path / "last")
    with pytest.raises(
        StudyStopped, match=f"^3 trials in a row failed in the same way .text.; details in {tmp_path}/last$"
    ):
        streak.check([])
