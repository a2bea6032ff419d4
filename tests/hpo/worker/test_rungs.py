"""When a trial is judged."""

import pytest

from hpo.worker.rungs import rungs, rungs_of


@pytest.mark.parametrize(
    ("epochs", "factor", "expected"),
    [(8, 2, (2, 4)), (9, 2, (2, 4, 8)), (30, 3, (2, 6, 18)), (1, 3, ()), (2, 2, ()), (3, 5, (2,))],
)
def test_rungs(epochs, factor, expected):
    assert rungs(epochs, factor) == expected


def test_rungs_from_the_first_epoch():
    assert rungs(10, 3, first=1) == (1, 3, 9)
    assert rungs(9, 3, first=1) == (1, 3)


@pytest.mark.parametrize(
    ("epochs", "factor", "message"),
    [(0, 3, "epochs must be at least 1. Received: 0"), (8, 1, "factor must be at least 2. Received: 1")],
)
def test_mistakes(epochs, factor, message):
    with pytest.raises(ValueError, match=message):
        rungs(epochs, factor)


def test_where_nothing_is_stopped_there_are_none(configure):
    assert rungs_of(configure(epochs=8, stopping="dominance", reduction_factor=2)) == (2, 4)
    assert rungs_of(configure(epochs=8, stopping="dominance", reduction_factor=2), first=1) == (1, 2, 4)
    assert rungs_of(configure(epochs=8, stopping="none")) == ()
