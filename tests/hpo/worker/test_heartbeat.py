"""Signs of life: written rarely and whole, read without a hitch."""

import os
import time

import pytest

from hpo.worker.heartbeat import Heartbeat, Phase, SignOfLife, Silence, begin, last_sign, silent_for


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


@pytest.mark.parametrize(
    "content",
    ["", "{", "{}", pytest.param(100_000 * "[", id="deep"), '{"phase": "dancing", "epoch": null, "share": null}'],
)
def test_what_is_no_sign_of_life(tmp_path, content):
    (tmp_path / "x.progress").write_text(content)
    assert last_sign(tmp_path / "x.progress") is None
    assert last_sign(tmp_path / "gone.progress") is None


@pytest.fixture
def watched(monkeypatch, tmp_path):
    """A file with signs of life, and a look at it so many seconds after the look before."""
    silence, now = Silence(), [1000.0]
    monkeypatch.setattr("hpo.worker.heartbeat.time.monotonic", lambda: now[0])

    def look(seconds=0.0):
        now[0] += seconds
        return silence.of(path)

    path = tmp_path / "new" / "x.progress"
    return path, look


def sign(path, at):
    path.parent.mkdir(exist_ok=True)
    path.touch()
    os.utime(path, (at, at))


def test_silence_counts_from_the_last_sign(watched):
    path, look = watched
    assert look() == 0  # there is no task
    begin(path)
    assert last_sign(path) == SignOfLife()
    assert [look(), look(2), look(3)] == [0, 2, 5]
    sign(path, 5)
    assert [look(1), look(2)] == [0, 2]
    path.unlink()
    assert look(4) == 0


def test_no_link_is_followed(tmp_path):
    (tmp_path / "precious").write_text("text")
    (tmp_path / "x.progress.part").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic links"):
        begin(tmp_path / "x.progress")
    assert (tmp_path / "precious").read_text() == "text"


def test_silence_is_shown_by_the_clock(tmp_path):
    path = tmp_path / "x.progress"
    assert silent_for(path) == 0
    sign(path, time.time() - 100)
    assert silent_for(path) == pytest.approx(100, abs=5)


def test_what_the_watcher_did_not_see_does_not_count(watched):
    path, look = watched
    sign(path, 1)
    assert [look(), look(1), look(700), look(1)] == [0, 1, 6, 7]  # asleep for 700 s


@pytest.mark.parametrize("jump", [-1e6, 1e6])
def test_a_clock_that_jumps_does_no_harm(watched, jump):
    path, look = watched
    sign(path, 2e6)
    look()
    sign(path, 2e6 + jump)  # the next sign, by a clock that was put right
    assert [look(1), look(1)] == [0, 1]
