"""Latencies from parts, with expectations worked out by hand."""

import dataclasses
import itertools
import math

import hypothesis
import pytest
from hypothesis import strategies as st

from hpo.worker.latency_table import (
    IN_BETWEEN,
    WIDTHS,
    LatencyTable,
    add_head,
    between,
    combine,
    contradictions,
    landmarks,
    monotone,
)
from tests.made import deployed_latency as latency


def milliseconds(measured):
    return {size: each.ms for size, each in measured.items()}


def test_the_trunk_and_what_the_head_adds():
    heads = {width: latency(1 + width / 128) for width in WIDTHS}
    table = LatencyTable.of({32: latency(5.0), 64: latency(8.0)}, heads)
    assert table.latency(32, 256).ms == 5.0 + 2.0
    assert table.latency(64, 1024).ms == 8.0 + 8.0
    assert table.latency(64, 0) == latency(8.0)  # the trunk has that head
    with pytest.raises(KeyError):
        table.latency(48, 0)


def test_between_two_widths_a_head_is_interpolated():
    heads = {0: latency(1.0), 128: latency(2.0), 256: latency(3.0), 512: latency(5.0), 1024: latency(13.0, 14.0)}
    table = LatencyTable.of({32: latency(5.0)}, heads)
    assert table.latency(32, 384).ms == 5.0 + 3.0
    assert table.latency(32, 640).ms == 5.0 + 6.0
    # 0.4375 a quarter of the way from 0.25 (of 512) to 1 (of 1,024); 0.25 of the trunk, 0.05 of the last layer
    assert table.latency(32, 640).uncertainty_ms == pytest.approx(math.hypot(0.25, 0.4375, 0.05))


def test_a_normalised_last_layer_adds_to_the_trunk_too():
    heads = {width: latency(1.5 + width / 128) for width in WIDTHS}
    assert LatencyTable.of({32: latency(5.0)}, heads, latency(1.0)).latency(32, 0).ms == 5.5


def test_uncertainties_add_up_and_a_head_takes_nothing_away():
    trunk, head, last = latency(5.0, 5.3), latency(2.0, 2.4), latency(1.0, 2.2)
    both = add_head(trunk, head, last)
    assert (both.ms, both.high_ms) == (6.0, pytest.approx(6.0 + 1.3))  # 0.3, 0.4 and 1.2
    assert both.median_ms == pytest.approx(1.1 * 6)
    swapped = add_head(trunk, last, head)  # noise: the wider one came out faster
    assert (swapped.ms, swapped.median_ms) == (trunk.ms, trunk.median_ms)


def test_what_is_larger_is_made_no_faster_within_the_uncertainty():
    measured = {64: latency(2.0, 2.2), 48: latency(2.2, 2.4), 32: latency(1.0, 1.1)}
    fitted = monotone(measured)
    assert milliseconds(fitted) == {32: 1.0, 48: pytest.approx(2.1), 64: pytest.approx(2.1)}
    assert fitted[48].uncertainty_ms == pytest.approx(0.2)
    assert contradictions(measured) == []


def test_the_surer_one_moves_less():
    fitted = monotone({32: latency(2.2, 2.4), 64: latency(2.0, 2.1)})  # weights 25 and 100
    assert milliseconds(fitted) == {32: pytest.approx(2.04), 64: pytest.approx(2.04)}


def test_what_contradicts_by_more_is_named_and_left_as_measured():
    measured = {32: latency(1.0), 48: latency(3.0, 3.1), 64: latency(2.0, 2.1), 96: latency(9.0)}
    assert contradictions(measured) == [48, 64]
    assert monotone(measured) == measured


def test_all_that_contradict_are_named_not_those_between_them():
    measured = {32: latency(5.0, 5.1), 48: latency(1.0, 1.1), 64: latency(3.2, 3.3), 96: latency(6.0, 6.1)}
    assert contradictions(measured) == [32, 48, 64]


@hypothesis.given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 9)), min_size=1, max_size=8))
def test_what_does_not_contradict_is_in_order_and_the_rest_as_it_was(parts):
    measured = {size: latency(float(ms), ms + unsure) for size, (ms, unsure) in enumerate(parts)}
    fitted, beyond = monotone(measured), contradictions(measured)
    inside = [fitted[size].ms for size in sorted(measured) if size not in beyond]
    assert all(small <= large + 1e-9 for small, large in itertools.pairwise(inside))
    for size, each in measured.items():
        assert fitted[size].uncertainty_ms == pytest.approx(each.uncertainty_ms)
        assert size not in beyond or fitted[size] == each


def test_two_measurements_are_weighted_by_their_runs():
    first, second = latency(2.0, 2.4, runs=100), latency(3.0, 3.2, runs=300)
    both = combine(first, second)
    assert (both.ms, both.runs) == (2.75, 400)
    assert both.uncertainty_ms == pytest.approx(0.5)  # half of their difference
    close = combine(first, dataclasses.replace(second, ms=2.0, high_ms=2.4, runs=100))
    assert close.uncertainty_ms == pytest.approx(math.hypot(0.2, 0.2))


def test_no_uncertainty_falls_below_one_percent():
    assert combine(latency(1.0, 1.001), latency(1.0, 1.001)).uncertainty_ms == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("places", "chosen"),
    [(1, (0,)), (2, (0, 1)), (3, (0, 2)), (4, (0, 3)), (5, (0, 1, 4)), (18, (0, 2, 5, 8, 11, 14, 17))],
)
def test_first_and_last_place_and_every_third_are_landmarks(places, chosen):
    assert landmarks(places) == chosen


def test_between_two_landmarks_a_latency_is_interpolated_by_flops():
    found = between({10: latency(1.0), 40: latency(4.0)}, [5, 10, 20, 40])
    assert milliseconds(dict(enumerate(found))) == {0: 1.0, 1: 1.0, 2: 2.0, 3: 4.0}
    # 5 % of each, and 5 % more in between
    assert [one.uncertainty_ms for one in found] == pytest.approx([0.05, 0.05, math.hypot(0.1, IN_BETWEEN * 2), 0.2])
