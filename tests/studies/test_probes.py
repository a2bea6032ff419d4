"""The map: its front, where more blocks bring nothing, and how it is kept."""

import optuna
import pytest

from studies import strict
from studies.attributes import MAP
from studies.errors import StudyRefused
from studies.objectives import FLOPS, VAL_ACCURACY
from studies.probes import Map, enough, front, interval, map_of
from tests import made

CHEAP, WORSE, GOOD, DEAR = (
    made.probe(4, 32, 0.40),
    made.probe(8, 32, 0.39),
    made.probe(12, 32, 0.60),
    made.probe(12, 64, 0.70),
)


def test_the_front_has_what_nothing_beats():
    assert front([DEAR, WORSE, GOOD, CHEAP]) == [CHEAP, GOOD, DEAR]
    assert front([DEAR, WORSE, GOOD, CHEAP], (VAL_ACCURACY, FLOPS)) == [CHEAP, GOOD, DEAR]
    assert front([]) == []


def test_equal_latencies_are_told_apart_by_flops():
    """12.00 and 12.05 ms, 1 % unsure each: the same; then fewer FLOPs at the same accuracy win."""
    slow = made.probe(
        12, 32, 0.6, measurement=made.measurement(1.205, 13_000_000, latency=made.deployed_latency(1.205))
    )
    assert front([slow, GOOD]) == [GOOD]


def test_enough_is_the_cheapest_within_a_standard_error_of_the_best_at_its_side():
    best = made.probe(16, 32, 0.61)
    # the standard error of 0.61 on 1,000 pictures is 0.0154, on 100 pictures 0.0488
    near, far = made.probe(10, 32, 0.5946), made.probe(9, 32, 0.5945)
    assert enough([best, near, far, DEAR], 1000) == {32: near, 64: DEAR}
    assert enough([best, near, far, DEAR], 100)[32] == far
    assert enough([best, GOOD, CHEAP], 1000) == {32: GOOD}


def test_all_blocks_are_kept_where_none_is_left_out():
    assert (made.probe(0).kept, made.probe(12).kept) == (18, 12)


def test_the_interval_is_wilsons():
    low, high = interval(made.probe(val_accuracy=0.5), 1000)
    assert (low, high) == pytest.approx((0.469070, 0.530930), abs=1e-6)


def test_complete_with_all_sides():
    assert made.network_map(GOOD, DEAR).complete
    assert not made.network_map(GOOD, resolutions=(32, 64)).complete


def test_a_study_keeps_it():
    study = optuna.create_study()
    assert map_of(study) is None
    found = made.network_map(CHEAP, DEAR)
    study.set_user_attr(MAP, strict.to_values(found))
    assert map_of(study) == found
    assert strict.from_json(Map, strict.to_json(found)) == found


@pytest.mark.parametrize("values", ["no map", {"backbone": 3}, {"backbone": "x", "unknown": 1}])
def test_what_is_no_map_is_refused(values):
    study = optuna.create_study(study_name="mine")
    study.set_user_attr(MAP, values)
    with pytest.raises(StudyRefused, match="study mine has a map of another version of this program"):
        map_of(study)
