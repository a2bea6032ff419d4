"""Trials of a HyperModel in a worker: on digits, against what Keras and the store say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpo.config import StudyConfig, make_config
from hpo.search.stopping import Judge, Reached
from hpo.worker.facts import Changed, check_unchanged
from hpo.worker.hypermodel import explore
from hpo.worker.job import Job
from hpo.worker.memory import Memory
from hpo.worker.session import current, prepare
from hpo.worker.trial import attempt
from models.candidate import HyperCandidate
from models.own import registry
from models.own.registry import named
from studies.outcomes import Measurement, Outcome
from tests import hypermodels


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_known", {})
    current().forget()


def config(tmp_path: Path, name: str, **changes: Any) -> StudyConfig:
    small = {"dataset": "digits", "train_size": 200, "val_size": 100, "epochs": 4, "latency_runtime": "keras"}
    own = named(f"{hypermodels.__file__}:{name}", hypermodel=True)
    return make_config({**small, "backbone": own, "cache_dir": tmp_path / "cache", "workers": 0, **changes})


def job(config: StudyConfig, folder: Path, number: int = 0, judge: Any = None, **values: Any) -> Job:
    candidate = HyperCandidate(backbone=config.backbone, values=tuple(values.items()))
    return Job(config, "id", number, candidate, prepare(config), folder, judge=judge)


def train(task: Job, until: int = 4) -> Outcome:
    (result,) = attempt([task], until)
    assert isinstance(result, Outcome), result
    return result


def test_what_is_found_out_before_the_first_trial(tmp_path: Path) -> None:
    mine = config(tmp_path, "Layers")
    facts = prepare(mine)
    assert (facts.resolutions, facts.shape, facts.class_names) == ((8,), (8, 8, 1), tuple("0123456789"))
    assert facts.source is not None and facts.source.startswith("hypermodels.py:Layers ")
    found = explore(mine)
    assert not found.fits_itself
    names = [each["config"]["name"] for each in found.hyperparameters]
    assert names[:3] == ["layers", "units_0", "dropout"]
    check_unchanged(facts, facts)


def test_an_outcome_has_what_the_model_costs(tmp_path: Path) -> None:
    task = job(config(tmp_path, "Layers"), tmp_path, layers=1, units_0=16, dropout=False)
    outcome = train(task)
    assert outcome.measurement.macs == 64 * 16 + 16 * 10
    assert outcome.trainable_parameters == outcome.measurement.parameters == 65 * 16 + 17 * 10
    assert [point["epoch"] for point in outcome.curve] == [1, 2, 3, 4]
    assert outcome.val_accuracy == max(point["val_accuracy"] for point in outcome.curve) > 0.5
    assert outcome.plan == "trained by Keras' fit"
    assert Outcome.from_json(task.files.outcome.read_text()) == outcome


def test_what_is_not_searched_is_named(tmp_path: Path) -> None:
    outcome = train(job(config(tmp_path, "Layers", epochs=1), tmp_path, layers=2), 1)
    assert outcome.plan.endswith("not searched, at their defaults: units_0, units_1, dropout")


def test_from_rung_to_rung_it_goes_on_and_so_does_another_process(tmp_path: Path) -> None:
    mine = config(tmp_path, "Layers")
    task = job(mine, tmp_path, layers=1)
    half = train(task, 2)
    assert half.goes_on(4) and not task.files.outcome.exists()
    assert task.checkpoint_path.is_file()
    current().forget()
    whole = train(task, 4)
    assert list(whole.curve[:2]) == list(half.curve)
    assert not whole.goes_on(4) and task.files.outcome.is_file()
    task.checkpoint_path.unlink()
    other = job(mine, tmp_path, 1, layers=1)
    train(other, 2)  # and now by the model that this worker has kept
    assert train(other, 4).curve == whole.curve


def test_what_it_froze_is_stored_once_and_changes_nothing(tmp_path: Path) -> None:
    stored = train(job(config(tmp_path, "Frozen", cache_dtype="float32"), tmp_path, trainable=False, rate=0.01))
    assert "; behind dropout" in stored.plan and "store;" in stored.plan
    entries = list((tmp_path / "cache" / "prefix").rglob("*.npy"))
    assert entries
    again = train(job(config(tmp_path, "Frozen", cache_dtype="float32"), tmp_path, 1, trainable=False, rate=0.02))
    assert list((tmp_path / "cache" / "prefix").rglob("*.npy")) == entries and "; behind dropout" in again.plan
    plain = train(job(config(tmp_path, "Frozen", cache_gib=0), tmp_path, 2, trainable=False, rate=0.01))
    assert "no store" in plain.plan
    for name in ("loss", "val_loss", "val_accuracy"):
        assert [point[name] for point in stored.curve] == pytest.approx(
            [point[name] for point in plain.curve], rel=1e-3
        )
    free = train(job(config(tmp_path, "Frozen", epochs=1), tmp_path, 3, trainable=True, rate=0.01), 1)
    assert free.plan.startswith("trained by Keras' fit") and "behind" not in free.plan


def test_a_fit_of_the_users_is_called_once_and_may_end_early(tmp_path: Path) -> None:
    mine = config(tmp_path, "Loop", epochs=6)
    outcome = train(job(mine, tmp_path, judge=Judge(0, "dominance", 2, {2: (), 4: ()}), units=16), 2)
    assert (len(outcome.curve), outcome.ended, outcome.stopped) == (3, True, "")
    assert not outcome.goes_on(6)
    assert outcome.plan == "trained by its own fit; not searched, at their defaults: batch_size"


def test_a_fit_of_the_users_is_stopped_at_a_rung(tmp_path: Path) -> None:
    mine = config(tmp_path, "Loop", epochs=6)
    better = [Reached(5, 0.99, 0.0, 1.0)]
    outcome = train(job(mine, tmp_path, judge=Judge(0, "dominance", 2, {2: better, 4: better}), units=16), 2)
    assert outcome.stopped.startswith("stopped at epoch 2: val_accuracy 0.")
    assert (len(outcome.curve), outcome.ended) == (2, False)


@pytest.mark.parametrize("runtime", ["keras", "litert"])
def test_networks_that_are_equal_have_one_latency(tmp_path: Path, runtime: str) -> None:
    def costs(number: int, **values: Any) -> Measurement:
        task = job(config(tmp_path, "Layers", epochs=1, latency_runtime=runtime), tmp_path, number, **values)
        return train(task, 1).measurement

    first = costs(0, layers=1, units_0=16, dropout=False)
    assert costs(1, layers=1, units_0=16, dropout=True, share=0.3) == first
    assert costs(2, layers=1, units_0=24, dropout=False).latency != first.latency


def test_a_latency_that_was_measured_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = job(config(tmp_path, "Layers", epochs=1), tmp_path, layers=1, units_0=16, dropout=False)
    first = train(task, 1).measurement
    (path,) = (path for path in (tmp_path / "cache" / "latency").glob("*.json") if "structure/" in path.read_text())
    before, seen = path.read_bytes(), [0]
    recall = Memory.recall

    def late(self: Memory, key: str) -> Any:  # as another worker that looked before the first one was done
        seen[0] += 1
        return None if seen[0] == 1 else recall(self, key)

    monkeypatch.setattr(Memory, "recall", late)
    current().forget()
    assert train(replace(task, number=1), 1).measurement == first
    assert path.read_bytes() == before


def test_over_budget_it_is_not_trained(tmp_path: Path) -> None:
    outcome = train(job(config(tmp_path, "Layers", max_gflops=1e-6), tmp_path, layers=1, units_0=16))
    assert outcome.curve == [] and not outcome.feasible and outcome.val_accuracy is None


def test_code_that_changed_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = config(tmp_path, "Layers")
    facts = prepare(mine)
    with pytest.raises(Changed, match="source"):
        check_unchanged(facts, facts.__class__(**{**vars(facts), "source": "another"}))
