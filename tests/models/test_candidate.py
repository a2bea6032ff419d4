"""Candidates: checked, frozen, JSON both ways, and the key that ignores what does not change inference."""

import dataclasses
import json

import pytest

from models.candidate import DIMENSIONS, Candidate

GOOD = Candidate(
    backbone="vgg19",
    unfreeze_depth=2,
    head_width=256,
    dropout=0.25,
    learning_rate=3e-4,
    lr_schedule="cosine",
    resolution=64,
)


def test_json_there_and_back():
    assert Candidate.from_json(GOOD.to_json()) == GOOD
    assert json.loads(GOOD.to_json()) == {
        "backbone": "vgg19",
        "unfreeze_depth": 2,
        "head_width": 256,
        "dropout": 0.25,
        "learning_rate": 3e-4,
        "lr_schedule": "cosine",
        "resolution": 64,
        "optimizer": "adam",
        "weight_decay": 0.0,
        "label_smoothing": 0.0,
        "pooling": "average",
        "batch_norm_head": False,
        "batch_size": 32,
        "augmentation": "none",
        "strategy": "plain",
    }


def test_what_was_written_before_there_were_options_is_read():
    old = {name: value for name, value in GOOD.to_dict().items() if name not in ("optimizer", "pooling", "strategy")}
    assert Candidate.from_dict(old) == GOOD


def test_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        GOOD.dropout = 0.5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("backbone", ""),
        ("unfreeze_depth", -1),
        ("unfreeze_depth", 1.0),
        ("unfreeze_depth", True),
        ("head_width", 1025),
        ("dropout", 1.0),
        ("dropout", float("nan")),
        ("learning_rate", 0.0),
        ("learning_rate", float("inf")),
        ("lr_schedule", "linear"),
        ("resolution", 0),
        ("optimizer", "adamw"),
        ("weight_decay", 1.0),
        ("weight_decay", "0"),
        ("label_smoothing", -0.1),
        ("pooling", "min"),
        ("batch_norm_head", 1),
        ("batch_size", 0),
        ("augmentation", "heavy"),
        ("strategy", ["plain"]),
    ],
)
def test_wrong_values_are_named(field, value):
    with pytest.raises(ValueError, match=rf"^{field} must be .*Received: "):
        dataclasses.replace(GOOD, **{field: value})


@pytest.mark.parametrize("change", [{"extra": 1}, {"dropout": None}])
def test_foreign_fields_are_refused(change):
    values = {**GOOD.to_dict(), **change}
    if change.get("dropout", 1) is None:
        del values["dropout"]
    with pytest.raises(ValueError, match="Missing or unknown: (extra|dropout)"):
        Candidate.from_dict(values)


def test_architecture_key_covers_just_what_changes_inference():
    same = dataclasses.replace(
        GOOD,
        dropout=0.5,
        learning_rate=1e-3,
        lr_schedule="step",
        unfreeze_depth=0,
        optimizer="sgd",
        weight_decay=0.1,
        label_smoothing=0.1,
        batch_size=8,
        augmentation="strong",
        strategy="progressive",
    )
    assert same.architecture_key() == GOOD.architecture_key() == "vgg19/r64/h256"
    for change in (
        {"resolution": 32},
        {"head_width": 0},
        {"backbone": "vgg16"},
        {"pooling": "max"},
        {"batch_norm_head": True},
    ):
        assert dataclasses.replace(GOOD, **change).architecture_key() != GOOD.architecture_key()
        assert dataclasses.replace(GOOD, **change).architecture != GOOD.architecture
    assert same.architecture == GOOD.architecture
    assert same.architecture.architecture_key() == "vgg19/r64/h256"


@pytest.mark.parametrize(
    ("change", "joins"),
    [
        ({}, False),
        ({"unfreeze_depth": 0}, True),
        ({"unfreeze_depth": 0, "pooling": "max", "weight_decay": 0.1, "strategy": "progressive"}, True),
        ({"unfreeze_depth": 0, "optimizer": "sgd"}, False),
        ({"unfreeze_depth": 0, "batch_norm_head": True}, False),
    ],
)
def test_which_heads_are_trained_together(change, joins):
    assert dataclasses.replace(GOOD, **change).joins_heads == joins


def test_what_is_kept_of_the_backbone():
    values = {"backbone": "mobilenet_v2_0.35", "resolution": 64, "unfreeze_depth": 2, "head_width": 0}
    values |= {"dropout": 0.2, "learning_rate": 3e-4, "lr_schedule": "cosine"}
    whole, shorter = Candidate(**values), Candidate(**values, keep_blocks=12)
    assert "keep_blocks" not in whole.to_dict()  # as it was written before
    assert shorter.to_dict()["keep_blocks"] == 12
    assert (whole.architecture_key(), shorter.architecture_key()) == (
        "mobilenet_v2_0.35/r64/h0",
        "mobilenet_v2_0.35/r64/b12/h0",
    )
    assert Candidate.from_json(shorter.to_json()) == shorter
    assert DIMENSIONS["keep_blocks"].say(shorter) == "first 12 of 18 blocks"
    assert DIMENSIONS["keep_blocks"].say(whole) == ""
    with pytest.raises(ValueError, match="keep_blocks must be an integer of at least 0. Received: -1"):
        Candidate(**values, keep_blocks=-1)
    assert not Candidate(
        **values | {"unfreeze_depth": 0}, keep_blocks=12
    ).linear_probe  # the baseline is the whole network


@pytest.mark.parametrize(
    ("backbone", "kept", "words"),
    [
        ("mobilenet_v2_0.35", 12, "first 12 of 18 blocks"),
        ("mobilenet_v2_0.35", 1, "first 1 of 18 blocks"),
        ("lab", 2, "first 2 blocks"),  # a network of one's own: how many it has is not known here
        ("lab", 1, "first block"),
    ],
)
def test_what_is_kept_is_said(backbone, kept, words):
    plain = {"resolution": 64, "head_width": 0, "unfreeze_depth": 0, "dropout": 0.0, "learning_rate": 1e-3}
    candidate = Candidate(backbone=backbone, keep_blocks=kept, lr_schedule="cosine", **plain)
    assert candidate.describe().split(", ")[:2] == ["64 px", words]
