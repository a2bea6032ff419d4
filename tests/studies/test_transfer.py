"""Studies from one database to another: all that hangs on them, and never over what is there."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna_dashboard import save_note

from studies import transfer
from studies.artifacts import attach, attached
from studies.errors import StudyRefused
from studies.optuna_private import save_trial_note, set_system_attr, system_attrs, trial_id
from studies.storage import load_study, open_storage, open_study
from studies.transfer import read_contents, write_contents
from tests.studies import dashboard

FINGERPRINT = {"backbone": "vgg19"}
COPIED = (
    "number", "state", "values", "params", "distributions", "user_attrs", "system_attrs", "datetime_start",
    "datetime_complete",
)  # fmt: skip


@pytest.fixture(params=["sqlite to sqlite", "sqlite to postgresql", "postgresql to sqlite"])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """The address of a database with a study, and that of one to copy it to."""
    found = []
    for number, kind in enumerate(request.param.split(" to ")):
        if kind == "postgresql":
            server = request.getfixturevalue("server")
            server.empty()
            found.append(server.url)
        else:
            found.append(f"sqlite:///{tmp_path}/{number}.db")
    open_study(open_storage(found[1], write=True), "other", FINGERPRINT).ask()  # so that rows have other numbers there
    return found


def copy_study(source: RDBStorage, target: RDBStorage, name: str) -> int:
    contents = read_contents(source, name)
    write_contents(contents, target)
    return len(contents.trials)


def filled(url: str, folder: Path) -> RDBStorage:
    """Of each kind of trial one, with notes, and a file beside the study and beside a trial."""
    storage = open_storage(url, write=True)
    study = open_study(storage, "s", FINGERPRINT)
    study.set_user_attr("options", {"trials": 4})
    for values, state in (([0.5, 1.0, 2.0], "COMPLETE"), (None, "PRUNED"), (None, "FAIL")):
        trial = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
        trial.set_user_attr("learning_curve", [{"epoch": 1}])
        study.tell(trial, values, state=optuna.trial.TrialState[state])
    study.ask()
    study.enqueue_trial({"x": 0.25})
    save_note(study, "of the study")
    save_trial_note(study, 1, "of trial 1 " * 1000)  # in several parts
    file = folder / "a.txt"
    file.write_text("a")
    for number in (None, 2):
        attach(study, folder / "runs", file, number)
    return storage


def notes(study: optuna.Study) -> list[str]:
    """What the dashboard shows beside a study and beside its trials."""
    return [dashboard.note(study, number) for number in (None, *(trial.number for trial in study.trials))]


def test_all_that_hangs_on_a_study_goes_along(places: list[str], tmp_path: Path) -> None:
    source, target = filled(places[0], tmp_path), open_storage(places[1], write=True)
    assert copy_study(source, target, "s") == 5
    before, after = (load_study(url, "s") for url in places)
    for left, right in zip(before.trials, after.trials, strict=True):
        assert {name: getattr(left, name) for name in COPIED} == {name: getattr(right, name) for name in COPIED}
    assert before.user_attrs == after.user_attrs
    assert before.metric_names == after.metric_names
    assert notes(before) == notes(after)
    assert notes(after)[2].startswith("of trial 1 ")
    assert [attached(after, number) for number in (None, 1, 2)] == [["a.txt"], [], ["a.txt"]]
    assert trial_id(before, 2) != trial_id(after, 2)
    assert after.ask().number == 4  # the queued one is asked for first


def test_nothing_that_is_there_is_replaced(places: list[str], tmp_path: Path) -> None:
    source, target = filled(places[0], tmp_path), open_storage(places[1], write=True)
    copy_study(source, target, "s")
    load_study(places[1], "s").set_user_attr("mine", True)
    with pytest.raises(StudyRefused, match="there is a study s where it is to be copied to; nothing of it was changed"):
        copy_study(source, target, "s")
    assert load_study(places[1], "s").user_attrs["mine"]


def test_a_copy_that_a_run_went_on_with_is_not_made_anew(places: list[str], tmp_path: Path) -> None:
    """It was interrupted behind its last attribute, so that it is ours."""
    source, target = filled(places[0], tmp_path), open_storage(places[1], write=True)
    copy_study(source, target, "s")
    copied = load_study(places[1], "s")
    set_system_attr(copied, transfer.UNDER_WAY, True)
    copied.ask()
    with pytest.raises(StudyRefused, match="nothing of it was changed"):
        copy_study(source, target, "s")
    assert len(load_study(places[1], "s").trials) == 5


def test_a_copy_of_a_copy_can_be_interrupted_too(
    places: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = filled(places[0], tmp_path)
    middle, target = (open_storage(url, write=True) for url in (f"sqlite:///{tmp_path}/middle.db", places[1]))
    copy_study(source, middle, "s")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(target, "set_study_user_attr", interrupted)
        copy_study(middle, target, "s")
    assert copy_study(middle, target, "s") == 5


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_what_a_genetic_sampler_keeps_of_a_generation_goes_along(places: list[str], tmp_path: Path) -> None:
    storage = open_storage(places[0], write=True)
    study = open_study(storage, "s", FINGERPRINT)
    study.sampler = optuna.samplers.NSGAIISampler(population_size=2, seed=0)
    for _ in range(5):
        study.tell(study.ask({"x": optuna.distributions.FloatDistribution(0, 1)}), [0.5, 1.0, 2.0])
    copy_study(storage, open_storage(places[1], write=True), "s")

    def parents(url: str) -> list[list[int]]:
        study = load_study(url, "s")
        numbers = {trial_id(study, trial.number): trial.number for trial in study.trials}
        kept = [value for key, value in system_attrs(study).items() if ":parent:" in key]
        return [sorted(numbers[each] for each in value) for value in kept]

    assert parents(places[0]) == parents(places[1]) != []


@pytest.mark.parametrize("after", range(0, 12, 3))
def test_a_copy_that_was_interrupted_is_made_anew(
    after: int, places: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = filled(places[0], tmp_path), open_storage(places[1], write=True)
    left = [after]

    def write(name: str):
        original = getattr(type(target), name)

        def counted(*args, **kwargs):
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            return original(target, *args, **kwargs)

        monkeypatch.setattr(target, name, counted)

    for name in ("create_new_trial", "set_study_system_attr", "set_study_user_attr"):
        write(name)
    with pytest.raises(KeyboardInterrupt):
        copy_study(source, target, "s")
    monkeypatch.undo()
    assert "s" not in ours(target)  # half of a study is none of ours
    if after:  # else there is but a name, which might be anybody's
        assert copy_study(source, target, "s") == 5
        assert ours(target) == ["other", "s"]
    assert system_attrs(load_study(places[1], "other")).get(transfer.UNDER_WAY) is None


def ours(storage: RDBStorage) -> list[str]:
    """Names of studies that say that they are this program's."""
    return [study.study_name for study in storage.get_all_studies() if "fingerprint" in study.user_attrs]
