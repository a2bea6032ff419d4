"""The loop that asks and tells: counting, resuming, recovering, failing, and being the same again."""

import concurrent.futures
import dataclasses

import optuna
import pebble
import pytest
from optuna.trial import TrialState

import hpo.search
from hpo.evaluation import Job
from hpo.search import StudyStopped, explain, make_sampler, run_study
from hpo.space import parameters
from studies.records import WORKER_DIED
from studies.storage import StudyRefused, load_study
from tests.hpo.conftest import fake_evaluate

pytestmark = pytest.mark.usefixtures("fakes")


def candidates(records):
    return [record.candidate for record in records]


def test_a_study_has_the_wanted_number_of_trials(configure, recorder):
    records = run_study(configure(), recorder)
    assert [record.state for record in records] == ["complete"] * 8
    assert recorder.lines == [(n, "complete") for n in range(8)]


def test_known_good_candidates_come_first(configure, recorder):
    records = run_study(configure(trials=5), recorder)
    depths = [(c.unfreeze_depth, c.head_width, c.resolution) for c in candidates(records)]
    assert depths == [(0, 0, 32), (0, 0, 16), (1, 0, 32), (0, 256, 24), (2, 0, 24)]


def test_the_same_command_again_continues(configure, recorder):
    run_study(configure(trials=3), recorder)
    assert len([r for r in run_study(configure(trials=3), recorder) if r.state == "complete"]) == 3
    records = run_study(configure(trials=9), recorder)
    assert [record.state for record in records] == ["complete"] * 9
    assert len(set(candidates(records))) == 9


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "nsga3", "random"])
def test_same_seed_same_trials_in_one_run_or_two(configure, recorder, sampler, tmp_path):
    whole = run_study(configure(trials=14, sampler=sampler, study="whole"), recorder)
    run_study(configure(trials=6, sampler=sampler, study="parts"), recorder)
    parts = run_study(configure(trials=14, sampler=sampler, study="parts"), recorder)
    other = run_study(configure(trials=14, sampler=sampler, study="other", seed=1), recorder)
    if sampler in ("tpe", "random"):  # the queue is laid at once, so a population is the same only if asked for at once
        assert candidates(whole) == candidates(parts)
    again = run_study(configure(trials=14, sampler=sampler, study="again"), recorder)
    assert candidates(whole) == candidates(again)
    assert candidates(whole)[5:] != candidates(other)[5:]


def test_over_budget_is_marked_and_never_trained(configure, recorder):
    records = run_study(configure(max_latency_ms=2.5, max_gflops=0.001), recorder)
    states = {record.candidate.resolution: record.state for record in records}
    assert states == {16: "complete", 24: "complete", 32: "infeasible"}
    over = next(record for record in records if record.state == "infeasible")
    assert over.constraints == pytest.approx({"max_latency_ms": 0.7, "max_gflops": 1.024e-3 - 0.001})
    assert over.val_accuracy is None
    study = load_study(configure().storage, "custom_cnn-digits")
    frozen = study.trials[over.number]
    assert frozen.state == TrialState.PRUNED
    assert frozen.intermediate_values == {}
    assert frozen.system_attrs["constraints"] == pytest.approx([0.7, 2.4e-5])  # what the dashboard reads


def test_what_a_trial_leaves_in_the_database(configure, recorder):
    run_study(configure(trials=1), recorder)
    frozen = load_study(configure().storage, "custom_cnn-digits").trials[0]
    assert set(frozen.user_attrs) == {
        "candidate",
        "architecture",
        "measurement",
        "trainable_parameters",
        "best_epoch",
        "learning_curve",
        "seconds",
        "peak_memory_mib",
        "seed",
        "machine",
    }
    assert frozen.params == parameters(fake_candidate(frozen))
    assert frozen.values == [pytest.approx(0.82), 3.2, 1_024_000.0]


def fake_candidate(frozen):
    from models.candidate import Candidate

    return Candidate.from_dict(frozen.user_attrs["candidate"])


def fail_at(numbers, error):
    def evaluate(job: Job):
        if job.number in numbers:
            raise error
        return fake_evaluate(job)

    return evaluate


def test_a_failed_trial_counts_and_says_why(configure, recorder, fakes):
    fakes.setattr(hpo.search, "evaluate", fail_at({1}, MemoryError("3 GiB")))
    config = configure(trials=4)
    records = run_study(config, recorder)
    assert [record.state for record in records if record.counts] == ["complete", "failed", "complete", "complete"]
    assert records[1].reason == "out of memory: 3 GiB"
    assert "MemoryError: 3 GiB" in (config.study_dir / "trials" / "00001.error.txt").read_text()


def test_three_failures_alike_stop_the_study(configure, recorder, fakes):
    fakes.setattr(hpo.search, "evaluate", fail_at({1, 2, 3}, RuntimeError("no such op\nmore")))
    with pytest.raises(StudyStopped, match="3 trials in a row failed alike .RuntimeError: no such op.") as stopped:
        run_study(configure(), recorder)
    assert [record.state for record in stopped.value.records[:4]] == ["complete", "failed", "failed", "failed"]


def test_three_different_failures_do_not(configure, recorder, fakes):
    errors = iter([RuntimeError("a"), MemoryError("b"), RuntimeError("c")])

    def evaluate(job):
        if job.number in (1, 2, 3):
            raise next(errors)
        return fake_evaluate(job)

    fakes.setattr(hpo.search, "evaluate", evaluate)
    records = run_study(configure(), recorder)
    assert sum(record.counts for record in records) == 8


def test_a_dead_worker_costs_no_trial(configure, recorder, fakes):
    dead = pebble.ProcessExpired("died", code=-9)
    fakes.setattr(hpo.search, "evaluate", fail_at({1}, dead))
    records = run_study(configure(trials=6), recorder)
    assert [record.state for record in records if record.counts] == ["complete"] * 6
    assert records[1].state == "interrupted"
    assert "signal 9" in records[1].reason
    again = [record for record in records if record.candidate == records[1].candidate]
    assert [record.state for record in again] == ["interrupted", "complete"]


def test_left_over_trials_are_settled(configure, recorder):
    """Three RUNNING trials as a SIGKILL leaves them: with a result on disk, without, and hardly begun."""
    config = configure(trials=2)
    run_study(config, recorder)
    study = load_study(config.storage, config.study_name)
    facts = hpo.search.prepare(config)
    space = hpo.search.make_space(config.backbone, facts.blocks, False, facts.resolutions)
    search = hpo.search.Search(config, study, space, None, recorder)

    class Nothing:
        def submit(self, function, job):
            return concurrent.futures.Future()

    search.workers = Nothing()
    search._ask()
    search._ask()
    study.ask()
    with_result = next(job for _, job in search.running.values() if job.number == 2)
    outcome = fake_evaluate(with_result)

    records = run_study(configure(trials=8), recorder)
    assert records[2].state == "complete"
    assert records[2].val_accuracy == outcome.val_accuracy
    assert records[3].state == records[4].state == "interrupted"
    assert sum(record.counts for record in records) == 8
    assert [r.state for r in records if r.candidate == records[3].candidate] == ["interrupted", "complete"]
    assert not [record for record in records if record.state == "running"]


def test_a_result_of_another_study_is_not_taken(configure, recorder):
    config = configure(trials=1)
    run_study(config, recorder)
    path = config.study_dir / "trials" / "00000.json"
    foreign = path.read_text()
    other = configure(trials=1, storage=config.storage.replace("studies.db", "other.db"))
    run_study(other, recorder)
    study = load_study(other.storage, other.study_name)
    trial = study.ask()
    trial.set_user_attr("candidate", study.trials[0].user_attrs["candidate"])
    (config.study_dir / "trials" / "00001.json").write_text(foreign)  # another study's id
    records = run_study(configure(trials=2, storage=other.storage), recorder)
    assert records[1].state == "interrupted"


def test_interrupted_a_second_time_is_not_tried_again(configure, recorder, fakes):
    config = configure(trials=1)
    run_study(config, recorder)
    study = load_study(config.storage, config.study_name)
    study.enqueue_trial({"dropout": 0.123}, user_attrs={"retry_of": 0})
    for waiting in study.get_trials(states=(TrialState.WAITING,)):
        study.ask()
        assert waiting
    records = run_study(configure(trials=3), recorder)
    assert sum(record.counts for record in records) == 3
    retried = [
        trial for trial in load_study(config.storage, config.study_name).trials if trial.user_attrs.get("retry_of") == 5
    ]
    assert retried == []


def test_ctrl_c_leaves_nothing_running(configure, recorder, fakes):
    def evaluate(job):
        if job.number == 2:
            raise KeyboardInterrupt
        return fake_evaluate(job)

    fakes.setattr(hpo.search, "evaluate", evaluate)
    with pytest.raises(KeyboardInterrupt):
        run_study(configure(), recorder)
    study = load_study(configure().storage, "custom_cnn-digits")
    assert not study.get_trials(states=(TrialState.RUNNING,))
    fakes.setattr(hpo.search, "evaluate", fake_evaluate)
    records = run_study(configure(), recorder)
    assert sum(record.counts for record in records) == 8


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"seed": 1}, "seed"),
        ({"epochs": 3}, "epochs"),
        ({"resolutions": (16, 32)}, "space"),
        ({"max_latency_ms": 5.0}, "max_latency_ms"),
        ({"batch_size": 8}, "batch_size"),
    ],
)
def test_another_fingerprint_is_refused(configure, recorder, change, field):
    run_study(configure(trials=1), recorder)
    with pytest.raises(StudyRefused, match=f"made with other settings: {field} "):
        run_study(configure(trials=1, **change), recorder)


def test_what_may_change_between_two_runs(configure, recorder):
    run_study(configure(trials=1), recorder)
    records = run_study(configure(trials=2, sampler="random", timeout=100.0), recorder)
    assert sum(record.counts for record in records) == 2


def test_timeout_starts_no_new_trial(configure, recorder):
    records = run_study(configure(trials=50, timeout=1e-9), recorder)
    assert sum(record.counts for record in records) == 0


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (pebble.ProcessExpired("", code=-9), WORKER_DIED, "signal 9"),
        (pebble.ProcessExpired("", code=1), WORKER_DIED, "exit code 1"),
        (concurrent.futures.CancelledError(), "stalled", "no sign of life for 60 s"),
        (MemoryError(), "out of memory", "MemoryError"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory"), "out of memory", "RESOURCE_EXHAUSTED"),
        (KeyError("x"), "KeyError", "KeyError: 'x'"),
    ],
)
def test_reasons(error, kind, reason):
    found = explain(error, 60.0)
    assert found[0] == kind
    assert reason in found[1]


def test_unknown_sampler():
    with pytest.raises(ValueError, match="sampler must be .*Received: 'cmaes'"):
        make_sampler("cmaes", 0)
    assert isinstance(make_sampler("tpe", 0), optuna.samplers.TPESampler)


def test_seeds_differ_between_trials_and_studies(configure, tmp_path):
    job = Job(configure(), "id", 0, fake_candidate_of(), (32,), tmp_path)
    seeds = {job.seed, dataclasses.replace(job, number=1).seed, dataclasses.replace(job, config=configure(seed=1)).seed}
    assert len(seeds) == 3
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert job.seed == dataclasses.replace(job).seed


def fake_candidate_of():
    from models.candidate import Candidate

    return Candidate("custom_cnn", 0, 0, 0.1, 1e-3, "cosine", 32)
