"""What is remembered of trials is what stands in the database; and what of Optuna's private parts it leans on."""

import contextlib

import optuna
import pytest
import sqlalchemy
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from studies import one_writer
from studies.one_writer import OneWriterStorage, set_user_attrs
from studies.storage import open_storage, open_study

SPACE = {
    "x": FloatDistribution(1e-5, 1.0, log=True),
    "n": IntDistribution(1, 9),
    "c": CategoricalDistribution(("a", 1)),
}


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/s.db"


@pytest.fixture
def study(url):
    found = open_study(open_storage(url, write=True), "s", {"a": 1})
    found.sampler = optuna.samplers.RandomSampler(0)
    return found


def in_database(url):
    """All trials, read by someone who remembers nothing."""
    return optuna.load_study(study_name="s", storage=open_storage(url, write=False)).get_trials()


def both(study, url):
    """What is remembered, after a look whether it is what stands there."""
    known, there = study.get_trials(deepcopy=False), in_database(url)
    assert [vars(trial) for trial in known] == [vars(trial) for trial in there]
    return known


def test_trials_are_remembered_as_they_are_written(study, url):
    running = [study.ask(SPACE) for _ in range(3)]
    for trial in running:
        trial.set_user_attr("pair", (1, 2.5))
        set_user_attrs(trial, {"curve": [{"epoch": 1, "val_accuracy": 0.1 + 0.2}], "none": None})
        trial.set_constraint("budget", -1.0)
    assert [trial.state for trial in both(study, url)] == [TrialState.RUNNING] * 3
    study.tell(running[0], (0.5, 1.0, 2.0))
    study.tell(running[1], state=TrialState.PRUNED)
    study.tell(running[2], state=TrialState.FAIL)
    study.enqueue_trial({"x": 0.5, "n": 3}, user_attrs={"retry_of": 2})
    assert [trial.state.name for trial in both(study, url)] == ["COMPLETE", "PRUNED", "FAIL", "WAITING"]
    again = study.ask(SPACE)
    set_user_attrs(again, {"candidate": {"x": 0.5}})
    known = both(study, url)[3]
    assert (known.state, known.params["n"], known.user_attrs["retry_of"]) == (TrialState.RUNNING, 3, 2)


def test_what_others_add_is_seen(study, url, monkeypatch):
    """At once here, else within a second; and at once where numbers would be missing."""
    study.ask(SPACE)
    study.get_trials()
    monkeypatch.setattr(one_writer, "LOOK_SECONDS", 0.0)
    other = optuna.load_study(study_name="s", storage=RDBStorage(url))
    other.enqueue_trial({"x": 0.25, "n": 1, "c": "a"})
    assert study.ask(SPACE).number == 1
    monkeypatch.undo()
    other.enqueue_trial({"x": 0.125, "n": 1, "c": "a"})
    study.add_trial(optuna.trial.create_trial(values=(0.1, 0.2, 0.3)))  # without a look between the two
    assert [trial.number for trial in study.get_trials()] == [0, 1, 2, 3]
    assert study.ask(SPACE).params["x"] == 0.125


def test_trials_that_were_handed_out_stay_as_they_were(study):
    trial = study.ask(SPACE)
    before = study.get_trials(deepcopy=False)[0]
    trial.set_user_attr("a", 1)
    assert (before.user_attrs, study.get_trials()[0].user_attrs) == ({}, {"a": 1})


def test_parameters_wait_for_what_is_written_next(study, url):
    study.tell(study.ask(SPACE), (0.5, 1.0, 2.0))
    trial = study.ask(SPACE)
    assert study.get_trials()[1].params == trial.params
    assert in_database(url)[1].params == {}
    trial.set_user_attr("a", 1)
    assert in_database(url)[1].params == trial.params
    study.ask(SPACE)
    study.ask(SPACE)
    assert [len(trial.params) for trial in in_database(url)] == [3, 3, 3, 0]


def test_parameters_that_could_not_be_written_are_written_later(study, url, monkeypatch):
    study.tell(study.ask(SPACE), (0.5, 1.0, 2.0))
    trial = study.ask(SPACE)

    def full(self):
        raise sqlalchemy.exc.OperationalError("COMMIT", {}, Exception("database or disk is full"))

    monkeypatch.setattr(sqlalchemy.orm.Session, "commit", full)
    with pytest.raises(sqlalchemy.exc.OperationalError):
        trial.set_user_attr("a", 1)
    monkeypatch.undo()
    trial.set_user_attr("b", 2)
    assert (in_database(url)[1].params, in_database(url)[1].user_attrs) == (trial.params, {"b": 2})


def ask(study, trial):
    study.ask()


def claim(study, trial):
    study.enqueue_trial({"x": 0.5, "n": 3})
    study.ask()


@pytest.mark.parametrize(
    "write",
    [
        ask,
        claim,
        lambda study, trial: trial.suggest_int("m", 1, 3),
        lambda study, trial: set_user_attrs(trial, {"a": 1}),
        lambda study, trial: trial.set_constraint("budget", 1.0),
        lambda study, trial: study.tell(trial, (0.5, 1.0, 2.0)),
        lambda study, trial: study.tell(trial, state=TrialState.FAIL),
    ],
    ids=["ask", "claim", "suggest", "attribute", "constraint", "tell", "fail"],
)
def test_what_ctrl_c_interrupts_is_as_it_stands_in_the_database(study, url, monkeypatch, write):
    """After each of the first commits."""
    study.tell(study.ask(SPACE), (0.5, 1.0, 2.0))
    commit, left = sqlalchemy.orm.Session.commit, []

    def interrupt(self):
        commit(self)
        if left and not left.pop():
            raise KeyboardInterrupt

    for commits in range(3):
        trial = study.ask(SPACE)
        study.get_trials()
        left[:] = [False] + [True] * commits
        monkeypatch.setattr(sqlalchemy.orm.Session, "commit", interrupt)
        with contextlib.suppress(KeyboardInterrupt):
            write(study, trial)
        monkeypatch.undo()
        study._storage.remove_session()  # writes parameters that wait
        both(study, url)


def test_nothing_is_written_of_a_trial_that_is_no_more(study, url):
    """Deleted by another process, such as the dashboard; its row in a file of SQLite is the next trial's."""
    study.tell(study.ask(SPACE), (0.5, 1.0, 2.0))
    trial = study.ask(SPACE)
    optuna.delete_study(study_name="s", storage=url)
    with pytest.raises(KeyError):
        set_user_attrs(trial, {"curve": [1]})
    again = open_study(open_storage(url, write=True), "s", {"a": 1})
    again.ask()
    assert [(one.params, one.user_attrs) for one in in_database(url)] == [({}, {})]


def test_nothing_is_written_of_a_trial_that_has_ended(study, url):
    trial = study.ask(SPACE)
    other = optuna.load_study(study_name="s", storage=RDBStorage(url))
    other.tell(0, state=TrialState.FAIL)
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
        set_user_attrs(trial, {"curve": [1]})
    assert [one.state for one in both(study, url)] == [TrialState.FAIL]


def test_a_queued_trial_that_somebody_else_has_ended_is_not_queued(study, url):
    study.get_trials()
    study.enqueue_trial({"x": 0.5, "n": 3, "c": "a"})
    other = optuna.load_study(study_name="s", storage=RDBStorage(url))
    other.tell(other.ask(), (0.5, 1.0, 2.0))
    assert study.ask().number == 1
    assert [trial.state.name for trial in both(study, url)] == ["COMPLETE", "RUNNING"]


def test_a_look_for_what_others_added_loses_no_parameters(study, url, monkeypatch):
    study.tell(study.ask(SPACE), (0.5, 1.0, 2.0))
    other = optuna.load_study(study_name="s", storage=RDBStorage(url))
    monkeypatch.setattr(one_writer, "LOOK_SECONDS", 0.0)
    trial = study.ask()
    x = trial.suggest_float("x", 1e-5, 1.0, log=True)
    other.enqueue_trial({"x": 0.25})
    assert [one.params.get("x") for one in both(study, url)[1:]] == [x, None]


def test_a_trial_knows_its_attributes(study):
    trial = study.ask()
    set_user_attrs(trial, {"a": 1})
    assert trial.user_attrs == {"a": 1}


def test_a_parameter_keeps_its_kind(study):
    study.tell(study.ask(SPACE), (0.5, 1.0, 2.0))
    with pytest.raises(ValueError, match="different distribution kind"):
        study.ask().suggest_int("x", 1, 3)


def test_what_was_written_is_not_read_again(study, monkeypatch):
    """However many are under way."""
    running = [study.ask(SPACE) for _ in range(5)]
    study.get_trials()
    monkeypatch.delattr(RDBStorage, "_get_trials")
    running.append(study.ask(SPACE))
    for trial in running:
        set_user_attrs(trial, {"a": 1, "b": 2})
        study.tell(trial, (0.5, 1.0, 2.0))
    assert [len(trial.user_attrs) for trial in study.get_trials()] == [2] * 6


def test_several_attributes_are_one_transaction(study, monkeypatch):
    trial, commits = study.ask(), []
    assert isinstance(trial.storage, OneWriterStorage)
    commit = sqlalchemy.orm.Session.commit
    monkeypatch.setattr(sqlalchemy.orm.Session, "commit", lambda self: commits.append(commit(self)))
    set_user_attrs(trial, dict.fromkeys("abcdef", 1))
    assert len(commits) == 1


def test_another_storage_takes_them_one_by_one():
    study = optuna.create_study()
    set_user_attrs(study.ask(), {"a": 1, "b": 2})
    assert study.trials[0].user_attrs == {"a": 1, "b": 2}
