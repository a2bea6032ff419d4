"""Signs of life: written rarely and whole, read without a hitch."""

import os
import time

import pytest

from hpo.worker.heartbeat import Heartbeat, Phase, SignOfLife, begin, last_sign, silent_for


def test_signs_of_life_are_rare_and_whole(tmp_path):
    path = tmp_path / "00000.progress"
    beat = Heartbeat(path)
    beat(SignOfLife(Phase.MEASURE))
    for i in range(1000):
        beat(SignOfLife(Phase.TRAIN, 1, i / 1000))
    sign = last_sign(path)
    assert (sign.phase, sign.epoch) == (Phase.TRAIN, 1)
    assert sign.share < 0.5  # only the first of a quick thousand was written
    beat.end()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("sign", "words"),
    [
        (SignOfLife(), "starting"),
        (SignOfLife(Phase.MEASURE), "measuring latency and FLOPs"),
        (SignOfLife(Phase.EXTRACT, share=0.25), "running the frozen layers once (25%)"),
        (SignOfLife(Phase.TRAIN, 3, 0.5), "training, epoch 3 (50%)"),
    ],
)
def test_as_people_read_it_and_as_it_comes_back(tmp_path, sign, words):
    assert str(sign) == words
    Heartbeat(tmp_path / "x.progress")(sign)
    assert last_sign(tmp_path / "x.progress") == sign


@pytest.mark.parametrize("content", ["", "{", "{}", '{"phase": "dancing", "epoch": null, "share": null}'])
def test_what_is_no_sign_of_life(tmp_path, content):
    (tmp_path / "x.progress").write_text(content)
    assert last_sign(tmp_path / "x.progress") is None
    assert last_sign(tmp_path / "gone.progress") is None


def test_silence_counts_from_the_last_sign(tmp_path):
    path = tmp_path / "new" / "x.progress"
    assert silent_for(path) == 0
    begin(path)
    assert last_sign(path) == SignOfLife()
    assert silent_for(path) < 5
    os.utime(path, (time.time() - 100,) * 2)
    assert silent_for(path) == pytest.approx(100, abs=5)
