"""Which models get the final training, from records made by hand."""

import dataclasses

import pytest

from hpo.errors import BadInput
from hpo.final import selection
from hpo.final.selection import Finalist, baseline, beside_baseline, jobs_for
from models.candidate import Candidate
from tests import made
from tests.hpo.conftest import fake_facts
from tests.studies.conftest import make_record, records  # noqa: F401  (fixtures)

HEAD = made.candidate(dropout=0.3, resolution=24)


def choose(trained, pick, trials):
    return selection.choose(trained, pick, trials, made.fingerprint())


@pytest.mark.parametrize(
    ("pick", "trials", "labels"),
    [
        ("front", None, ["0", "2", "1"]),
        ("few", None, ["0", "1"]),
        ("front", "3, 1,3", ["3", "1"]),
    ],
)
def test_choice(records, pick, trials, labels):  # noqa: F811
    found = choose(records, pick, trials)
    assert [one.label for one in found] == labels
    assert [one.search_accuracy for one in found] == [records[int(label)].val_accuracy for label in labels]
    assert {one.epochs for one in found} == {2}  # the best epoch, not the last


@pytest.mark.parametrize("trials", ["4", "99", "1,x", "", "-1"])
def test_numbers_that_are_no_complete_trials(records, trials):  # noqa: F811
    with pytest.raises(BadInput, match=r"^trials must be numbers of complete trials \(0, 1, 2, 3\). Received: "):
        choose(records, "front", trials)


def test_nothing_complete(records):  # noqa: F811
    with pytest.raises(BadInput, match="no complete trial"):
        choose(records[4:], "front", None)


def test_rates_of_the_plateaus_are_those_of_the_search(make_record):  # noqa: F811
    losses = [1.0, 1.1, 1.2, 0.9, 1.0]
    curve = [{"val_loss": loss} for loss in losses]
    candidate = dataclasses.replace(HEAD, lr_schedule="reduce_on_plateau")
    (found,) = choose([make_record(0, 0.8, 1.0, 10, candidate=candidate, learning_curve=curve)], "front", None)
    assert found.plateaus == (1.0, 1.0, 1.0, 0.5, 0.5)
    (found,) = choose([make_record(0, 0.8, 1.0, 10, learning_curve=curve)], "front", None)
    assert found.plateaus == ()


def test_baseline_is_the_best_linear_head(configure, make_record):  # noqa: F811
    made = [
        make_record(0, 0.70, 1.0, 10, candidate=HEAD),
        make_record(1, 0.75, 1.0, 10, candidate=HEAD),
        make_record(2, 0.75, 1.0, 10, candidate=HEAD),
        make_record(3, 0.90, 1.0, 10, candidate=dataclasses.replace(HEAD, unfreeze_depth=1)),
        make_record(4, 0.90, 1.0, 10, candidate=dataclasses.replace(HEAD, head_width=128)),
        make_record(5, None, 1.0, 10, candidate=HEAD, state="stopped"),
    ]
    found = baseline(made, configure(), 32)
    assert (found.label, found.number, found.search_accuracy, found.epochs) == ("baseline", 1, 0.75, 2)


def test_baseline_that_was_never_tried(configure, make_record):  # noqa: F811
    made = [make_record(0, 0.9, 1.0, 10, candidate=dataclasses.replace(HEAD, unfreeze_depth=1))]
    found = baseline(made, configure(epochs=7, batch_size=64), 32)
    assert found.candidate == Candidate(
        backbone="custom_cnn",
        unfreeze_depth=0,
        head_width=0,
        dropout=0.2,
        learning_rate=3e-3,
        lr_schedule="cosine",
        resolution=32,
        batch_size=64,
    )
    assert (found.label, found.number, found.search_accuracy, found.epochs) == ("baseline", 1, None, 7)


def test_a_trial_that_is_the_baseline_is_trained_once_unless_it_was_named():
    trial, other = (Finalist(label, 0, label, 1, (), 0.5) for label in ("3", "4"))  # anything stands for a candidate
    beside = Finalist("baseline", 3, "3", 1, (), 0.5)
    assert beside_baseline([trial, other], beside, named=False) == [other, beside]
    assert beside_baseline([trial, other], beside, named=True) == [trial, other, beside]
    assert beside_baseline([trial, other], None, named=False) == [trial, other]


def test_from_scratch_there_is_no_baseline(configure, make_record):  # noqa: F811
    assert baseline([make_record(0, 0.7, 1.0, 10, candidate=HEAD)], configure(weights="none"), 32) is None


def test_runs(configure, records):  # noqa: F811
    config = configure()
    found = jobs_for(choose(records, "front", "3,1"), 2, config, fake_facts(config), "id")
    assert [(one.label, one.seed, one.measure, one.epochs) for one in found] == [
        ("3", 0, True, 2),
        ("3", 1, False, 2),
        ("1", 0, True, 2),
        ("1", 1, False, 2),
    ]
    assert found[1].files.model == config.study_dir / "final" / "3" / "seed-1" / "model.keras"
    assert (found[2].job.number, found[2].job.candidate) == (1, records[1].candidate)
