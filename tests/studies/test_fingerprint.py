"""Fingerprints as studies keep them: those of the version before are read, others are refused in one line."""

import json

import optuna
import pytest

from studies.errors import StudyRefused
from studies.fingerprint import Fingerprint, fingerprint_of, val_size_of
from tests import made

# As version 0.1 wrote it, in its order.
KEPT = """{"backbone": "custom_cnn", "weights": "ce45", "dataset": "digits", "dataset_digest": "ee31", "split": "abdf",
"train_size": 120, "val_size": 60, "space": {"unfreeze_depth": [0, 4], "resolution": [16, 24], "head_width":
[0, 1024, 128], "dropout": [0.0, 0.6], "batch_size": 32}, "epochs": 2, "seed": 0, "max_latency_ms": null, "max_gflops":
4.0, "stopping": "dominance", "reduction_factor": 2, "views": null, "cache_dtype": "float16", "backend": "tensorflow",
"device": "a CPU", "dtype": "float32", "versions": {"keras": "3.15.1"}, "latency_protocol": 2}"""


def test_a_kept_one_comes_back_as_it_was():
    kept = json.loads(KEPT)
    found = Fingerprint.from_dict(kept)
    assert (found.max_gflops, found.space["resolution"], found.from_scratch) == (4.0, [16, 24], False)
    assert json.dumps(found.to_dict()) == json.dumps(kept)


def test_what_the_first_versions_did_not_write_has_a_default():
    later = ("max_latency_ms", "max_gflops", "stopping", "reduction_factor", "views", "cache_dtype", "versions",
             "latency_protocol")  # fmt: skip
    found = Fingerprint.from_dict({name: value for name, value in json.loads(KEPT).items() if name not in later})
    assert {name: getattr(found, name) for name in later} == dict.fromkeys(later) | {"stopping": "none"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"backbone": 3}, "Fingerprint.backbone: input should be a valid string"),
        ({"colour": "red"}, "Fingerprint.colour: unexpected keyword argument"),
        ({"seed": "0"}, "Fingerprint.seed: input should be a valid integer"),
        ({"split": None}, "Fingerprint.split: input should be a valid string"),
    ],
)
def test_foreign_ones_are_refused(change, said):
    study = optuna.create_study(study_name="s")
    study.set_user_attr("fingerprint", made.fingerprint().to_dict() | change)
    with pytest.raises(StudyRefused, match=f"study s was made by another version of this program: {said}"):
        fingerprint_of(study)


def test_of_a_study():
    study = optuna.create_study(study_name="s")
    with pytest.raises(StudyRefused, match="study s was not made by this program"):
        fingerprint_of(study)
    study.set_user_attr("fingerprint", made.fingerprint(weights="none").to_dict())
    assert fingerprint_of(study) == made.fingerprint(weights="none")
    assert fingerprint_of(study).from_scratch


def test_with_keras_latency_it_is_what_0_1_kept():
    assert not {"latency_runtime", "latency_threads"} & set(made.fingerprint().to_dict())
    deployed = made.fingerprint(latency_runtime="litert", latency_threads=2)
    assert (deployed.to_dict()["latency_runtime"], deployed.to_dict()["latency_threads"]) == ("litert", 2)
    for one in (made.fingerprint(), deployed):
        assert Fingerprint.from_dict(one.to_dict()) == one


@pytest.mark.parametrize("kept", [None, "x", [], 3, {}, {"val_size": True}, {"val_size": 0}, {"val_size": "9"}])
def test_a_size_that_is_none_is_not_known(kept):
    study = optuna.create_study()
    if kept is not None:
        study.set_user_attr("fingerprint", kept)
    assert val_size_of(study) is None


def test_hyperparameters_on_a_logarithm_are_known_without_their_conditions():
    space = {"lr": "0.0001 to 0.01, logarithmic", "units (kind = a)": "1 to 9, logarithmic", "layers": "1 to 3",
             "momentum, mirrored": "1 to 9, logarithmic"}  # fmt: skip
    mark = made.fingerprint(space=space, picture_side=8)
    assert mark.is_hypermodel and mark.logarithmic == {"lr", "units", "momentum"}
    assert mark.side == 8
    assert made.fingerprint().logarithmic == frozenset()
