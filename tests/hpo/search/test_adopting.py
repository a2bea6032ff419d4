"""A study whose database is gone, and what is left of it."""

import json
import shutil
import sqlite3
from pathlib import Path

import optuna
import pytest

from hpo.errors import BadInput
from hpo.search.run import run_search
from studies.errors import StorageError, StudyRefused
from studies.storage import load_study
from studies.url import database_path
from tests.hpo.conftest import fake_group, fake_task


@pytest.fixture
def lost(configure, fakes):
    """A study of six trials, the fourth of which failed, whose database is gone."""

    def evaluate(jobs, until, alive, seconds):
        if jobs[0].number == 3:
            raise ZeroDivisionError
        return fake_group(jobs, until)

    config = configure(trials=6, heads=1)
    fakes.evaluate = evaluate
    records = fakes.run(config)
    fakes.evaluate = fake_task
    database_path(config.storage).unlink()
    return config, records


def adopt(config, fakes):
    return run_search(config, fakes.recorder, fakes.parts, adopted=True)


def test_all_that_trials_left_is_a_study_again(lost, fakes):
    config, before = lost
    records = adopt(config, fakes)
    assert [record.state for record in before] == [*["complete"] * 3, "failed", *["complete"] * 2]
    for old, new in zip(before, records[:6], strict=True):
        if old.state == "complete":
            assert new == old
    assert (records[3].state, records[3].candidate, records[3].reason) == ("failed", None, "lost with the database")
    assert {record.state for record in records[6:]} <= {"waiting"}  # the candidate that was lost
    assert f"adopted 5 trials from {config.study_dir}/trials" in fakes.recorder.notes


def test_it_goes_on_as_any_other(lost, fakes, configure):
    config, before = lost
    adopt(config, fakes)
    records = fakes.run(configure(trials=8, heads=1))
    assert records[0] == before[0] and sum(record.counts for record in records) == 8
    assert len({record.candidate for record in records if record.candidate}) == 7


def test_who_begins_anew_is_told_of_what_was_there(lost, fakes):
    config, _ = lost
    fakes.run(config)
    said = f"note: results of another study in {config.study_dir}/trials are replaced; --adopt makes a study of such"
    assert [note for note in fakes.recorder.notes if note.startswith(said)]
    fakes.recorder.notes.clear()
    fakes.run(config)
    assert not [note for note in fakes.recorder.notes if "--adopt" in note]


def test_a_study_that_is_there_is_not_adopted(configure, fakes):
    config = configure(trials=2)
    before = fakes.run(config)
    assert adopt(config, fakes) == before and f"adopted 0 trials from {config.study_dir}/trials" in fakes.recorder.notes
    (config.study_dir / "study.json").unlink()
    with pytest.raises(BadInput, match="adopt makes a new study. Received: custom_cnn-digits, which has \\d trials"):
        adopt(config, fakes)


def test_results_that_the_database_does_not_have_are_not_replaced(configure, fakes):
    """As after a backup was put back, or adopting was interrupted."""
    config = configure(trials=2, heads=1)
    fakes.run(config)
    backup = database_path(config.storage).with_name("backup.db")
    with sqlite3.connect(database_path(config.storage)) as connection, sqlite3.connect(backup) as copy:
        connection.backup(copy)
    copy.close()
    connection.close()
    before = fakes.run(configure(trials=5, heads=1))
    back = configure(trials=5, heads=1, storage=f"sqlite:///{backup}")
    with pytest.raises(StudyRefused, match="has the results of 3 trials of this study that its database does not have"):
        fakes.run(back)
    assert run_search(back, fakes.recorder, fakes.parts, adopted=True) == before


@pytest.mark.parametrize("killed_in", ["enqueue_trial", "ask", "tell"])
def test_adopting_goes_on_where_it_was_killed(lost, fakes, monkeypatch, killed_in):
    config, before = lost
    real, calls = getattr(optuna.Study, killed_in), []

    def dies(self, *words, **named):
        calls.append(killed_in)
        if len(calls) == 3:
            raise MemoryError
        return real(self, *words, **named)

    monkeypatch.setattr(optuna.Study, killed_in, dies)
    with pytest.raises(MemoryError):
        adopt(config, fakes)
    monkeypatch.undo()
    with pytest.raises(StudyRefused, match="give the same command with --adopt, or they would be replaced"):
        fakes.run(config)
    records = adopt(config, fakes)
    assert [record.state for record in records[:6]] == [*["complete"] * 3, "failed", *["complete"] * 2]
    assert [new == old for old, new in zip(before, records[:6], strict=True)] == [*[True] * 3, False, *[True] * 2]


def test_results_of_other_settings_are_refused(lost, fakes, configure):
    adopted = configure(trials=6, seed=1)
    with pytest.raises(StudyRefused, match=r"made with other settings: .*seed \(0 then, 1 now\)"):
        adopt(adopted, fakes)


@pytest.mark.parametrize("content", [None, "", "[]", '{"study_id": 3}'])
def test_without_what_says_whose_they_are_nothing_is_adopted(lost, fakes, content):
    config, _ = lost
    path = config.study_dir / "study.json"
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(BadInput, match="adopt needs .*study.json, which a study leaves there"):
        adopt(config, fakes)


def test_what_is_no_result_is_named_and_left_out(lost, fakes):
    config, _ = lost
    trials = config.study_dir / "trials"
    (trials / "00001.json").write_text("{")
    other = json.loads((trials / "00002.json").read_text()) | {"study_id": "other"}
    (trials / "00002.json").write_text(json.dumps(other))
    wrong = json.loads((trials / "00004.json").read_text()) | {"val_accuracy": 99}
    (trials / "00004.json").write_text(json.dumps(wrong))
    records = adopt(config, fakes)
    assert [record.state for record in records[:6]] == ["complete", *["failed"] * 4, "complete"]
    notes = "\n".join(fakes.recorder.notes)
    assert "00001.json is not a result of this program" in notes
    assert "00002.json is the result of another study" in notes
    assert "00004.json is not a result of this program and is not used: Outcome.val_accuracy" in notes


@pytest.mark.parametrize("replaced", [False, True])
def test_a_database_that_is_deleted_or_replaced_is_noticed(configure, fakes, replaced):
    config = configure(trials=6, heads=1)
    path = database_path(config.storage)

    def evaluate(jobs, until, alive, seconds):
        if jobs[0].number == 2:
            shutil.copy(path, Path(f"{path}.other"))
            path.unlink()
            if replaced:
                Path(f"{path}.other").rename(path)
        return fake_group(jobs, until)

    fakes.evaluate = evaluate
    with pytest.raises(StorageError, match=r"was deleted or replaced .* in .*/trials: .* with --adopt$"):
        fakes.run(config)
    for left in path.parent.glob("studies.db*"):
        left.unlink()
    fakes.evaluate = fake_task
    records = adopt(config, fakes)
    assert [record.state for record in records] == ["complete"] * 6
    assert load_study(config.storage, config.study_name).study_name == config.study_name
