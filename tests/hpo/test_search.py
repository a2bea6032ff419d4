"""The loop that asks and tells: counting, resuming, recovering, failing, and being the same again."""

import concurrent.futures
import dataclasses
from concurrent.futures.process import BrokenProcessPool

import pebble
import pytest
from optuna.trial import TrialState

import hpo.search
from hpo.evaluation import Job
from hpo.search import StudyStopped, run_study
from hpo.space import parameters
from models.candidate import Candidate
from studies.storage import StudyRefused, load_study, open_storage, open_study
from tests.hpo.conftest import fake_evaluate, fake_facts, fake_group

pytestmark = pytest.mark.usefixtures("fakes")


def candidates(records):
    return [record.candidate for record in records]


def test_a_study_has_the_wanted_number_of_trials(configure, recorder):
    records = run_study(configure(), recorder)
    assert [record.state for record in records] == ["complete"] * 8
    assert recorder.lines == [(n, "complete") for n in range(8)]


def new_search(config, recorder, workers):
    facts = hpo.search.prepare(config)
    space = hpo.search.make_space(config.backbone, facts.blocks, False, facts.resolutions)
    mark = hpo.search.fingerprint(config, facts, space)
    study = open_study(open_storage(config.storage, write=True), config.study_name, mark)
    return hpo.search.Search(config, study, facts, space, workers, recorder)


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
def test_same_seed_same_trials_in_one_run_or_two(configure, recorder, sampler):
    """With `heads=1`: where a run ends, a group of heads ends too, and TPE proposes the next ones knowing more."""

    def run(study, trials=14, **values):
        return run_study(configure(trials=trials, sampler=sampler, study=study, heads=1, **values), recorder)

    whole = run("whole")
    run("parts", trials=6)
    parts, other = run("parts"), run("other", seed=1)
    if sampler in ("tpe", "random"):  # the queue is laid at once, so a population is the same only if asked for at once
        assert candidates(whole) == candidates(parts)
    again = run("again")
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
        "plan",
    }
    assert frozen.params == parameters(Candidate.from_dict(frozen.user_attrs["candidate"]))
    assert frozen.values == [pytest.approx(0.82 - 0.15), 3.2, 1_024_000.0]


def fail_at(numbers, error):
    def evaluate(jobs, until, alive, seconds):
        seconds[0]["build"] = 0.25
        if numbers & {job.number for job in jobs}:
            raise error
        return fake_group(jobs, until)

    return evaluate


def test_a_failed_trial_counts_and_says_why(configure, recorder, fakes):
    fakes.setattr(hpo.evaluation, "evaluate", fail_at({1}, MemoryError("3 GiB")))
    config = configure(trials=4)
    records = run_study(config, recorder)
    assert [record.state for record in records if record.counts] == ["complete", "failed", "complete", "complete"]
    assert records[1].reason == "out of memory: 3 GiB"
    attrs = load_study(config.storage, config.study_name).trials[1].user_attrs
    assert attrs["seconds"] == {"build": 0.25}
    assert {"seed", "machine", "peak_memory_mib", "candidate"} <= set(attrs)
    assert "MemoryError: 3 GiB" in (config.study_dir / "trials" / "00001.error.txt").read_text()


def test_three_failures_alike_stop_the_study(configure, recorder, fakes):
    fakes.setattr(hpo.evaluation, "evaluate", fail_at({1, 2, 3}, RuntimeError("no such op\nmore")))
    with pytest.raises(StudyStopped, match="3 trials in a row failed alike .RuntimeError: no such op.") as stopped:
        run_study(configure(), recorder)
    assert [record.state for record in stopped.value.records[:4]] == ["complete", "failed", "failed", "failed"]


def test_three_different_failures_do_not(configure, recorder, fakes):
    errors = iter([RuntimeError("a"), MemoryError("b"), RuntimeError("c")])

    def evaluate(jobs, until, alive, seconds):
        if jobs[0].number in (1, 2, 3):
            raise next(errors)
        return fake_group(jobs, until)

    fakes.setattr(hpo.evaluation, "evaluate", evaluate)
    records = run_study(configure(), recorder)
    assert sum(record.counts for record in records) == 8


def test_a_dead_worker_costs_no_trial(configure, recorder, fakes):
    def die(jobs, until):
        if jobs[0].number == 1:
            raise pebble.ProcessExpired("died", code=-9)
        return fake_group(jobs, until)

    fakes.setattr(hpo.search, "attempt", die)
    records = run_study(configure(trials=6), recorder)
    assert [record.state for record in records if record.counts] == ["complete"] * 6
    assert records[1].state == "interrupted"
    assert "signal 9" in records[1].reason
    again = [record for record in records if record.candidate == records[1].candidate]
    assert [record.state for record in again] == ["interrupted", "complete"]


@pytest.mark.parametrize("error", [pebble.ProcessExpired("died", code=-9), BrokenProcessPool("no worker left")])
def test_a_worker_that_dies_twice_on_a_candidate_is_the_candidates_failure(configure, recorder, fakes, error):
    doomed = set()

    def evaluate(jobs, until):
        if not doomed or jobs[0].candidate in doomed:
            doomed.add(jobs[0].candidate)
            raise error
        return fake_group(jobs, until)

    fakes.setattr(hpo.search, "attempt", evaluate)
    records = run_study(configure(trials=6), recorder)
    assert sum(record.counts for record in records) == 6
    assert [record.state for record in records if record.candidate in doomed] == ["interrupted", "failed"]


def test_a_trial_without_signs_of_life_is_given_up(configure, recorder):
    config = configure(trials=5, stall_timeout=0.5)

    class Workers:
        def submit(self, function, jobs, until):
            future = concurrent.futures.Future()
            if jobs[0].number != 1:  # trial 1 stays silent for ever
                future.set_result(fake_group(jobs, until))
            return future

    search = new_search(config, recorder, Workers())
    search.run()
    states = [record.state for record in search.records if record.counts]
    assert states == ["complete", "failed", "complete", "complete", "complete"]
    assert search.records[1].reason == "no sign of life for 0.5 s"


def test_trials_that_end_out_of_order_are_each_counted_once(configure, recorder):
    held = []

    class Workers:
        """Trials 6 and 7 are asked for together, and 6 ends after 7 and 8."""

        def submit(self, function, jobs, until):
            future = concurrent.futures.Future()
            if jobs[0].number == 6:
                held.append((future, jobs))
            else:
                future.set_result(fake_group(jobs, until))
            if jobs[0].number == 8:
                held[0][0].set_result(fake_group(held[0][1], until))
            return future

    search = new_search(configure(trials=10, workers=2, heads=1), recorder, Workers())
    told = recorder.told

    def check(record, records):
        assert [one.number for one in records] == list(range(len(records)))
        told(record, records)

    recorder.told = check
    search.run()
    assert sorted(recorder.lines) == [(number, "complete") for number in range(10)]
    assert recorder.lines.index((7, "complete")) < recorder.lines.index((6, "complete"))


def test_left_over_trials_are_settled(configure, recorder):
    """Three RUNNING trials as a SIGKILL leaves them: with a result on disk, without, and hardly begun."""
    config = configure(trials=2)
    run_study(config, recorder)
    study = load_study(config.storage, config.study_name)

    class Nothing:
        def submit(self, function, jobs, until):
            return concurrent.futures.Future()

    search = new_search(configure(trials=4), recorder, Nothing())
    for _ in range(2):
        search._ask()
        search._send()
    study.ask()
    with_result = next(leg.job for legs in search.running.values() for leg in legs if leg.job.number == 2)
    outcome = fake_evaluate(with_result, config.epochs)

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


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"study_id": "x"}'])
def test_a_file_that_is_no_result_is_named_and_not_taken(configure, recorder, content):
    config = configure(trials=1)
    run_study(config, recorder)
    load_study(config.storage, config.study_name).ask()
    (config.study_dir / "trials" / "00001.json").write_text(content)
    assert run_study(configure(trials=2), recorder)[1].state == "interrupted"
    assert any("00001.json is not a result of this program" in note for note in recorder.notes)


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
    def evaluate(jobs, until, alive, seconds):
        if jobs[0].number == 2:
            raise KeyboardInterrupt
        return fake_group(jobs, until)

    fakes.setattr(hpo.evaluation, "evaluate", evaluate)
    with pytest.raises(KeyboardInterrupt):
        run_study(configure(), recorder)
    study = load_study(configure().storage, "custom_cnn-digits")
    assert not study.get_trials(states=(TrialState.RUNNING,))
    fakes.setattr(hpo.evaluation, "evaluate", lambda jobs, until, alive, seconds: fake_group(jobs, until))
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


def test_a_death_before_the_first_trial(configure, recorder, fakes):
    def prepare(config):
        raise pebble.ProcessExpired("", code=-11)

    fakes.setattr(hpo.search, "prepare", prepare)
    with pytest.raises(StudyStopped, match="before the first trial: the worker process died .signal 11."):
        run_study(configure(), recorder)


def test_the_seed_is_the_studys(configure, tmp_path):
    """So that candidates see one order of pictures and one dropout noise, and differ by what they are."""
    config = configure(seed=7)
    job = Job(config, "id", 0, Candidate("custom_cnn", 0, 0, 0.1, 1e-3, "cosine", 32), fake_facts(config), tmp_path)
    other = dataclasses.replace(job.candidate, dropout=0.2)
    assert job.seed == dataclasses.replace(job, candidate=other, number=3).seed == 7
