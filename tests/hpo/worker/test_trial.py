"""Where a candidate becomes numbers: on digits with the embedded custom_cnn, and on tiny made-up pictures."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hpo.worker.trial
from datasets import DataError
from hpo.worker.inputs import Sources
from hpo.worker.job import Job
from hpo.worker.session import Session, current, prepare
from hpo.worker.trial import attempt, measure, over_budget
from models.training.recipe import Epoch, NonFiniteLoss
from studies.outcomes import Failure, Outcome
from tests import made

PROBE = made.candidate(dropout=0.2, learning_rate=3e-3, lr_schedule="cosine")


def job(config, folder, candidate=PROBE, number=0):
    return Job(config, "id", number, candidate, prepare(config), folder)


def evaluate(task):
    """The outcome; a failure is an error of the test."""
    (result,) = attempt([task], task.config.epochs)
    assert isinstance(result, Outcome), result
    return result


def test_an_outcome_on_disk_before_it_returns(small, tmp_path):
    task = job(small, tmp_path)
    outcome = evaluate(task)
    assert Outcome.from_json(task.files.outcome.read_text()) == outcome
    assert not task.files.progress.exists()
    assert [point["epoch"] for point in outcome.curve] == [1, 2]
    assert outcome.val_accuracy == max(point["val_accuracy"] for point in outcome.curve)
    assert outcome.curve[outcome.best_epoch - 1]["val_accuracy"] == outcome.val_accuracy
    assert outcome.trainable_parameters == 192 * 10 + 10
    assert outcome.measurement.flops == 2 * outcome.measurement.macs
    # conv 3x3 at 16, 8, 4 and 2 pixels, and the last layer
    assert outcome.measurement.macs == 9 * (256 * 3 * 32 + 64 * 32 * 64 + 16 * 64 * 128 + 4 * 128 * 192) + 1920
    assert set(outcome.seconds) == {"measure", "prepare", "train"}
    assert outcome.plan == "pooled features stored"
    assert outcome.peak_memory_mib > 50
    assert outcome.seed == task.seed


@pytest.mark.slow
def test_a_trial_that_diverges_ends_at_once_and_says_so(small, tmp_path):
    wild = dataclasses.replace(PROBE, unfreeze_depth=4, learning_rate=1.0, lr_schedule="constant", batch_size=16)
    watched = small.model_copy(update={"train_size": 1200, "epochs": 6, "stopping": "dominance"})
    task = job(watched, tmp_path, wild)  # 75 steps an epoch
    outcome = evaluate(task)
    last = len(outcome.curve)
    assert outcome.stopped.startswith(f"diverged in epoch {last}: loss ")
    assert last < 6 and not outcome.goes_on(6)
    assert outcome.curve[0]["val_accuracy"] < 0.3
    assert Outcome.from_json(task.files.outcome.read_text()) == outcome
    assert not task.checkpoint_path.exists()
    unwatched = small.model_copy(update={"train_size": 1200, "stopping": "none"})
    assert evaluate(job(unwatched, tmp_path / "to the end", wild)).stopped == ""


@pytest.mark.slow
def test_same_seed_same_numbers(small, tmp_path):
    tuned = dataclasses.replace(PROBE, unfreeze_depth=2, head_width=128)
    first, again = (evaluate(job(small, tmp_path / name, tuned)) for name in "ab")
    assert first.curve == again.curve
    assert first.measurement == again.measurement  # remembered by architecture
    assert evaluate(job(small, tmp_path / "c", tuned, number=7)).curve == first.curve  # whatever its number
    other = small.model_copy(update={"seed": 1})
    assert evaluate(job(other, tmp_path / "d", tuned)).curve != first.curve


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, {}),
        ({"max_latency_ms": 2.0}, {"max_latency_ms": -0.5}),
        ({"max_latency_ms": 1.0, "max_gflops": 3.0}, {"max_latency_ms": 0.5, "max_gflops": -1.0}),
    ],
)
def test_budgets(configure, limits, expected):
    cost = made.measurement(1.5, 2 * 10**9)
    assert over_budget(configure(**limits), cost) == expected


def test_over_budget_is_not_trained(small, tmp_path):
    outcome = evaluate(job(small.model_copy(update={"max_gflops": 1e-4}), tmp_path))
    assert not outcome.feasible
    assert (outcome.val_accuracy, outcome.best_epoch, list(outcome.curve)) == (None, None, [])
    assert set(outcome.seconds) == {"measure"}


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for label, grey in (("dark", 40), ("light", 200)):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for i in range(20):
            pixels = np.clip(rng.normal(grey, 20, (30, 40, 3)), 0, 255).astype("uint8")
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{i}.png")
    return str(tmp_path / "photos")


def test_a_folder_of_two_classes(configure, photos, tmp_path):
    config = configure(dataset=photos, epochs=6)
    facts = prepare(config)
    assert facts.class_names == ("dark", "light")
    assert facts.shape == (32, 32, 3)  # decoded at the largest searched resolution, not larger
    outcome = evaluate(job(config, tmp_path / "t", dataclasses.replace(PROBE, resolution=32, batch_size=4)))
    assert outcome.val_accuracy == 1.0


@pytest.mark.parametrize(("decode", "shape", "resized"), [("auto", (16, 16, 3), False), ("largest", (32, 32, 3), True)])
def test_pictures_of_a_folder_come_at_the_side_that_a_network_sees(configure, photos, tmp_path, decode, shape, resized):
    config = configure(dataset=photos, resolutions=(16, 32), decode=decode)
    one = job(config, tmp_path / "t", dataclasses.replace(PROBE, resolution=16, batch_size=4))
    evaluate(one)
    model = current().network(one).model
    assert one.shape == model.input_shape[1:] == shape
    assert ("resize" in {layer.name for layer in model.layers}) == resized
    assert Sources(one, current()).data.images.shape == (32, *shape)  # the others are test pictures
    assert one.facts.shape == (32, 32, 3)


def test_a_disk_without_room_for_all_sides_is_noticed_before_any_is_decoded(configure, photos, monkeypatch):
    usage = shutil.disk_usage(photos)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=32 * 3 * 32**2 + 1000))
    config = configure(dataset=photos, resolutions=(16, 32))
    with pytest.raises(DataError, match="32 pictures decoded to 2 sizes take"):
        prepare(config)
    assert not config.cache_dir.exists()
    assert prepare(config.model_copy(update={"decode": "largest"})).shape == (32, 32, 3)


def test_pictures_that_were_changed_after_the_first_side_are_refused(configure, photos, tmp_path):
    config = configure(dataset=photos, resolutions=(16, 32))
    one = job(config, tmp_path / "t", dataclasses.replace(PROBE, resolution=16, batch_size=4))
    (Path(photos) / "dark" / "0.png").unlink()
    (failed,) = attempt([one], 2)
    assert isinstance(failed, Failure)
    assert "photos changed since the study was opened; end this run and start it again" in failed.reason


def test_pictures_of_the_catalogue_keep_their_size(small, tmp_path):
    assert job(small, tmp_path, dataclasses.replace(PROBE, resolution=16)).shape == (8, 8, 1)


def test_a_diverged_trial_keeps_its_curve(small, tmp_path, monkeypatch):
    reason = "the loss is not finite in epoch 2: loss nan, val_loss nan"

    def diverge(*arguments, **options):
        return [NonFiniteLoss(reason, (Epoch(1, 2.0, 0.1, 2.0, 0.1, 1e-3),))]

    monkeypatch.setattr(hpo.worker.trial, "learn", diverge)
    (failure,) = attempt([job(small, tmp_path)], 2)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.reason) == ("non-finite loss", reason)
    assert [point["epoch"] for point in failure.curve] == [1]
    assert set(failure.seconds) == {"measure", "prepare"}  # no step was seen
    assert "NonFiniteLoss" in failure.traceback
    assert not list(tmp_path.glob("*.progress"))


def test_data_that_changed_since_the_study_began(small, tmp_path):
    task = job(small, tmp_path)
    before = dataclasses.replace(task.facts, dataset_digest="0" * 64)
    (failure,) = attempt([dataclasses.replace(task, facts=before)], 2)
    assert isinstance(failure, Failure)
    assert failure.reason.startswith("Changed: changed since the study was opened: dataset_digest;")


@pytest.mark.parametrize("measured", [False, True], ids=["here", "elsewhere"])
def test_data_that_cannot_be_read_any_more(small, tmp_path, monkeypatch, measured):
    task = job(small, tmp_path)
    if measured:
        task = dataclasses.replace(task, measurement=made.measurement())

    def gone(self, config):
        raise DataError("the folder is gone")

    monkeypatch.setattr(Session, "facts", gone)
    (failure,) = attempt([task], 2)
    assert (failure.kind, failure.reason) == ("DataError", "DataError: the folder is gone")
    assert failure.machine == task.facts.machine


@pytest.mark.slow
@pytest.mark.parametrize("depth", [0, 1])
def test_rung_by_rung_is_the_same_trial(small, tmp_path, depth):
    config = small.model_copy(update={"epochs": 3})
    candidate = dataclasses.replace(PROBE, unfreeze_depth=depth)
    whole, task = evaluate(job(config, tmp_path / "whole", candidate)), job(config, tmp_path / "rungs", candidate)
    (first,) = attempt([task], 1)
    assert first.curve == whole.curve[:1]
    assert (first.best_epoch, first.feasible) == (1, True)
    assert not task.files.outcome.exists()  # it is not final
    assert task.checkpoint_path.exists()
    last = evaluate(dataclasses.replace(task, spent=first.seconds | {"train": 100.0}))
    assert last.curve == whole.curve
    assert last.val_accuracy == whole.val_accuracy
    assert 100 < last.seconds["train"] < 110
    assert last.seconds["measure"] > first.seconds["measure"]
    assert Outcome.from_json(task.files.outcome.read_text()) == last


@pytest.mark.slow
@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", None])
def test_from_a_damaged_checkpoint_it_begins_anew(small, tmp_path, damage):
    whole, task = evaluate(job(small, tmp_path / "whole")), job(small, tmp_path / "rungs")
    attempt([task], 1)
    stored = task.checkpoint_path.read_bytes()
    task.checkpoint_path.write_bytes(stored[:-50] if damage is None else damage)
    assert evaluate(task).curve == whole.curve


@pytest.mark.slow
def test_a_group_has_its_own_numbers_each(small, tmp_path):
    """One of three heads is over budget; the others are trained, and each keeps its place."""
    config = small.model_copy(update={"max_gflops": 0.0072})
    widths = (0, 1024, 128)
    jobs = [job(config, tmp_path, dataclasses.replace(PROBE, head_width=w), n) for n, w in enumerate(widths)]
    results = attempt(jobs, 2)
    assert [one.number for one in results] == [0, 1, 2]
    assert [one.candidate.head_width for one in results] == list(widths)
    assert [one.feasible for one in results] == [True, False, True]
    assert [one.trainable_parameters for one in results] == [1930, None, 192 * 128 + 128 + 1290]
    assert [len(one.curve) for one in results] == [2, 0, 2]
    assert results[0].seconds["train"] == pytest.approx(results[2].seconds["train"], abs=1e-3)
    assert set(results[1].seconds) == {"measure"}
    for task, result in zip(jobs, results, strict=True):
        assert Outcome.from_json(task.files.outcome.read_text()) == result


@pytest.mark.slow
def test_a_group_in_which_something_fails_is_tried_one_by_one(small, tmp_path, monkeypatch):
    learn, seen = hpo.worker.trial.learn, []

    def fail(jobs, begun, until, beat, session):
        signs = [path.name for path in tmp_path.glob("*.progress")]
        seen.append(([one.number for one in jobs], signs))
        if 4 in [one.number for one in jobs]:
            raise MemoryError("3 GiB")
        return learn(jobs, begun, until, beat, session)

    monkeypatch.setattr(hpo.worker.trial, "learn", fail)
    jobs = [job(small, tmp_path, dataclasses.replace(PROBE, dropout=n / 10), n) for n in (3, 4, 5)]
    jobs = [dataclasses.replace(one, spent={"train": 7.0}) for one in jobs]
    results = attempt(jobs, 2)
    # the parent watches the file of the first one throughout
    assert seen == [(numbers, ["00003.progress"]) for numbers in ([3, 4, 5], [3], [4], [5])]
    assert [type(one) for one in results] == [Outcome, Failure, Outcome]
    assert results[1].kind == "out of memory"
    assert [one.seconds["train"] > 7 for one in results] == [True, False, True]
    assert results[1].seconds["train"] == 7  # what was spent before is not lost
    assert not list(tmp_path.glob("*.progress"))


def test_what_was_measured_elsewhere_is_not_measured_again_nor_is_this_the_studys_machine(small, tmp_path):
    """Where devices differ, one measures and another trains; together they give what one alone does."""
    whole = evaluate(job(small, tmp_path / "whole"))
    task = job(small, tmp_path / "parts")
    (measured,) = measure([task])
    assert measured.measurement == whole.measurement
    assert set(measured.spent) == {"measure"}
    assert not task.files.outcome.exists()
    elsewhere = dataclasses.replace(task.facts, machine=task.facts.machine | {"device": "another"})
    (refused,) = attempt([dataclasses.replace(task, facts=elsewhere)], 2)
    assert "changed since the study was opened: machine" in refused.reason
    outcome = evaluate(dataclasses.replace(task, facts=elsewhere, **vars(measured)))
    assert outcome.machine == task.facts.machine  # this one has trained it
    assert outcome.measurement == whole.measurement
    assert [point["val_accuracy"] for point in outcome.curve] == [point["val_accuracy"] for point in whole.curve]
    assert outcome.seconds["measure"] >= measured.spent["measure"]


def test_a_candidate_over_budget_is_not_trained_where_it_was_not_measured(small, tmp_path):
    task = job(small.model_copy(update={"max_gflops": 1e-9}), tmp_path)
    (measured,) = measure([task])
    outcome = evaluate(dataclasses.replace(task, **vars(measured)))
    assert outcome.curve == []
    assert outcome.constraints["max_gflops"] > 0


def test_what_cannot_be_measured_is_a_failure_of_that_trial_alone(small, tmp_path):
    good = job(small, tmp_path)
    facts = dataclasses.replace(good.facts, dataset_digest="e" * 64)
    results = measure([dataclasses.replace(good, number=1, facts=facts), good])
    assert isinstance(results[0], Failure)
    assert "changed since the study was opened: dataset_digest" in results[0].reason
    assert results[1].measurement.flops > 0
