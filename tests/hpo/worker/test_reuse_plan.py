"""Where training starts from, against sums done by hand."""

import dataclasses

import hypothesis
import pytest
from hypothesis import strategies as st

from hpo.worker.reuse_plan import (
    FLOPS_PER_BYTE_READ,
    FLOPS_PER_BYTE_WRITTEN,
    LEAST_GAIN,
    Plan,
    Work,
    expected_uses,
    plan,
)

MIB = 2**20
# 1,000 pictures, an epoch over all of them; 9 of 10 forward FLOPs below the cut; 1 kB a picture there
DEEP = Work(
    n_train=800,
    n_val=200,
    epochs=4,
    uses=1.0,
    views=1,
    below=9e6,
    missing=9e6,
    above=1e6,
    bytes=1000,
    room=10**9,
)


def test_bytes_of_all_views_and_the_validation_pictures():
    assert DEEP.total_bytes == 1_000_000
    assert dataclasses.replace(DEEP, views=3).total_bytes == 2_600_000


def test_a_high_share_below_the_cut_is_stored():
    # whole: 4 epochs x (1,000 x 9 + (3 x 800 + 200) x 1) MFLOP = 46,400; store: 4 x 2,600 + 9,000 once
    # and bytes: 4 x 1 MB read, 1 MB written
    ratio = 46_400e6 / (19_400e6 + 4e6 * FLOPS_PER_BYTE_READ + 1e6 * FLOPS_PER_BYTE_WRITTEN)
    assert plan(DEEP) == Plan(
        True,
        f"store; 90% of the forward FLOPs lie below the cut, 1 MiB, about 1.0 trials of 4 epochs: "
        f"{ratio:.2g} times less work with a store",
    )


def test_nothing_is_frozen():
    none = dataclasses.replace(DEEP, below=0.0, missing=0.0)
    assert not plan(none).store
    assert plan(none).why.startswith("no store, it does not pay; 0% of the forward FLOPs lie below the cut, ")


def test_no_room():
    full = dataclasses.replace(DEEP, room=DEEP.total_bytes - 1)
    assert not plan(full).store
    assert plan(full).why.startswith("no store, there is room for 1 MiB; 90% of the forward FLOPs ")
    assert plan(dataclasses.replace(DEEP, room=DEEP.total_bytes)).store


def test_what_is_stored_already_needs_no_room_and_costs_no_writing():
    assert plan(dataclasses.replace(DEEP, missing=0.0, room=0)).store
    # one epoch alone: to compute and to write costs more than it gives, to read does not
    once = dataclasses.replace(DEEP, epochs=1)
    assert not plan(once).store
    assert plan(dataclasses.replace(once, missing=0.0)).store


def test_one_epoch_more_turns_the_decision():
    # An epoch without a store costs 11.6 GFLOP, with one 2.6 + 0.025. The store costs 9 + 0.17 once, and must save 5 %:
    # n x 2.625 + 9.17 <= 0.95 x n x 11.6 from n = 1.09 on
    assert [plan(dataclasses.replace(DEEP, epochs=n)).store for n in (1, 2)] == [False, True]
    assert [plan(dataclasses.replace(DEEP, epochs=1, uses=n)).store for n in (1, 1.05, 1.12, 2)] == [
        False,
        False,
        True,
        True,
    ]


def test_views_are_computed_each():
    # four views of 800 and 200 once: 3,400 x 9 MFLOP = 30.6 GFLOP; an epoch saves 9
    work = dataclasses.replace(DEEP, views=4)
    assert [plan(dataclasses.replace(work, epochs=n)).store for n in (3, 4)] == [False, True]


def test_a_shallower_store_makes_a_deeper_one_cheaper():
    once = dataclasses.replace(DEEP, epochs=1)
    assert plan(dataclasses.replace(once, missing=6e6)).store


def test_a_gain_too_small_for_the_disk():
    # reading free of charge: the share saved is below / (below + 2.6 above), here 4.8 %
    above = 1e6
    below = 0.048 * 2.6 * above / (1 - 0.048)
    little = dataclasses.replace(DEEP, below=below, missing=0.0, bytes=0)
    assert LEAST_GAIN == 0.05
    assert not plan(little).store
    assert plan(dataclasses.replace(little, below=1.1 * below)).store


@pytest.mark.parametrize(
    ("trials", "number", "cells", "uses"),
    [(20, 0, 10, 2.9), (20, 19, 10, 1.0), (20, 25, 10, 1.0), (1, 0, 5, 1.0), (11, 0, 1, 11.0)],
)
def test_expected_uses(trials, number, cells, uses):
    assert expected_uses(trials, number, cells) == pytest.approx(uses)


def share(low, high):
    return st.floats(low, high, allow_nan=False)


@st.composite
def works(draw):
    below = draw(share(0, 1e10))
    return Work(
        n_train=draw(st.integers(1, 10**6)),
        n_val=draw(st.integers(1, 10**5)),
        epochs=draw(st.integers(1, 1000)),
        uses=draw(share(1, 100)),
        views=draw(st.integers(1, 8)),
        below=below,
        missing=below * draw(share(0, 1)),
        above=draw(share(1e3, 1e10)),
        bytes=draw(st.integers(1, 10**6)),
        room=draw(st.integers(0, 10**13)),
    )


def better(work):
    """Changes after which a store is worth no less."""
    return [
        dataclasses.replace(work, epochs=work.epochs + 1),
        dataclasses.replace(work, uses=work.uses + 1),
        dataclasses.replace(work, room=2 * work.room + 1),
        dataclasses.replace(work, missing=work.missing / 2),
        dataclasses.replace(work, missing=0.0),
        dataclasses.replace(work, bytes=(work.bytes + 1) // 2),
        dataclasses.replace(work, views=1),
    ]


@hypothesis.given(works(), st.integers(0, 6))
def test_what_makes_a_store_cheaper_never_speaks_against_it(work, change):
    if plan(work).store:
        assert plan(better(work)[change]).store


@hypothesis.given(works())
def test_it_never_stores_more_than_there_is_room_for(work):
    decision = plan(work)
    assert decision.store <= (work.missing == 0 or work.total_bytes <= work.room)
    assert "\n" not in decision.why
