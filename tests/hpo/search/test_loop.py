"""The loop that asks and tells: counting, resuming, recovering, failing, and being the same again."""

import concurrent.futures
import dataclasses

import pytest
from optuna.trial import TrialState

import hpo.search.loop
import hpo.worker.trial
from hpo.config import make_config
from hpo.errors import StudyStopped, TaskFailed, WorkerLost
from hpo.search.loop import Leg
from hpo.search.space import make_space, parameters
from hpo.search.stopping import Decision, Reached
from hpo.worker import checkpoints
from hpo.worker.job import Job, Measured
from models.candidate import Candidate
from studies.outcomes import Failure, Outcome
from studies.storage import StudyRefused, load_study
from tests import made
from tests.hpo.conftest import FakeWorkers, Probing, fake_accuracy, fake_evaluate, fake_facts, fake_group, fake_task

DIED = WorkerLost("the worker process died (signal 9)")  # as `hpo.worker.executor.answer` says it


def candidates(records):
    return [record.candidate for record in records]


def test_a_study_has_the_wanted_number_of_trials(configure, recorder, fakes):
    records = fakes.run(configure())
    assert [record.state for record in records] == ["complete"] * 8
    assert recorder.lines == [(n, "complete") for n in range(8)]


def test_known_good_candidates_come_first(configure, fakes):
    records = fakes.run(configure(trials=5))
    depths = [(c.unfreeze_depth, c.head_width, c.resolution) for c in candidates(records)]
    assert depths == [(0, 0, 32), (0, 0, 16), (1, 0, 32), (0, 256, 24), (2, 0, 24)]


def test_the_same_command_again_continues(configure, fakes):
    fakes.run(configure(trials=3))
    assert len([r for r in fakes.run(configure(trials=3)) if r.state == "complete"]) == 3
    records = fakes.run(configure(trials=9))
    assert [record.state for record in records] == ["complete"] * 9
    assert len(set(candidates(records))) == 9


@pytest.mark.parametrize(
    "sampler", ["tpe", *(pytest.param(name, marks=pytest.mark.slow) for name in ("nsga2", "nsga3", "random"))]
)
def test_same_seed_same_trials_in_one_run_or_two(configure, sampler, fakes):
    """With `heads=1`: where a run ends, a group of heads ends too, and TPE proposes the next ones knowing more."""

    def run(study, trials=12, **values):
        return fakes.run(configure(trials=trials, sampler=sampler, study=study, heads=1, **values))

    whole = run("whole")
    run("parts", trials=6)
    parts, other = run("parts"), run("other", seed=1)
    if sampler in ("tpe", "random"):  # the queue is laid at once, so a population is the same only if asked for at once
        assert candidates(whole) == candidates(parts)
    again = run("again")
    assert candidates(whole) == candidates(again)
    assert candidates(whole)[5:] != candidates(other)[5:]


def test_over_budget_is_marked_and_never_trained(configure, fakes):
    records = fakes.run(configure(max_latency_ms=2.5, max_gflops=0.001))
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


def test_what_a_trial_leaves_in_the_database(configure, fakes):
    fakes.run(configure(trials=1))
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
    assert frozen.params == parameters(Candidate.from_dict(frozen.user_attrs["candidate"]), SPACE)
    assert frozen.values == [pytest.approx(0.82 - 0.15), 3.2, 1_024_000.0]


def fail_at(numbers, error):
    def evaluate(jobs, until, alive, seconds):
        seconds[0]["build"] = 0.25
        if numbers & {job.number for job in jobs}:
            raise error
        return fake_group(jobs, until)

    return evaluate


def test_a_failed_trial_counts_and_says_why(configure, fakes):
    fakes.evaluate = fail_at({1}, MemoryError("3 GiB"))
    config = configure(trials=4)
    records = fakes.run(config)
    assert [record.state for record in records if record.counts] == ["complete", "failed", "complete", "complete"]
    assert records[1].reason == "out of memory: 3 GiB"
    attrs = load_study(config.storage, config.study_name).trials[1].user_attrs
    assert attrs["seconds"] == {"build": 0.25}
    assert {"seed", "machine", "peak_memory_mib", "candidate"} <= set(attrs)
    assert "MemoryError: 3 GiB" in (config.study_dir / "trials" / "00001.error.txt").read_text()


def test_three_failures_alike_stop_the_study(configure, fakes):
    fakes.evaluate = fail_at({1, 2, 3}, RuntimeError("no such op\nmore"))
    with pytest.raises(
        StudyStopped, match="3 trials in a row failed in the same way .RuntimeError: no such op."
    ) as stopped:
        fakes.run(configure())
    assert [record.state for record in stopped.value.records[:4]] == ["complete", "failed", "failed", "failed"]


def test_three_different_failures_do_not(configure, fakes):
    errors = iter([RuntimeError("a"), MemoryError("b"), RuntimeError("c")])

    def evaluate(jobs, until, alive, seconds):
        if jobs[0].number in (1, 2, 3):
            raise next(errors)
        return fake_group(jobs, until)

    fakes.evaluate = evaluate
    records = fakes.run(configure())
    assert sum(record.counts for record in records) == 8


def test_a_dead_worker_costs_no_trial(configure, fakes):
    def die(jobs, until):
        if jobs[0].number == 1:
            raise DIED
        return fake_group(jobs, until)

    fakes.attempt = die
    records = fakes.run(configure(trials=6))
    assert [record.state for record in records if record.counts] == ["complete"] * 6
    assert records[1].state == "interrupted"
    assert "signal 9" in records[1].reason
    again = [record for record in records if record.candidate == records[1].candidate]
    assert [record.state for record in again] == ["interrupted", "complete"]


def test_a_worker_that_dies_twice_on_a_candidate_is_the_candidates_failure(configure, fakes):
    doomed = set()

    def evaluate(jobs, until):
        if not doomed or jobs[0].candidate in doomed:
            doomed.add(jobs[0].candidate)
            raise DIED
        return fake_group(jobs, until)

    fakes.attempt = evaluate
    records = fakes.run(configure(trials=6))
    assert sum(record.counts for record in records) == 6
    assert [record.state for record in records if record.candidate in doomed] == ["interrupted", "failed"]


def test_a_trial_without_signs_of_life_is_given_up(configure, fakes):
    config = configure(trials=5, stall_timeout=0.5)

    class Workers(FakeWorkers):
        def submit(self, function, jobs, until, **where):
            future = concurrent.futures.Future()
            if jobs[0].number != 1:  # trial 1 stays silent for ever
                future.set_result(fake_group(jobs, until))
            return future

    search = fakes.search(config, Workers())
    search.run()
    states = [record.state for record in search.records if record.counts]
    assert states == ["complete", "failed", "complete", "complete", "complete"]
    assert search.records[1].reason == "no sign of life for 0.5 s"


def test_trials_that_end_out_of_order_are_each_counted_once(configure, recorder, fakes):
    held = []

    class Workers(FakeWorkers):
        """Trials 6 and 7 are asked for together, and 6 ends after 7 and 8."""

        def submit(self, function, jobs, until, **where):
            future = concurrent.futures.Future()
            if jobs[0].number == 6:
                held.append((future, jobs))
            else:
                future.set_result(fake_group(jobs, until))
            if jobs[0].number == 8:
                held[0][0].set_result(fake_group(held[0][1], until))
            return future

    search = fakes.search(configure(trials=10, heads=1), Workers(2))
    told = recorder.told

    def check(record, records):
        assert [one.number for one in records] == list(range(len(records)))
        told(record, records)

    recorder.told = check
    search.run()
    assert sorted(recorder.lines) == [(number, "complete") for number in range(10)]
    assert recorder.lines.index((7, "complete")) < recorder.lines.index((6, "complete"))


def test_ctrl_c_leaves_nothing_running(configure, fakes):
    def evaluate(jobs, until, alive, seconds):
        if jobs[0].number == 2:
            raise KeyboardInterrupt
        return fake_group(jobs, until)

    fakes.evaluate = evaluate
    with pytest.raises(KeyboardInterrupt):
        fakes.run(configure())
    study = load_study(configure().storage, "custom_cnn-digits")
    assert not study.get_trials(states=(TrialState.RUNNING,))
    fakes.evaluate = fake_task
    records = fakes.run(configure())
    assert sum(record.counts for record in records) == 8


def test_ctrl_c_says_nothing_about_a_candidate_however_often(configure, fakes):
    """A trial of hours may be interrupted each evening."""
    config, evenings = configure(trials=8, heads=1), []

    def evaluate(jobs, until, alive, seconds):
        if not evenings or (jobs[0].candidate == evenings[0] and len(evenings) < 4):
            evenings.append(jobs[0].candidate)
            raise KeyboardInterrupt
        return fake_group(jobs, until)

    fakes.evaluate = evaluate
    for _ in range(4):
        with pytest.raises(KeyboardInterrupt):
            fakes.run(config)
    records = fakes.run(config)
    assert [record.state for record in records if record.candidate == evenings[0]] == [*["interrupted"] * 4, "complete"]
    assert sum(record.counts for record in records) == 8 and not [one for one in records if one.state == "failed"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"seed": 1}, "seed"),
        ({"epochs": 3}, "epochs"),
        ({"resolutions": (16, 32)}, "space.resolution"),
        ({"max_latency_ms": 5.0}, "max_latency_ms"),
        ({"batch_size": 8}, "space.batch_size"),
        ({"stopping": "dominance"}, "stopping"),
        ({"augment": "light"}, "space.augmentation"),
        ({"search": "pooling"}, "space.pooling"),
        ({"strategy": "progressive"}, "space.strategy"),
        ({"cache_dtype": "float32"}, "cache_dtype"),
    ],
)
def test_another_fingerprint_is_refused(configure, change, field, fakes):
    fakes.run(configure(trials=1))
    with pytest.raises(StudyRefused, match=f"made with other settings: {field} "):
        fakes.run(configure(trials=1, **change))


def test_what_may_change_between_two_runs(configure, fakes):
    fakes.run(configure(trials=1))
    records = fakes.run(configure(trials=2, sampler="random", timeout=100.0))
    assert sum(record.counts for record in records) == 2


def test_timeout_starts_no_new_trial(configure, fakes):
    records = fakes.run(configure(trials=50, timeout=1e-9))
    assert sum(record.counts for record in records) == 0


def test_a_death_before_the_first_trial(configure, fakes):
    def prepare(config):
        raise WorkerLost("the worker process died (signal 11)")

    fakes.prepare = prepare
    with pytest.raises(StudyStopped, match="before the first trial: the worker process died .signal 11."):
        fakes.run(configure())


def test_the_seed_is_the_studys(configure, tmp_path):
    """So that candidates see one order of pictures and one dropout noise, and differ by what they are."""
    config = configure(seed=7)
    job = Job(
        config,
        "id",
        0,
        Candidate(
            backbone="custom_cnn",
            unfreeze_depth=0,
            head_width=0,
            dropout=0.1,
            learning_rate=1e-3,
            lr_schedule="cosine",
            resolution=32,
        ),
        fake_facts(config),
        tmp_path,
    )
    other = dataclasses.replace(job.candidate, dropout=0.2)
    assert job.seed == dataclasses.replace(job, candidate=other, number=3).seed == 7


HEAD = made.candidate(head_width=128, dropout=0.2, lr_schedule="cosine", resolution=24)
TAIL = dataclasses.replace(HEAD, unfreeze_depth=1)
SPACE = make_space(make_config({}), (1, 2, 3, 4), (16, 32))
BY_NUMBER = (0.5, 0.6, 0.4, 0.7)  # accuracies of trials 0 to 3 after any epoch


@pytest.fixture
def watched(fakes):
    """Begins the study with the candidates given and keeps account of the tasks: numbers, until, what was done then."""

    def watch(*first, accuracy=lambda job, epoch: BY_NUMBER[job.number]):
        tasks = []

        def evaluate(jobs, until, alive, seconds):
            begun = [checkpoints.load(job.checkpoint_path) for job in jobs]
            tasks.append(([job.number for job in jobs], until, [len(one.curve) if one else 0 for one in begun]))
            return fake_group(jobs, until, accuracy)

        fakes.changes["first_candidates"] = lambda space: first
        fakes.evaluate = evaluate
        return tasks

    return watch


@pytest.fixture
def rungs(configure, fakes):
    """Settings with rungs after epochs 1 and 2, and candidates that differ in accuracy alone."""
    fakes.changes["first_rung"] = 1

    def make(**values):
        common = {"stopping": "dominance", "epochs": 4, "reduction_factor": 2, "resolutions": (24,), "trials": 4}
        return configure(**common | values)

    return make


def test_a_trial_is_stopped_at_a_rung_by_those_before(rungs, watched, fakes):
    tasks = watched(TAIL)
    config = rungs(heads=1, max_latency_ms=3.0)
    records = fakes.run(config)
    full = [(1, [0]), (2, [1]), (4, [2])]
    assert tasks == [([n], *leg) for n in range(4) for leg in (full if n != 2 else full[:1])]
    assert [record.state for record in records] == ["complete", "complete", "stopped", "complete"]
    assert [record.seconds for record in records] == [0.75, 0.75, 0.25, 0.75]
    assert [record.epochs for record in records] == [4, 4, 1, 4]
    stopped = records[2]
    assert stopped.val_accuracy is None
    assert stopped.learning_curve == [{"epoch": 1, "val_accuracy": 0.4}]
    assert stopped.reason == (
        "stopped at epoch 1: val_accuracy 0.400 is 3rd of 3 that are no slower and no costlier; the best one goes on"
    )
    frozen = load_study(config.storage, config.study_name).trials[2]
    assert (frozen.state, frozen.intermediate_values) == (TrialState.PRUNED, {})
    assert dict(frozen.constraints)["max_latency_ms"] == pytest.approx(-0.6)
    assert frozen.system_attrs["constraints"] == pytest.approx([-0.6])
    left = Outcome.from_json((config.study_dir / "trials" / "00002.json").read_text())
    assert (left.stopped, left.val_accuracy, len(left.curve)) == (stopped.reason, 0.4, 1)
    assert list((config.study_dir / "trials" / "checkpoints").iterdir()) == []


def test_a_stopped_trial_ends_a_row_of_failures(rungs, watched, fakes):
    accuracies = [0.7, 0.8, 0.0, 0.1, 0.0, 0.1, 0.0]  # 2, 4 and 6 fail, 3 and 5 are stopped between them
    watched(TAIL)

    def evaluate(jobs, until, alive, seconds):
        if jobs[0].number in (2, 4, 6):
            raise RuntimeError("no such op")
        return fake_group(jobs, until, lambda job, epoch: accuracies[job.number])

    fakes.evaluate = evaluate
    records = fakes.run(rungs(heads=1, trials=7))
    states = ["complete", "complete", "failed", "stopped", "failed", "stopped", "failed"]
    assert [record.state for record in records] == states


@pytest.mark.parametrize("rule", ["dominance", "moasha", "none"])
def test_the_rule_that_was_chosen_decides(rungs, watched, fakes, rule):
    tasks = watched(TAIL)
    asked = []

    def decide(name, own, others, factor):
        asked.append((name, own, [other.number for other in others], factor))
        return Decision(own.number == 1, "because")

    fakes.changes["decide"] = decide
    records = fakes.run(rungs(heads=1, trials=2, stopping=rule, reduction_factor=3))
    if rule == "none":
        assert (tasks, asked) == ([([0], 4, [0]), ([1], 4, [0])], [])
        return
    cost = (2.4, 576_000.0, pytest.approx(0.36))
    assert asked == [
        (rule, Reached(0, 0.5, *cost), [], 3),
        (rule, Reached(0, 0.5, *cost), [], 3),
        (rule, Reached(1, 0.6, *cost), [0], 3),
    ]
    assert [record.reason for record in records] == ["", "stopped at epoch 1: because"]


def test_trials_that_pass_a_rung_in_another_order(rungs, recorder, watched, fakes):
    watched(TAIL)
    held = []

    class Workers(FakeWorkers):
        """Trial 0 comes to its first rung after trial 1 has passed all of them."""

        def submit(self, function, jobs, until, **where):
            future = concurrent.futures.Future()
            if jobs[0].number == 0:
                held.append((future, jobs, until))
            else:
                future.set_result(function(jobs, until))
            if (jobs[0].number, until) == (1, 4):
                late, *arguments = held[0]
                late.set_result(function(*arguments))
            return future

    search = fakes.search(rungs(trials=2, heads=1), Workers(2))
    search.run()
    assert sorted(recorder.lines) == [(0, "stopped"), (1, "complete")]
    assert search.records[0].reason.startswith("stopped at epoch 1: val_accuracy 0.500 is 2nd of 2 ")
    assert len(held) == 1


def test_heads_are_trained_together_and_told_one_by_one(rungs, recorder, watched, fakes):
    tasks = watched(HEAD)
    config = rungs()
    records = fakes.run(config)
    assert tasks == [
        ([0, 1, 2, 3], 1, [0, 0, 0, 0]),
        ([1, 3], 2, [1, 1]),  # each is compared with all four
        ([3], 4, [2]),
    ]
    assert {(r.candidate.unfreeze_depth, r.candidate.resolution) for r in records} == {(0, 24)}
    assert len({record.candidate for record in records}) == 4
    assert recorder.lines == [(0, "stopped"), (2, "stopped"), (1, "stopped"), (3, "complete")]
    assert [record.seconds for record in records] == [0.25, 0.5, 0.25, 0.75]
    assert [record.val_accuracy for record in records] == [None, None, None, 0.7]
    names = {f"{number:05d}.json" for number in range(4)}
    assert names == {path.name for path in (config.study_dir / "trials").glob("*.json")}


def numbers_of(tasks):
    return [numbers for numbers, *_ in tasks]


def test_no_more_heads_than_trials_wanted_or_heads_allowed(configure, watched, fakes):
    tasks = watched(HEAD, accuracy=fake_accuracy)
    fakes.run(configure(trials=3))
    assert numbers_of(tasks) == [[0, 1, 2]]
    tasks = watched(HEAD, accuracy=fake_accuracy)
    fakes.run(configure(trials=2, heads=2, study="two"))
    assert numbers_of(tasks) == [[0, 1]]


def test_one_head_at_a_time_if_asked_to(configure, watched, fakes):
    tasks = watched(HEAD, accuracy=fake_accuracy)
    fakes.run(configure(trials=4, heads=1))
    assert numbers_of(tasks) == [[0], [1], [2], [3]]


def test_a_tail_is_trained_alone(configure, watched, fakes):
    tasks = watched(TAIL, accuracy=fake_accuracy)
    fakes.run(configure(trials=1))
    assert numbers_of(tasks) == [[0]]


def test_nothing_is_asked_for_beside_a_queue(configure, watched, fakes):
    tasks = watched(HEAD, dataclasses.replace(HEAD, dropout=0.1), TAIL, HEAD, accuracy=fake_accuracy)
    fakes.run(configure(trials=4))
    assert numbers_of(tasks)[:3] == [[0], [1], [2]]
    assert [number for numbers in numbers_of(tasks) for number in numbers] == [0, 1, 2, 3]


def test_one_failing_head_does_not_fail_the_others(configure, watched, fakes):
    watched(HEAD)

    def evaluate(jobs, until, alive, seconds):
        if 2 in [job.number for job in jobs]:
            raise MemoryError("3 GiB")
        return fake_group(jobs, until)

    fakes.evaluate = evaluate
    records = fakes.run(configure(trials=4))
    assert [record.state for record in records] == ["complete", "complete", "failed", "complete"]
    assert records[2].reason == "out of memory: 3 GiB"


def test_a_worker_that_dies_with_a_group_is_one_failure(configure, watched, fakes):
    """And each of the group is tried again, alone."""
    tasks = watched(HEAD, accuracy=fake_accuracy)

    def attempt(jobs, until):
        if len(jobs) > 1:
            raise DIED
        return hpo.worker.trial.attempt(jobs, until, fakes.evaluate)

    fakes.attempt = attempt
    records = fakes.run(configure(trials=4))
    assert [record.state for record in records] == ["interrupted"] * 4 + ["complete"] * 4
    assert candidates(records)[:4] == candidates(records)[4:]
    assert numbers_of(tasks) == [[4], [5], [6], [7]]


@pytest.mark.slow
def test_a_group_that_stalls_is_tried_again_one_by_one(configure, watched, fakes):
    watched(HEAD, accuracy=fake_accuracy)

    class Workers(FakeWorkers):
        def submit(self, function, jobs, until, **where):
            future = concurrent.futures.Future()
            if len(jobs) == 1:
                future.set_result(function(jobs, until))
            return future

    search = fakes.search(configure(trials=3, stall_timeout=0.5), Workers())
    search.run()
    assert [record.state for record in search.records] == ["interrupted"] * 3 + ["complete"] * 3
    assert search.records[0].reason == "no sign of life for 0.5 s"


def test_an_exact_duplicate_is_never_trained(configure, recorder, watched, fakes):
    tasks = watched(TAIL, accuracy=fake_accuracy)
    config = configure(trials=1)
    fakes.run(config)
    study = load_study(config.storage, config.study_name)
    study.enqueue_trial(parameters(TAIL, SPACE))
    records = fakes.run(configure(trials=3, heads=1))
    assert [record.state for record in records] == ["complete", "duplicate", "complete"]
    assert all(record.counts for record in records)
    assert records[1].reason == "the same as trial 0"
    assert (1, "duplicate") in recorder.lines
    assert numbers_of(tasks) == [[0], [2]]
    frozen = study.trials[1]
    assert (frozen.state, frozen.values, frozen.user_attrs["duplicate_of"]) == (TrialState.PRUNED, None, 0)


def test_the_twin_of_a_running_trial_is_a_duplicate_too(configure, fakes):
    search = fakes.search(configure(), FakeWorkers(2))
    for _ in range(2):
        search.study.enqueue_trial(parameters(TAIL, search.space))
    search._ask()
    search._send()
    search._ask()
    assert [(record.state, record.reason) for record in search.records[:3]] == [
        ("running", ""),
        ("duplicate", "the same as trial 0"),
        ("running", ""),
    ]
    assert search.waiting[0].job.number == 2


def test_interrupted_between_rungs_it_goes_on_from_its_checkpoint(rungs, watched, fakes):
    tasks = watched(TAIL)
    config = rungs(heads=1, trials=1)
    evaluate = fakes.evaluate

    def interrupt(jobs, until, alive, seconds):
        if until == 4:
            raise KeyboardInterrupt
        return evaluate(jobs, until, alive, seconds)

    fakes.evaluate = interrupt
    with pytest.raises(KeyboardInterrupt):
        fakes.run(config)
    study = load_study(config.storage, config.study_name)
    assert [trial.state for trial in study.trials] == [TrialState.FAIL, TrialState.WAITING]
    (left,) = (config.study_dir / "trials" / "checkpoints").iterdir()
    assert len(checkpoints.load(left).curve) == 2

    fakes.evaluate = evaluate
    records = fakes.run(config)
    assert [record.state for record in records] == ["interrupted", "complete"]
    assert records[0].candidate == records[1].candidate
    assert tasks[2] == ([1], 1, [2])  # this fake begins anew all the same; test_learning.py has the real one
    assert not left.exists()


def test_a_failed_trial_leaves_no_checkpoint(rungs, watched, fakes):
    watched(TAIL)
    config, evaluate = rungs(heads=1, trials=1), fakes.evaluate

    def fail(jobs, until, alive, seconds):
        if until == 4:
            raise MemoryError
        return evaluate(jobs, until, alive, seconds)

    fakes.evaluate = fail
    (record,) = fakes.run(config)
    assert (record.state, record.epochs, record.seconds) == ("failed", 2, 0.5)
    assert list((config.study_dir / "trials" / "checkpoints").iterdir()) == []


def test_a_worker_that_dies_between_rungs_leaves_its_checkpoint(rungs, watched, fakes):
    tasks, deaths = watched(TAIL), [DIED]

    def attempt(jobs, until):
        if until == 4 and deaths:
            raise deaths.pop()
        return hpo.worker.trial.attempt(jobs, until, fakes.evaluate)

    fakes.attempt = attempt
    records = fakes.run(rungs(heads=1, trials=1))
    assert [(record.state, record.seconds) for record in records] == [("interrupted", 0.5), ("complete", 0.75)]
    assert tasks[:3] == [([0], 1, [0]), ([0], 2, [1]), ([1], 1, [2])]


@pytest.mark.parametrize(
    ("one", "other", "until", "together"),
    [
        ({}, {"dropout": 0.5, "head_width": 0}, 1, True),
        ({}, {"resolution": 32}, 1, False),
        ({}, {"unfreeze_depth": 1}, 1, False),
        ({"unfreeze_depth": 1}, {"unfreeze_depth": 1}, 1, False),
        ({}, {}, 2, False),
    ],
)
def test_what_is_trained_together(configure, tmp_path, one, other, until, together):
    config = configure()

    def leg(changes, until):
        job = Job(config, "id", 0, dataclasses.replace(HEAD, **changes), fake_facts(config), tmp_path)
        return Leg(None, job, until)

    assert leg(one, 1).joins(leg(other, until)) == leg(other, until).joins(leg(one, 1)) == together


@pytest.fixture
def planned(configure, fakes):
    """Candidates of a study with a map of two places at 32 and 64 px, brought to each of the numbers of trials."""

    def planned(*trials, **options):
        fakes.changes = {"probe_side": Probing()}
        given = {"no_map": False, "keep": "search", "heads": 1, "resolutions": (32, 64), **options}
        for number in trials:
            records = fakes.run(configure(trials=number, **given))
        return [record.candidate for record in records]

    return planned


def test_planned_trials_are_the_same_in_one_run_or_two(planned):
    whole = planned(12, study="whole", sampler="planner")
    assert planned(9, 12, study="parts", sampler="planner") == whole == planned(12, study="auto", sampler="auto")
    assert planned(12, study="other", sampler="planner", seed=1) != whole
    assert planned(12, study="tpe", sampler="tpe") != whole
    assert len(set(whole)) == 12


def test_over_a_budget_nothing_is_planned_nor_tried_first(planned):
    """The first two of four blocks cost 2 MFLOPs at 32 px and 4 at 64 px, all of them 18 and 36."""
    found = planned(10, sampler="planner", max_gflops=0.0045)
    assert found and all(candidate.keep_blocks in (1, 2) for candidate in found)


def states(search):
    """Of the trials that count."""
    return [record.state for record in search.records if record.counts]


class Mixed(FakeWorkers):
    """Two workers, of which one only trains; what they are given to do, in order."""

    is_mixed = True

    def __init__(self):
        super().__init__(2)
        self.tasks = []

    def submit(self, function, jobs, *until, measures=True, **where):
        numbers = tuple(job.number for job in jobs)
        self.tasks.append(("attempt" if until else "measure", numbers, measures))
        future = concurrent.futures.Future()
        future.set_result(function(jobs, *until))
        return future


def fake_measure(jobs):
    return [Measured(fake_evaluate(job, 0).measurement, {"measure": 0.5}) for job in jobs]


def test_where_devices_differ_a_trial_is_measured_first_and_then_trained_anywhere(configure, fakes):
    fakes.changes["measure"] = fake_measure
    workers = Mixed()
    search = fakes.search(configure(trials=4, heads=1, max_latency_ms=2.5), workers)
    search.run()
    assert sum(record.counts for record in search.records) == 4
    for number in range(4):
        own = [(kind, measures) for kind, numbers, measures in workers.tasks if number in numbers]
        assert own == [("measure", True), ("attempt", False)]
    assert states(search) == ["infeasible", "complete", "infeasible", "complete"]


def test_a_trial_that_cannot_be_measured_fails_alone(configure, fakes):
    fakes.changes["measure"] = lambda jobs: [
        Failure("ModelError", "cannot be converted") if job.number == 1 else fake_measure([job])[0] for job in jobs
    ]
    search = fakes.search(configure(trials=4, heads=1), Mixed())
    search.run()
    assert states(search) == ["complete", "failed", "complete", "complete"]


def test_without_any_worker_for_a_while_it_waits_for_one(configure, fakes):
    class Late(FakeWorkers):
        waited = 0

        @property
        def slots(self):
            return int(self.waited > 3)

        @slots.setter
        def slots(self, value):
            pass

        def submit(self, function, jobs, until, **where):
            future = concurrent.futures.Future()
            future.set_result(fake_group(jobs, until))
            return future

        def wait_any(self, futures):
            self.waited += 1

    search = fakes.search(configure(trials=3), Late())
    search.run()
    assert states(search) == ["complete"] * 3


def test_what_happens_to_workers_is_shown(configure, fakes, recorder):
    class Talking(FakeWorkers):
        said = False

        def submit(self, function, jobs, until, **where):
            future = concurrent.futures.Future()
            future.set_result(fake_group(jobs, until))
            return future

        def news(self):
            news, self.said = ([] if self.said else ["the node a was lost; another takes its place"]), True
            return news

    fakes.search(configure(trials=2), Talking()).run()
    assert recorder.notes.count("the node a was lost; another takes its place") == 1


def test_what_goes_wrong_outside_of_a_trial_is_a_failure_of_what_was_sent(configure, fakes):
    class Full(FakeWorkers):
        """The disk of one worker is full."""

        def submit(self, function, jobs, until, **where):
            future = concurrent.futures.Future()
            if jobs[0].number == 1:
                future.set_exception(TaskFailed("OSError", "OSError: No space left on device"))
            else:
                future.set_result(fake_group(jobs, until))
            return future

    search = fakes.search(configure(trials=4, heads=1), Full())
    search.run()
    assert states(search) == ["complete", "failed", "complete", "complete"]
    assert search.records[1].reason == "OSError: No space left on device"
