"""Where a trial stands, on disk: there and back, whole or not at all."""

import os

import numpy as np
import pytest

from hpo.worker import checkpoints
from hpo.worker.checkpoints import Checkpoint
from models.candidate import Candidate
from models.training.recipe import Epoch
from tests import made

CANDIDATE = made.candidate(unfreeze_depth=1, head_width=128, dropout=0.25, lr_schedule="cosine", resolution=32)
CURVE = (Epoch(1, 2.0, 0.1, 2.1, 0.2, 1e-3), Epoch(2, 1.0, 0.3, 1.1, 0.4, 5e-4))
ARRAYS = [np.arange(6, dtype="float32").reshape(2, 3), np.float32([]), np.array(7, "int64"), np.ones((1, 2), "uint32")]


@pytest.fixture
def path(tmp_path):
    path = checkpoints.path_of(tmp_path, "id", CANDIDATE)
    checkpoints.save(path, Checkpoint(ARRAYS, CURVE))
    return path


def test_there_and_back(path):
    found = checkpoints.load(path)
    assert found.curve == CURVE
    assert [(array.dtype, array.shape) for array in found.arrays] == [(array.dtype, array.shape) for array in ARRAYS]
    for ours, theirs in zip(found.arrays, ARRAYS, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_next_one_replaces_it_and_leaves_nothing_else(path):
    checkpoints.save(path, Checkpoint(ARRAYS[:1], CURVE[:1]))
    found = checkpoints.load(path)
    assert (len(found.arrays), found.curve) == (1, CURVE[:1])
    assert os.listdir(path.parent) == [path.name]


def test_more_than_nine_arrays_come_back_in_order(path):
    checkpoints.save(path, Checkpoint([np.array(n) for n in range(12)], ()))
    assert [int(array) for array in checkpoints.load(path).arrays] == list(range(12))


def test_an_error_while_writing_keeps_the_one_before(path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space"):
        checkpoints.save(path, Checkpoint(ARRAYS[:1], CURVE[:1]))
    assert checkpoints.load(path).curve == CURVE
    assert os.listdir(path.parent) == [path.name]


def test_none_where_there_is_none(tmp_path):
    assert checkpoints.load(tmp_path / "none.npz") is None


def test_a_cut_off_file_is_none(path):
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        assert checkpoints.load(path) is None


def test_a_file_with_one_wrong_bit_is_none(path):
    whole = path.read_bytes()
    for place in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        assert checkpoints.load(path) is None


def test_a_curve_of_another_version_is_none(path, monkeypatch):
    monkeypatch.setattr("hpo.worker.checkpoints.asdict", lambda point: {"step": 1})
    checkpoints.save(path, Checkpoint(ARRAYS, CURVE))
    assert checkpoints.load(path) is None


def test_one_place_for_each_study_and_candidate(tmp_path):
    other = Candidate(**CANDIDATE.to_dict() | {"dropout": 0.26})
    places = {checkpoints.path_of(tmp_path, study, one) for study in ("a", "b") for one in (CANDIDATE, other)}
    assert len(places) == 4
    assert checkpoints.path_of(tmp_path, "a", Candidate(**CANDIDATE.to_dict())) in places


def test_what_nobody_goes_on_from_is_swept_away(path, tmp_path):
    stale, part = path.with_name("stale.npz"), path.with_name(".x.npz.123")
    stale.touch()
    part.touch()
    checkpoints.sweep(tmp_path, {path})
    assert os.listdir(path.parent) == [path.name]
    checkpoints.sweep(tmp_path / "nosuch", ())
